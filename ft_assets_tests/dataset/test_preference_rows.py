import json
import random
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from ft_assets.dataset.preference_leaks import preference_leaks
from ft_assets.dataset.preference_rows import (
    PREFERENCES_FILE,
    PreferenceRow,
    preference_rows,
    preference_sides,
    read_preferences,
    write_preferences,
)
from ft_assets.dataset.preferences import pairs_of_days
from ft_assets.dataset.rows import write_lines
from ft_assets.dataset.rules import Rules
from ft_assets.dataset.select import Selection, Selector
from ft_assets.dataset.snapshot import SnapshotRow, choose
from ft_assets.dataset.split import SplitFractions, side_of
from ft_assets.errors import IncompleteArtifact
from ft_assets_tests.dataset.preference_samples import DAY, Row, answer, corrected, said, sha, table

KEY, HALVES = "key", SplitFractions(eval_fraction=0.4, validation_fraction=0.2)
WORDS = [f"word{number}" for number in range(3000)]
FREE = Rules(most_rows_per_user=None)
slow = pytest.mark.slow


def text(draw: random.Random, words: int = 30) -> str:
    return " ".join(draw.choices(WORDS, k=words))


def prompt_on(side: str, number: int = 0) -> str:
    """A prompt whose cluster stands on this side."""
    draw = random.Random(number)
    return next(asked for _ in range(1000) if side_of(sha(asked := text(draw)), KEY, 0.4, 0.2) == side)


def taken(rows: Sequence[Row], selector: Selector | None = None, golden: Sequence[Any] = (), **knobs: Any) -> Selection:
    """The pairs of a snapshot of these curated rows."""
    curated = table(rows)
    pairs = knobs.pop("pairs", None)
    if pairs is None:
        pairs = pairs_of_days(curated, sorted(set(curated["day"]))).pairs
    selector, rules = selector or Selector(), knobs.pop("rules", FREE)
    chosen = choose(curated, selector, KEY, HALVES, golden, rules=rules, ledger=knobs.get("ledger", {}))
    return preference_rows(pairs, curated, chosen.rows, selector, KEY, HALVES, golden, rules=rules, **knobs)


@pytest.mark.parametrize("side", ["train", "validation", "eval"])
def test_a_pair_stands_on_the_side_of_its_cluster(side: str) -> None:
    made = taken([corrected(prompt_on(side), "right", "wrong")])
    assert made.rows["side"].to_list() == [side] and made.drops == {}


@slow
def test_the_ledger_wins_over_the_hash() -> None:
    asked = prompt_on("train")
    assert taken([corrected(asked, "right", "wrong")], ledger={sha(asked): "eval"}).rows["side"].to_list() == ["eval"]


@slow
def test_a_pair_of_clusters_on_different_sides_is_dropped() -> None:
    asked, there = prompt_on("train"), sha(prompt_on("eval"))
    rated = [answer(asked, "A", 5), answer(asked, "B", 1, cluster_id=there)]
    linked = corrected(prompt_on("train", 1), "right", "wrong", linked_clusters=[there])
    made = taken([*rated, linked])
    assert made.rows.is_empty() and made.drops == {"bridges_train_and_eval": 2}


@slow
def test_a_pair_whose_prompt_a_row_of_another_side_asks_is_dropped() -> None:
    asked = prompt_on("train")
    pair = corrected(asked, "right", "wrong")
    elsewhere = answer(asked, "another", 5, cluster_id=sha(prompt_on("eval")), day="2026-03-01")
    made = taken([pair, elsewhere], pairs=pairs_of_days(table([pair]), [DAY]).pairs)
    assert made.rows.is_empty() and made.drops == {"bridges_train_and_eval": 1}


@slow
@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_a_pair_that_repeats_what_is_judged_by_is_dropped_whichever_answer_it_is(golden_row: Any, side: str) -> None:
    draw = random.Random(3)
    frozen, held = text(draw, 60), text(draw, 60)
    golden = [golden_row(text(draw, 60), frozen)]
    watched = answer(prompt_on("eval"), held, 5)
    copied = [f"well {frozen}", f"well {held}"]
    pairs = []
    for number, copy in enumerate(copied):
        good, bad = (copy, "no idea") if side == "chosen" else ("the lease is lost", copy)
        pairs.append(corrected(prompt_on("train", number), good, bad))
    made = taken([watched, *pairs], golden=golden)
    assert made.rows.is_empty() and made.drops == {"in_golden_set": 1, "near_copy_of_eval": 1}


@slow
def test_a_pair_that_asks_what_the_golden_set_asks_is_dropped_on_every_side(golden_row: Any) -> None:
    asked = [prompt_on(side) for side in ("train", "eval")]
    golden = [golden_row(prompt.upper(), "right", prompt) for prompt in asked]
    made = taken([corrected(prompt, "right answer", "wrong answer") for prompt in asked], golden=golden)
    assert made.rows.is_empty() and made.drops == {"in_golden_set": 2}


@slow
def test_the_selector_holds_for_pairs_but_for_the_score() -> None:
    rows = [
        corrected(prompt_on("train", 1), "right", "wrong", high_score=False, low_score_reason="rating 1 of 5"),
        corrected(prompt_on("train", 2), "right", "wrong", role="product-manager"),
        corrected(prompt_on("train", 3), "right", "wrong", task_type="chat"),
        corrected(prompt_on("train", 4), "right", "wrong " * 500),
        corrected(prompt_on("train", 5), "right", "wrong", tool_calls="{"),
    ]
    selector = Selector(roles=("qa",), task_types=("test_cases",), min_quality_score=0.9, max_characters=2000)
    made = taken(rows, selector)
    assert made.rows["example_ids"].to_list() == [[rows[0]["example_id"]]]
    assert made.drops == {
        "other length than max_characters 2000": 1,
        "other task_type": 1,
        "tool calls that cannot be read": 1,
    }


@slow
def test_the_lines_rules_hold_for_pairs() -> None:
    shared = "the same long answer to everything that anybody ever asked here, word by word"
    rows = [corrected(prompt_on("train", number), f"{shared}", f"wrong {number}") for number in range(3)]
    rows.append(corrected(prompt_on("train", 3), "right", "wrong", source="a flood"))
    rows.append(corrected(prompt_on("train", 4), "right  ", "wrong \n", system="You are kind."))
    rules = FREE.model_validate(
        FREE.model_dump()
        | {
            "most_prompts_per_answer": 3,
            "filters": [{"exclude_sources": ["a flood"]}],
            "transformers": ["drop_system_turn", "strip_trailing_whitespace"],
        }
    )
    made = taken(rows, rules=rules)
    assert made.drops == {"filter exclude_sources": 1, "repeated_answer": 3}
    assert said(made.rows) == [("right", "wrong")]
    assert [turn["role"] for turn in made.rows["prompt"][0]] == ["user"]


@slow
def test_no_user_owns_the_pairs() -> None:
    rows = [corrected(prompt_on("train", number), f"right {number}", "wrong", user_id="u") for number in range(12)]
    made = taken(rows, rules=Rules(most_rows_per_user=5))
    assert made.rows.height == 5 and made.drops == {"user_cap": 7}


@slow
def test_a_pair_whose_example_went_or_fell_into_doubt_is_dropped() -> None:
    asked = [prompt_on("train", number) for number in range(4)]
    rows = [answer(prompt, text, rating) for prompt in asked for text, rating in (("good", 5), ("bad", 1))]
    pairs = pairs_of_days(table(rows), [DAY]).pairs
    assert pairs.height == 4
    now = [*rows[2:]]
    now[0] = rows[2] | {"faults": ["truncated"]}
    now[3] = rows[5] | {"conflicting": True}
    made = taken(now, pairs=pairs)
    assert made.rows["example_ids"].to_list() == [[rows[6]["example_id"], rows[7]["example_id"]]]
    assert made.drops == {"chosen_has_faults": 1, "conflicting_votes": 1, "example_is_gone": 1}


@slow
def test_pairs_of_one_prompt_on_many_days_are_limited_too() -> None:
    asked = prompt_on("train")
    days = [f"2026-03-0{day}" for day in (1, 2, 3)]
    rows = [answer(asked, day, rating, day=day) for day, rating in zip(days, (3, 4, 5), strict=True)]
    pairs = pairs_of_days(table(rows), days).pairs
    assert pairs.height == 2
    made = taken(rows, pairs=pl.concat([pairs, pairs.with_columns(day=pl.lit("2026-04-01"))]))
    assert made.rows["gap"].to_list() == [0.5]
    assert made.drops == {"pair_is_there_already": 2, "prompt_has_better_pairs": 1}
    assert taken(rows, most_pairs_per_prompt=2).rows.height == 2


def test_the_file_is_canonical_sorted_and_read_back_by_side(tmp_path: Any) -> None:
    rows = [corrected(prompt_on(side), f"right ü {side}", "wrong") for side in ("train", "validation", "eval")]
    rows += [answer(prompt_on("train", 9), "A", 4.1), answer(prompt_on("train", 9), "B", 1)]
    made = taken(rows)
    write_preferences(made.rows.sample(fraction=1, shuffle=True, seed=1), tmp_path)
    lines = (tmp_path / PREFERENCES_FILE).read_text(encoding="utf-8").splitlines()
    values = [json.loads(line) for line in lines]
    assert lines == [json.dumps(v, sort_keys=True, separators=(",", ":"), ensure_ascii=False) for v in values]
    assert [v["pair_id"] for v in values] == sorted(v["pair_id"] for v in values) and len(values) == 4
    assert {tuple(v) for v in values} == {tuple(sorted(PreferenceRow.model_fields))}
    assert sorted(row.gap or 0 for row in read_preferences(tmp_path, "train")) == [0, 0.775]
    assert preference_sides(tmp_path)[sha(prompt_on("eval"))] == "eval"
    with pytest.raises(IncompleteArtifact, match="train_eval_split"):
        read_preferences(tmp_path / "none", "train")


def test_no_prompt_or_answer_of_an_eval_cluster_is_learned_from(tmp_path: Any) -> None:
    draw = random.Random(11)
    prompts = [text(draw) for _ in range(60)]
    rows: list[Row] = []
    for number in range(240):
        asked = draw.choice(prompts)
        # some answers were clustered with another prompt, some are linked to one, as bridges are
        cluster = sha(asked if draw.random() < 0.8 else draw.choice(prompts))
        links = [sha(draw.choice(prompts))] if draw.random() < 0.1 else []
        differs = {"cluster_id": cluster, "linked_clusters": [each for each in links if each != cluster]}
        if draw.random() < 0.3:
            rows.append(corrected(asked, text(draw), text(draw), **differs))
        else:
            rows.append(answer(asked, text(draw), draw.choice((1, 3, 5)), high_score=number % 2 == 0, **differs))
            rows[-1]["low_score_reason"] = None if number % 2 == 0 else "rating 1 of 5"
    made = taken(rows, most_pairs_per_prompt=3)
    by_side = {side: made.rows.filter(side=side) for side in ("train", "validation", "eval")}
    assert all(part.height > 3 for part in by_side.values()) and made.drops["bridges_train_and_eval"] > 10
    clusters = {row["example_id"]: {row["cluster_id"], *row["linked_clusters"]} for row in rows}
    chosen = choose(table(rows), Selector(), KEY, HALVES, [], rules=FREE).rows
    write_preferences(made.rows, tmp_path)
    for side in by_side:
        write_lines(chosen.filter(side=side).sort("example_id"), SnapshotRow, tmp_path / f"{side}.jsonl")
    assert preference_leaks(tmp_path, []) == {}
    seen: dict[str, str] = {}
    for side, part in by_side.items():
        for pair in part.to_dicts():
            for cluster in set().union(*(clusters[name] for name in pair["example_ids"])):
                assert side_of(cluster, KEY, 0.4, 0.2) == side
            assert seen.setdefault(json.dumps(pair["prompt"]), side) == side
        others = chosen.filter(pl.col("side") != side)["messages"].list.slice(0, 1).to_list()
        assert not {turns[0]["content"] for turns in others} & {turns[0]["content"] for turns in part["prompt"]}


@slow
def test_no_pairs_are_no_rows() -> None:
    made = taken([answer(prompt_on("train"), "A", 5)])
    assert made.rows.is_empty() and made.drops == {} and {"side", "user_id", "source"} <= set(made.rows.columns)
