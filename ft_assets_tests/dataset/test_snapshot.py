import json
import random

import polars as pl
import pytest

from ft_assets.dataset.contamination import leaks
from ft_assets.dataset.known_ids import snapshot_ids
from ft_assets.dataset.rows import canonical_json
from ft_assets.dataset.rules import Rules
from ft_assets.dataset.select import Selector
from ft_assets.dataset.snapshot import (
    SnapshotRow,
    build_snapshot,
    choose,
    eligible_train_ids,
    new_since,
    read_counts,
    read_side,
    state_digest,
    why_waiting,
)
from ft_assets.dataset.split import SplitFractions, side_of
from ft_assets.errors import BadInput, IncompleteArtifact

QA = Selector(roles=("qa-engineer",), task_types=("test_cases", "bug_identification"))
TENTHS = SplitFractions()
FILES = {f"{name}.jsonl" for name in ("train", "validation", "eval", "preferences", "judged")} | {
    "recipe.json",
    "counts.json",
}


def content(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def build(table, folder, selector=QA, golden=(), prompt=None, key="key", **knobs):
    return build_snapshot(table, selector, key, TENTHS, list(golden), prompt, folder, **knobs)


def test_a_snapshot_is_seven_files_whose_rows_are_sorted_and_canonical(many, tmp_path):
    build(many, tmp_path / "s")
    files = content(tmp_path / "s")
    assert set(files) == FILES
    for side in ("train", "validation", "eval"):
        lines = files[f"{side}.jsonl"].decode().splitlines()
        values = [json.loads(line) for line in lines]
        assert lines == [json.dumps(v, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for v in values]
        assert [v["example_id"] for v in values] == sorted(v["example_id"] for v in values)
        assert {tuple(v) for v in values} == {tuple(sorted({*SnapshotRow.model_fields} - {"difficulty"}))}
        assert all(set(turn) == {"role", "content"} for v in values for turn in v["messages"])


def test_the_difficulty_of_a_row_reaches_its_side(many, tmp_path):
    build(many.with_columns(difficulty=pl.lit("hard")), tmp_path / "s")
    assert {row.difficulty for row in read_side(tmp_path / "s", "eval")} == {"hard"}
    build(many, tmp_path / "plain")
    assert {row.difficulty for row in read_side(tmp_path / "plain", "eval")} == {None}


def test_shuffled_input_gives_the_same_bytes(many, tmp_path):
    build(many, tmp_path / "a")
    for seed in (1, 2):
        build(many.sample(fraction=1.0, shuffle=True, seed=seed).lazy(), tmp_path / f"b{seed}")
        assert content(tmp_path / f"b{seed}") == content(tmp_path / "a")


def test_merged_interactions_in_another_order_give_the_same_bytes(row, curated, tmp_path):
    for name, ids in (("a", ["x", "y"]), ("b", ["y", "x"])):
        build(curated([row(f"e{i}", interaction_ids=ids) for i in range(9)]), tmp_path / name, Selector())
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_what_the_snapshot_was_chosen_by_changes_its_bytes(many, tmp_path, golden_row):
    variants = {
        "plain": {},
        "prompt": {"prompt": "Be short."},
        "key": {"key": "other"},
        "selector": {"selector": Selector(roles=("qa-engineer",))},
        "golden": {"golden": [golden_row("never asked", "never")]},
        "rules": {"rules": Rules(most_prompts_per_answer=9)},
    }
    for name, arguments in variants.items():
        build(many, tmp_path / name, **arguments)
    assert len({json.dumps({k: v.hex() for k, v in content(tmp_path / name).items()}) for name in variants}) == 6


def test_the_recipe_holds_no_key_in_clear(many, tmp_path):
    build(many, tmp_path / "s", key="a-secret-key", prompt="Be short.")
    recipe = json.loads((tmp_path / "s/recipe.json").read_text())
    assert "a-secret-key" not in json.dumps(recipe)
    assert recipe["system_prompt"] == "Be short."
    assert recipe["fractions"] == {"eval_fraction": 0.1, "validation_fraction": 0.1}
    assert recipe["selector"]["task_types"] == ["test_cases", "bug_identification"]


def test_the_counts_add_up_and_are_what_was_returned(row, curated, tmp_path):
    good = [row(f"e{i:03d}", cluster_id=f"c{i % 90}", human_verified=i % 4 == 0) for i in range(180)]
    bad = [row(f"x{i}", high_score=False, low_score_reason="no signal") for i in range(4)]
    summary = build(curated([*good, *bad]), tmp_path)
    assert read_counts(tmp_path) == summary
    assert sum(summary.rows_by_side.values()) == 180
    assert sum(summary.clusters_by_side.values()) == 90
    assert summary.rows_by_task["test_cases"] == summary.rows_by_side
    assert summary.drops == {"no signal": 4}
    assert summary.largest_cluster_share == pytest.approx(2 / 180, abs=1e-6)
    assert 0.1 < summary.human_verified_share < 0.4
    for side, rows in summary.rows_by_side.items():
        assert len(read_side(tmp_path, side)) == rows


def test_a_task_with_few_train_rows_is_a_named_gap(row, curated, tmp_path):
    rows = [row(f"e{i:03d}") for i in range(60)] + [row("b", task_type="bug_identification", cluster_id="cluster-e000")]
    wanted = Selector(roles=("qa-engineer",), task_types=("test_cases", "bug_identification", "test_planning"))
    assert set(build(curated(rows), tmp_path, wanted).coverage_gaps) == {"bug_identification", "test_planning"}


def test_golden_prompts_never_reach_the_snapshot(many, tmp_path, golden_row):
    asked = [golden_row(f"test E{i:03d}?", "x", f"g{i}") for i in range(50)]
    summary = build(many, tmp_path, golden=asked)
    assert summary.drops == {"in_golden_set": 50}
    assert leaks(tmp_path, asked) == []
    assert {row.example_id for row in read_side(tmp_path, "train")}.isdisjoint(f"e{i:03d}" for i in range(50))


def test_text_of_any_script_survives_the_round_trip(row, curated, tmp_path, conversation):
    said = conversation("line\u2028separator \u0085 \r\n 漢字 \U0001f600 \x7f", "\ttab “quoted” \\ back \x00 /")
    build(curated([row("a", cluster_id="cluster-e000", messages=said)]), tmp_path, Selector())
    assert [turn.content for turn in read_side(tmp_path, "train")[0].messages] == [turn["content"] for turn in said]
    line = (tmp_path / "train.jsonl").read_bytes().decode().removesuffix("\n")
    assert line == canonical_json(json.loads(line))


def test_nothing_on_the_train_side_is_refused_with_what_was_dropped(row, curated, tmp_path):
    table = curated([row("a", role="devops-engineer"), row("b", high_score=False, low_score_reason="no signal")])
    with pytest.raises(BadInput, match=r"'no signal': 1.*\['devops-engineer', 'qa-engineer'\]"):
        build(table, tmp_path)


def test_a_foreign_file_in_the_directory_is_refused(many, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(BadInput, match=r"notes\.txt"):
        build(many, tmp_path)


def test_a_half_snapshot_is_refused(tmp_path):
    with pytest.raises(IncompleteArtifact, match=r"eval\.jsonl"):
        read_side(tmp_path, "eval")
    with pytest.raises(IncompleteArtifact, match=r"counts\.json"):
        read_counts(tmp_path)


def test_a_broken_line_is_named(many, tmp_path):
    build(many, tmp_path)
    with (tmp_path / "eval.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(BadInput, match=r"eval\.jsonl:\d+ is not a SnapshotRow: example_id"):
        read_side(tmp_path, "eval")


def test_the_trigger_counts_exactly_the_rows_that_the_snapshot_trains_on(many, tmp_path, golden_row):
    golden = [golden_row("Test e001?", "x")]
    build(many, tmp_path, golden=golden)
    eligible = eligible_train_ids(many, QA, "key", TENTHS, golden)
    assert eligible.ids == [row.example_id for row in read_side(tmp_path, "train")]
    assert eligible.drops == {"in_golden_set": 1}
    assert new_since(eligible.ids, tmp_path) == []


def test_only_train_rows_that_the_last_snapshot_lacked_are_new(many, tmp_path):
    build(many.head(150), tmp_path)
    before = eligible_train_ids(many.head(150), QA, "key", TENTHS, []).ids
    now = eligible_train_ids(many, QA, "key", TENTHS, []).ids
    assert new_since(now, tmp_path) == sorted(set(now) - set(before))
    assert new_since(now, None) == now


def test_the_same_new_rows_recipe_and_base_are_the_same_state():
    ids = [f"e{i}" for i in range(50)]
    shuffled = random.Random(1).sample(ids, len(ids))
    assert state_digest(ids, "r", "b") == state_digest(shuffled + ids, "r", "b")
    assert len({state_digest(ids, "r", "b"), state_digest(ids[1:], "r", "b"), state_digest(ids, "x", "b")}) == 3
    assert state_digest(ids, "r", "b") != state_digest(ids, "r", "x")


def test_the_sentence_for_the_operator_groups_what_is_missing():
    drops = {"duplicate": 12, "no signal": 1, "rating below 4": 3, "in_golden_set": 0, "other task_type": 2}
    assert why_waiting("qa-engineer", 73, 100, drops) == (
        "qa-engineer 73 of 100: 12 duplicates, 4 without a passing signal, 2 with other task_type"
    )
    assert why_waiting("qa-engineer", 0, 100, {}).startswith("qa-engineer 0 of 100: nothing was left out")


def test_no_leak_survives_what_curation_may_send(row, curated, tmp_path):
    random_rows = random.Random(7)
    rows = [
        row(f"e{i}", cluster_id=f"c{random_rows.randrange(60)}", prompt_id=f"p{random_rows.randrange(80)}")
        for i in range(300)
    ]
    summary = build(curated(rows), tmp_path, Selector())
    assert summary.drops["bridges_train_and_eval"] > 0
    assert leaks(tmp_path, []) == []


def test_rows_without_a_task_are_counted_as_such(row, curated, tmp_path):
    summary = build(curated([row(f"e{i}", task_type=None) for i in range(9)]), tmp_path, Selector())
    assert list(summary.rows_by_task) == ["(none)"]
    assert isinstance(pl.read_ndjson(tmp_path / "train.jsonl"), pl.DataFrame)


def test_near_duplicates_bridges_and_copies_never_reach_the_snapshot_and_are_counted(many, row, curated, tmp_path):
    more = [
        row("zz1", duplicate_group="e000", cluster_id="cluster-e000", quality_score=0.1),
        row("zz2", cluster_id="cluster-e000", linked_clusters=["cluster-e001", HELD_OUT]),
    ]
    summary = build(pl.concat([many, curated(more)]), tmp_path)
    assert summary.drops == {"near_duplicate": 1, "bridges_train_and_eval": 1}
    assert summary.near_duplicates == 1
    assert {"zz1", "zz2"}.isdisjoint(snapshot_ids(tmp_path))
    assert len(snapshot_ids(tmp_path)) == 200


HELD_OUT = next(f"c{i}" for i in range(99) if side_of(f"c{i}", "key") == "eval")


def test_tokens_are_told_per_side(row, curated, tmp_path):
    summary = build(curated([row(f"e{i:03d}", n_tokens=i + 1) for i in range(100)]), tmp_path)
    assert sum(figures.total for figures in summary.tokens_by_side.values()) == 5_050
    train = summary.tokens_by_side["train"]
    assert 40 < train.p50 < 60 < 90 < train.p95 <= train.max <= 100


def test_filters_transformers_and_validators_act_at_the_snapshot(many, tmp_path):
    knobs = Rules.model_validate(
        {
            "filters": [{"answer_matches_not": "e19[0-9]"}],
            "transformers": [{"keep_last_turns": 2}],
            "validators": [{"least_rows_per_task": 50}],
        }
    )
    summary = build(many, tmp_path / "s", rules=knobs)
    assert summary.drops == {"filter answer_matches_not": 10}
    assert json.loads((tmp_path / "s/recipe.json").read_text())["rules"] == knobs.model_dump(mode="json")
    strict = knobs.model_copy(update={"validators": Rules(validators=[{"least_rows_per_task": 500}]).validators})
    with pytest.raises(BadInput, match="The snapshot of qa-engineer is not valid"):
        build(many, tmp_path / "t", rules=strict, specialization="qa-engineer")
    assert list((tmp_path / "t").iterdir()) == []


def test_the_ledger_keeps_old_clusters_where_they_were_when_a_fraction_changes(many, tmp_path):
    before = choose(many, QA, "key", TENTHS, [])
    ledger = dict(before.rows.select("cluster_id", "side").rows())
    halves = SplitFractions(eval_fraction=0.5)
    after = choose(many, QA, "key", halves, [], ledger=ledger)
    assert after.rows.equals(before.rows)
    assert before.ledger_held == 0
    moved = choose(many, QA, "key", halves, []).rows["side"] != before.rows["side"]
    assert after.ledger_held == moved.sum() > 50


def test_the_rows_of_the_last_snapshot_stay_when_better_near_duplicates_come_in(row, curated, tmp_path):
    old = [row(f"e{i:03d}", duplicate_group=f"g{i}", cluster_id=f"cluster-{i}") for i in range(60)]
    build(curated(old), tmp_path)
    better = [{**each, "example_id": f"a-{each['example_id']}", "human_verified": True} for each in old]
    now = [{**each, "messages": [{**each["messages"][0]}, {**each["messages"][1]}]} for each in better]
    known = snapshot_ids(tmp_path)
    assert set(choose(curated([*old, *now]), QA, "key", TENTHS, [], previous=known).rows["example_id"]) == set(known)
    without = choose(curated([*old, *now]), QA, "key", TENTHS, []).rows["example_id"]
    assert all(name.startswith("a-") for name in without)
