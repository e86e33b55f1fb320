import json

import pytest

from ft_assets.training.knob_reasons import WHY, knob_reasons
from ft_assets.training.recipe import Recipe
from ft_assets.training.training_spec import StageData, TrainedRun, write_skipped_spec, write_spec

BASE = {
    "id": "tiny-base",
    "parameters": 4_212_992,
    "licence": "Apache-2.0",
    "architecture": "LlamaForCausalLM",
    "instruction_tuned": True,
    "context_length": 1024,
    "source": "embedded",
    "digest": "b" * 64,
}


def run(**changed: object) -> TrainedRun:
    recipe = Recipe.model_validate(
        {
            "learning_rate": 3e-3,
            "max_length": 256,
            "outside_range": {"learning_rate": "the tiny model learns at 3e-3"},
            "seed": 7,
        }
    )
    given = {
        "line": "qa-engineer",
        "description": "Plans tests | <b>boldly</b>.",
        "base": BASE,
        "recipe": recipe,
        "overrides": {"seed": 7},
        "snapshot": "5" * 64,
        "data": [StageData("sft", {"train": 810, "validation": 90}, {"chat": 810}, {"mean quality score": 0.91})],
        "adapter": "a" * 64,
        "trainable": 111_111,
        "estimate": {"expected_steps": 300, "expected_dollars": "unknown"},
        "outcome": {"steps": 240, "train_seconds": 33.1},
        "events": ["The micro-batch was halved to 1 after step 3: out of memory.", "Stopped early at step 240 of 300."],
        "date": "2026-11-21",
    }
    return TrainedRun(**{**given, **changed})


def test_every_knob_of_every_objective_and_method_has_a_reason():
    for approach in ("sft", "dpo", "kto", "sft+dpo"):
        for method in ("full", "lora", "qlora"):
            recipe = Recipe.model_validate({"approach": approach, "method": method})
            for stage in recipe.stages():
                assert all(each.reason for each in knob_reasons(stage, {}))
    assert set(WHY) == set(Recipe.model_fields) - {"outside_range"}


def test_a_value_says_where_it_comes_from_and_an_odd_one_says_why():
    found = {each.key: each for each in knob_reasons(run().recipe, {"seed": 7})}
    assert [found[key].origin for key in ("seed", "max_length", "lora_dropout")] == [
        "this run",
        "chosen by the line",
        "default",
    ]
    assert found["learning_rate"].reason == "0.003, outside 1e-05 to 0.0002: the tiny model learns at 3e-3"
    assert found["weight_decay"].reason.endswith("within 0 to 0.1")


def test_the_spec_holds_what_the_specification_asks_for(tmp_path):
    spec = write_spec(tmp_path, run())
    assert (tmp_path / "training-spec.md").read_text() == spec
    for part in ("4,212,992 parameters, Apache-2.0", "Why: the line names it", "810 train, 90 validation", "chat 810"):
        assert part in spec
    for heading in ("Base model", "Approach", "Data", "PEFT and hyperparameters: sft", "Infrastructure and cost"):
        assert f"## {heading}\n" in spec
    assert '"learning_rate": 0.003' in spec
    assert "| expected dollars | unknown |" in spec


def test_the_decision_log_begins_with_base_approach_and_peft_and_goes_on_with_the_run(tmp_path):
    write_spec(tmp_path, run())
    log = json.loads((tmp_path / "decisions.json").read_text())
    assert [each["id"] for each in log] == [f"TRAIN-{number:03}" for number in range(1, 8)]
    assert [each["about"] for each in log[:3]] == ["base model", "approach", "PEFT"]
    assert log[3]["rationale"] == "the tiny model learns at 3e-3"
    assert (log[4]["about"], log[4]["decided"]) == ("seed", "7")
    assert "halved" in log[5]["decided"] and "Stopped early" in log[6]["decided"]
    assert all(each["rationale"] and each["date"] == "2026-11-21" for each in log)


def test_the_same_run_on_the_same_date_writes_the_same_bytes(tmp_path):
    assert write_spec(tmp_path, run()) == write_spec(tmp_path, run())


def test_text_that_people_wrote_breaks_no_table_and_brings_no_html():
    from ft_assets.training.training_spec import training_spec

    spec = training_spec(run())
    assert "<b>" not in spec
    assert "Plans tests &#124; &lt;b&gt;boldly" in spec


def test_two_stages_have_a_table_each_and_overrides_reach_their_own_stage():
    from ft_assets.training.training_spec import training_spec

    recipe = Recipe.model_validate({"approach": "sft+dpo", "learning_rate": 1e-4, "dpo": {"beta": 0.2}})
    spec = training_spec(run(recipe=recipe, overrides={"learning_rate": 1e-4, "dpo": {"beta": 0.2}}))
    first, second = spec.split("hyperparameters: sft")[1].split("hyperparameters: dpo")
    assert "| `learning_rate` | 0.0001 | this run |" in first
    assert "| `learning_rate` | 5e-06 | default |" in second
    assert "| `beta` | 0.2 | this run |" in second


@pytest.mark.parametrize("reason", ["enabled is false", "architecture is rag-only"])
def test_a_line_that_trains_nothing_has_a_spec_that_says_so(tmp_path, reason):
    spec = write_skipped_spec(tmp_path, "qa-engineer", "Plans tests.", reason, "2026-11-21")
    assert "Status: **SKIPPED**, 2026-11-21" in spec
    assert json.loads((tmp_path / "decisions.json").read_text())[0]["rationale"] == reason
