import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ft_assets.specializations.loader import load_specializations, recipe_digest
from ft_assets_tests.specializations.samples import LINE, ROOT, SHIPPED, loaded, refusal, with_line


# ---- what is shipped -------------------------------------------------------------------------------------------------
def test_the_five_engineering_roles_are_shipped_and_sorted():
    lines = load_specializations(SHIPPED, ROOT)
    assert list(lines) == sorted(lines)
    assert {name: spec.select.task_types for name, spec in lines.items()} == {
        "software-developer": ("debugging", "commit_message", "code_generation"),
        "software-architect": ("component_interaction", "architecture_pattern"),
        "qa-engineer": ("test_cases", "bug_identification"),
        "devops-engineer": ("infrastructure_definition", "ci_cd"),
        "product-manager": ("requirements", "prioritisation"),
    }
    assert all(spec.select.roles == (name,) for name, spec in lines.items())


def test_the_shipped_lines_train_the_tiny_model_with_its_own_learning_rate():
    for spec in load_specializations(SHIPPED, ROOT).values():
        assert (spec.base_model, spec.recipe.learning_rate, spec.recipe.r) == ("tiny-base", 3e-3, 16)
        assert "learning_rate" in spec.recipe.outside_range
        golden = ROOT / "data/golden/software-developer.jsonl" if spec.name == "software-developer" else None
        assert spec.evaluation.golden_set == golden


def test_a_sixth_line_is_one_file_and_no_python(tmp_path):
    for path in SHIPPED.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    text = "name: summarizer\ndescription: Shortens.\nselect: {task_types: [summarization]}\nbase_model: tiny-base\n"
    (tmp_path / "summarizer.yaml").write_text(text)
    lines = load_specializations(tmp_path, ROOT)
    assert len(lines) == 6
    assert lines["summarizer"].select.task_types == ("summarization",)


def test_lines_come_in_the_order_of_their_names_not_of_their_files(tmp_path):
    (tmp_path / "qa.yaml").write_text(LINE.replace("name: qa-engineer", "name: qa"))
    assert list(load_specializations(with_line(tmp_path, ""), ROOT)) == ["qa", "qa-engineer"]


def test_reading_the_files_imports_no_heavy_library():
    code = (
        "import sys, pathlib; from ft_assets.specializations.loader import load_specializations as load; "
        f"load(pathlib.Path({str(SHIPPED)!r}), pathlib.Path('.')); "
        "print({'polars', 'numpy', 'torch', 'sqlalchemy', 'dagster'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# ---- what a file may say ---------------------------------------------------------------------------------------------
def test_what_a_file_leaves_out_has_the_documented_defaults(tmp_path):
    spec = loaded(tmp_path)
    assert (spec.status, spec.enabled, spec.architecture, spec.approach) == ("active", True, "finetuned", "sft")
    assert (spec.trigger.new_examples, spec.trigger.minimum_examples) == (100, 100)
    assert (spec.split.eval_fraction, spec.split.validation_fraction) == (0.1, 0.1)
    assert (spec.gate.primary_metric, spec.gate.minimum_clusters) == ("rouge_l", 50)
    assert spec.evaluation.golden_set is None


@pytest.mark.parametrize(
    "choice",
    [
        "tiny-base",
        {"hub": "owner/name", "revision": "0123456789abcdef0123456789abcdef01234567"},
        {"path": "models/mine"},
    ],
)
def test_a_base_model_is_a_catalogue_id_a_pinned_hub_model_or_a_path(tmp_path, choice):
    (tmp_path / "qa-engineer.yaml").write_text(yaml.safe_dump({**yaml.safe_load(LINE), "base_model": choice}))
    assert load_specializations(tmp_path, ROOT)["qa-engineer"].base_model == choice


def test_a_relative_golden_set_starts_at_the_project_root_and_an_absolute_one_stays(tmp_path):
    assert loaded(tmp_path, "evaluation: {golden_set: data/g.jsonl}\n").evaluation.golden_set == ROOT / "data/g.jsonl"
    assert loaded(tmp_path, "evaluation: {golden_set: /srv/g.jsonl}\n").evaluation.golden_set == Path("/srv/g.jsonl")


def test_a_golden_set_in_the_lake_is_a_key_and_no_path(tmp_path):
    evaluation = loaded(tmp_path, "evaluation: {golden_set: lake:golden/qa.v2.jsonl}\n").evaluation
    assert evaluation.golden_lake_key == "golden/qa.v2.jsonl"
    assert loaded(tmp_path, "evaluation: {golden_set: data/g.jsonl}\n").evaluation.golden_lake_key is None


def test_rules_are_read_by_name_and_parameter(tmp_path):
    text = (
        "rules:\n  most_prompts_per_answer: 9\n  filters: [{max_tokens: 512}, {exclude_tags: [draft]}]\n"
        "  transformers: [drop_system_turn]\n  validators: [{most_share_of_one_task: 0.5}]\n"
    )
    rules = loaded(tmp_path, text).rules
    assert rules.most_prompts_per_answer == 9
    assert [rule.as_written() for rule in rules.filters] == [{"max_tokens": 512}, {"exclude_tags": ("draft",)}]
    assert [rule.name for rule in (*rules.transformers, *rules.validators)] == [
        "drop_system_turn",
        "most_share_of_one_task",
    ]


def test_an_exponent_without_a_point_is_a_number_although_yaml_reads_a_text(tmp_path):
    assert loaded(tmp_path, "recipe: {learning_rate: 1e-4}\n").recipe.learning_rate == 1e-4


# ---- what a file may not say: one kind of mistake each ---------------------------------------------------------------
@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("recipe:\n  learning_rat: 1.0e-4\n", r":7: recipe\.learning_rat: unknown key.*Did you mean learning_rate\?"),
        (
            "evaluation: {primary_metric: rouge_l}\n",
            r":6: evaluation.*unknown key.*Did you mean gate\.primary_metric\?",
        ),
        ("colour: red\n", r":6: colour: unknown key, allowed here: name, version_series"),
        ("recipe: {r: sixteen}\n", r":6: recipe\.r: found 'sixteen' \(text\), allowed: a whole number"),
        ("trigger: {new_examples: 0}\n", r":6: trigger\.new_examples: found 0 \(int\), allowed: greater than or equal"),
        ("status: on\n", r":6: status: found True \(bool\), allowed: 'active' or 'retired'"),
        ("enabled: maybe\n", r":6: enabled: found 'maybe' \(text\), allowed: true or false"),
        ("split: 3\n", r":6: split: found 3 \(int\), allowed: keys with values"),
        (
            "gate: {floors: {rougel: 0.5}}\n",
            r":6: gate\.floors\.rougel: found 'rougel', allowed: 'exact_match', 'rouge_l'",
        ),
        ("compute: {memory: lots}\n", r":6: compute\.memory: found 'lots'"),
        ("approach: ppo\n", r":6: approach: found 'ppo' \(text\), allowed: 'sft', 'dpo', 'kto' or 'sft\+dpo'"),
        (
            "recipe: {method: qloar}\n",
            r":6: recipe\.method: found 'qloar' \(text\), allowed: 'full', 'lora' or 'qlora'",
        ),
        ("recipe: {epochs: 3}\n", r":6: recipe\.epochs: unknown key.*Did you mean num_train_epochs\?"),
        ("recipe: {learning_rate: 0.003}\n", r":6: recipe: learning_rate is 0.003, allowed 1e-05 to 0.0002"),
        ("name: qa-engineer\n", r":6: name: found twice, first in line 1; keep one"),
        ("recipe:\n  r: 4\n  r: 8\n", r":8: recipe\.r: found twice, first in line 7"),
        ("system_prompt: [\n", r":7: not readable as YAML"),
        ("system_prompt: 2026-13-45\n", r"not readable as YAML: month must be in 1..12"),
        ("system_prompt: 3\n", r":6: system_prompt: found int, allowed: a text, or keys out of default, by_role"),
        (
            "system_prompt:\n  default: Be short.\n  by_reasoning_mod: {agent: Use tools.}\n",
            r":8: system_prompt\.by_reasoning_mod: unknown key, .*Did you mean by_reasoning_mode\?",
        ),
        (
            "system_prompt:\n  default: Be short.\n  by_reasoning_mode: {agnt: Use tools.}\n",
            r":8: system_prompt\.by_reasoning_mode: found 'agnt', allowed: standard, chain_of_thought",
        ),
        (
            "system_prompt: {by_role: {devops: Operate.}}\n",
            r":6: system_prompt: 'devops-engineer' is no role that the line selects: qa-engineer",
        ),
        (
            "rules: {filters: [max_tokenz: 5]}\n",
            r":6: rules\.filters\.0: found 'max_tokenz', allowed: one of min_answer_",
        ),
        (
            "rules:\n  filters:\n  - max_turns: 4\n  - max_tokens: many\n",
            r":9: rules\.filters\.1: max_tokens: found 'many'",
        ),
        (
            "rules: {transformers: [keep_last_turns]}\n",
            r":6: rules\.transformers\.0: keep_last_turns: .*needs its turns",
        ),
        ("rules: {filter: []}\n", r":6: rules\.filter: unknown key, allowed here: .*Did you mean filters\?"),
        ("evaluation: {golden_set: lake:other/g.jsonl}\n", r":6: evaluation\.golden_set: found 'lake:other/g\.jsonl'"),
        ("evaluation: {golden_set: g, golden_sha256: abc}\n", r":6: evaluation\.golden_sha256: found 'abc'"),
        (f"evaluation: {{golden_sha256: {'a' * 64}}}\n", r":6: evaluation: golden_sha256 is set and golden_set is not"),
        ("recipe: &r\n  outside_range: *r\n", r":7: recipe\.outside_range"),
    ],
)
def test_a_mistake_is_named_with_file_line_key_and_what_is_allowed(tmp_path, extra, told):
    message = refusal(with_line(tmp_path, extra))
    assert re.search(r"  - qa-engineer\.yaml" + (told if told.startswith(":") else ".*" + told), message), message


@pytest.mark.parametrize(
    ("base_model", "told"),
    [
        ("{hub: owner/name, revision: main}", "revision 'main'.*only a whole commit id"),
        ("{hub: owner/name}", "revision None.*only a whole commit id"),
        ("{hub: owner/name, revisoin: x}", "revisoin"),
        ("gpt-4", "'gpt-4', whose weights are not published.*Only open-weight"),
        ("tiny-bass", "'tiny-bass', which the catalogue does not know: tiny-base"),
        ("[tiny-base]", "found \\['tiny-base'\\], allowed: the id of a catalogue model"),
        ("{1: 2}", "allowed: the id of a catalogue model"),
    ],
)
def test_a_base_model_that_cannot_be_trained_or_is_not_pinned_is_refused(tmp_path, base_model, told):
    (tmp_path / "qa-engineer.yaml").write_text(LINE.replace("tiny-base", base_model))
    assert re.search(r"qa-engineer\.yaml:5: base_model: .*" + told, refusal(tmp_path))


@pytest.mark.parametrize("content", [b"", b"# nothing yet\n", b"- a\n- b\n", b"just a text\n"])
def test_a_file_without_keys_is_refused(tmp_path, content):
    (tmp_path / "x.yaml").write_bytes(content)
    assert re.search(
        r"x\.yaml: found .*allowed: keys with values, at least name, description, select", refusal(tmp_path)
    )


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    assert "x.yaml: not readable as YAML: 'utf-8' codec" in refusal(tmp_path)


def test_a_missing_key_is_named(tmp_path):
    (tmp_path / "x.yaml").write_text("name: x\ndescription: y\nselect: {}\n")
    assert "x.yaml: base_model: missing" in refusal(tmp_path)


def test_a_file_name_that_is_not_the_name_is_refused(tmp_path):
    (tmp_path / "quality.yaml").write_text(LINE)
    assert "quality.yaml:1: name: found 'qa-engineer', allowed: 'quality'" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["QA", "qa engineer", "-qa", "a" * 41, "7"])
def test_a_name_that_cannot_be_a_partition_and_a_label_is_refused(tmp_path, name):
    (tmp_path / f"{name}.yaml").write_text(LINE.replace("name: qa-engineer", f"name: '{name}'"))
    assert ".yaml:1: name: found" in refusal(tmp_path)


def test_two_files_with_one_name_are_refused(tmp_path):
    (tmp_path / "qa-engineer.yml").write_text(LINE)
    assert "qa-engineer.yml: name: 'qa-engineer' is already the name of qa-engineer.yaml" in refusal(
        with_line(tmp_path, "")
    )


def test_a_directory_without_any_file_is_refused(tmp_path):
    assert "holds no specialization" in refusal(tmp_path)
    assert "FT_ASSETS_SPECIALIZATIONS" in refusal(tmp_path / "absent")


def test_the_mistakes_of_all_files_are_told_at_once(tmp_path):
    (tmp_path / "a.yaml").write_text(LINE.replace("qa-engineer\nd", "a\nd") + "enabled: 7\ncolour: red\n")
    (tmp_path / "b.yaml").write_text("")
    message = refusal(with_line(tmp_path, "status: gone\n"))
    assert message.startswith(f"4 problems in the specializations of {tmp_path}")
    assert [line[4:5] for line in message.splitlines() if line.startswith("  - ")] == ["a", "a", "b", "q"]


# ---- the digest ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "extra",
    [
        "recipe: {seed: 1}\n",
        "recipe: {use_rslora: true}\n",
        "approach: kto\n",
        "split: {eval_fraction: 0.2}\n",
        "rules: {filters: [max_tokens: 512]}\n",
        "system_prompt: Be short.\n",
        "system_prompt: {by_role: {qa: Be short.}}\n",
        "architecture: rag-only\n",
    ],
)
def test_what_changes_the_model_changes_the_digest(tmp_path, extra):
    assert recipe_digest(loaded(tmp_path, extra)) != recipe_digest(loaded(tmp_path))


@pytest.mark.parametrize(
    "extra",
    [
        "trigger: {new_examples: 50}\n",
        "gate: {min_effect: 0.1}\n",
        "evaluation: {max_new_tokens: 9}\n",
        "compute: {gpus: 1}\n",
        "expectations: {sft_minimum: 50, hard_floor: {eval_clusters: 20}}\n",
        "status: retired\n",
        "recipe: {seed: 0}\n",
        "# a remark\n",
    ],
)
def test_what_does_not_change_the_model_leaves_the_digest(tmp_path, extra):
    assert recipe_digest(loaded(tmp_path, extra)) == recipe_digest(loaded(tmp_path))


def test_another_base_or_selector_is_another_digest(tmp_path):
    spec = loaded(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    for before, after in (("tiny-base", "{path: models/mine}"), ("[qa-engineer]", "[qa-engineer, devops]")):
        (other / "qa-engineer.yaml").write_text(LINE.replace(before, after))
        assert recipe_digest(load_specializations(other, ROOT)["qa-engineer"]) != recipe_digest(spec)
