import hashlib
import random
from typing import Any

import polars as pl
import pytest

from ft_assets.dataset.preference_schema import PREFERENCE_PAIRS, PREFERENCE_SCHEMA
from ft_assets.dataset.preferences import PreferenceRules, Preferences, days_in_reach, pairs_of_days
from ft_assets.errors import BadInput
from ft_assets.validated import validated
from ft_assets_tests.dataset.preference_samples import DAY, answer, corrected, said, table

ASKED = "Why does the import stop?"


def pairs_of(*rows: dict[str, Any], days: tuple[str, ...] = (DAY,), **more: Any) -> Preferences:
    return pairs_of_days(table(rows), days, **more)


def two_sides(name: str, chosen: str = "It lost its lease.", rejected: str = "No idea.", **differs: Any) -> list[dict]:
    """The two answers that a landed comparison becomes."""
    sides = (("chosen", chosen), ("rejected", rejected))
    return [answer(ASKED, text, interaction_ids=[f"{name}:{side}"], **differs) for side, text in sides]


def test_a_correction_is_preferred_to_what_it_corrects() -> None:
    row = corrected(ASKED, "It lost its lease.", "No idea.", user_id="u", interaction_ids=["a", "b"])
    (pair,) = pairs_of(row).pairs.to_dicts()
    assert pair["prompt"] == row["messages"][:1] and pair["chosen"] == row["messages"][1:]
    assert pair["rejected"] == [{"role": "assistant", "content": "No idea.", "tool_calls": None}]
    assert (pair["origin"], pair["gap"], pair["day"], pair["user_id"]) == ("correction", None, DAY, "u")
    assert pair["example_ids"] == [row["example_id"]] and pair["interaction_ids"] == ["a", "b"]
    said_of = "\x1f".join([row["prompt_id"], "It lost its lease.", "", "No idea.", ""])
    assert pair["pair_id"] == hashlib.sha256(said_of.encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It lost  its\nlease.", "it LOST its lease. "),
        ("ｌｅａｓｅ lost", "lease lost"),
        ("Die Straße", "DIE STRASSE"),
        ("the “lease”", 'the "lease"'),
        ("a\u00a0b", "a b"),
    ],
)
def test_what_differs_in_case_spacing_or_unicode_form_only_is_no_pair(one: str, other: str) -> None:
    compared = two_sides("c", f"So: {one}", f"so: {other}")
    made = pairs_of(corrected("another prompt", one, other), *compared)
    assert made.pairs.is_empty() and made.drops == {DAY: {"same_answers": 2}}


def test_a_correction_of_nothing_is_counted_and_no_pair() -> None:
    made = pairs_of(corrected(ASKED, "It lost its lease.", None), corrected("p", "It lost its lease.", " \n"))
    assert made.pairs.is_empty() and made.drops == {DAY: {"no_original_answer": 2}}


def test_an_answer_that_only_calls_a_tool_differs_by_its_call() -> None:
    calls = [answer(ASKED, "", rating, tool_calls=f'[{{"n": {rating}}}]') for rating in (5, 1)]
    assert pairs_of(*calls).pairs.height == 1


def test_a_landed_comparison_is_a_pair() -> None:
    (pair,) = pairs_of(*two_sides("c")).pairs.to_dicts()
    assert (pair["origin"], pair["interaction_ids"]) == ("file", ["c:chosen", "c:rejected"])
    assert pair["chosen"][0]["content"] == "It lost its lease." and pair["rejected"][0]["content"] == "No idea."
    assert pairs_of(*two_sides("c", source_kind="outcome")).pairs["origin"].to_list() == ["outcome"]


def test_answers_that_several_comparisons_share_make_a_pair_each() -> None:
    sides = {"A": ["1:chosen", "2:chosen"], "B": ["1:rejected", "3:chosen"], "C": ["2:rejected", "3:rejected"]}
    rows = [answer(ASKED, text, interaction_ids=ids) for text, ids in sides.items()]
    assert said(pairs_of(*rows).pairs) == [("A", "B"), ("A", "C"), ("B", "C")]


def test_a_comparison_that_lost_a_side_or_has_two_prompts_is_counted() -> None:
    chosen, _ = two_sides("lost")
    here, _ = two_sides("c", "x")
    _, there = two_sides("c", system="Answer briefly.")
    made = pairs_of(chosen, here, there)
    assert made.pairs.is_empty()
    assert made.drops == {DAY: {"one_side_is_no_example": 1, "prompts_differ": 1}}


def test_a_side_that_is_an_example_of_another_day_is_found_by_its_copy() -> None:
    chosen, rejected = answer(ASKED, "A", day="2026-03-01"), answer(ASKED, "B", interaction_ids=["c:rejected"])
    copies = pl.DataFrame({"interaction_id": ["c:chosen"], "example_id": [chosen["example_id"]], "day": [DAY]})
    assert pairs_of(chosen, rejected).drops == {DAY: {"one_side_is_no_example": 1}}
    assert said(pairs_of(chosen, rejected, copies=copies).pairs) == [("A", "B")]
    both = pl.concat(
        [copies, copies.with_columns(interaction_id=pl.lit("c:rejected"), example_id=pl.lit(rejected["example_id"]))]
    )
    old = rejected | {"day": "2026-03-02", "interaction_ids": ["older"]}
    assert said(pairs_of(chosen, old, copies=both).pairs) == [("A", "B")]


@pytest.mark.parametrize(
    ("differs", "reason"),
    [({"faults": ["refusal"]}, "chosen_has_faults"), ({"conflicting": True}, "conflicting_votes")],
)
def test_nobody_is_preferred_with_faults_or_in_doubt(differs: dict[str, Any], reason: str) -> None:
    chosen, rejected = two_sides("c")
    made = pairs_of(chosen | differs, rejected, corrected("p", "good", "bad", **differs))
    assert made.pairs.is_empty() and made.drops == {DAY: {reason: 2}}
    assert pairs_of(chosen, rejected | differs).pairs.is_empty() == ("conflicting" in differs)


def test_the_day_of_a_pair_is_that_of_its_later_answer() -> None:
    chosen, rejected = two_sides("c")
    early = chosen | {"day": "2026-03-09"}
    assert pairs_of(early, rejected).pairs.height == 1
    assert pairs_of(early, rejected, days=("2026-03-09",)).pairs.is_empty()
    week = PreferenceRules(lookback_days=7)
    assert pairs_of(chosen | {"day": "2026-03-03"}, rejected, rules=week).pairs.height == 1
    assert pairs_of(chosen | {"day": "2026-03-02"}, rejected, rules=week).drops == {DAY: {"one_side_is_no_example": 1}}
    rated = answer(ASKED, "A", 5, day="2026-03-03"), answer(ASKED, "B", 1)
    assert pairs_of(*rated, rules=week).pairs["day"].to_list() == [DAY]
    assert pairs_of(*rated, rules=PreferenceRules(lookback_days=6)).pairs.is_empty()


def test_a_pair_is_made_once_by_its_first_origin_on_its_first_day() -> None:
    chosen, rejected = two_sides("c", signals=[{"name": "rating", "value": 5.0, "source": "user"}])
    rejected["signals"] = [{"name": "rating", "value": 1.0, "source": "user"}]
    made = pairs_of(chosen, rejected)
    assert made.pairs["origin"].to_list() == ["file"] and made.drops == {DAY: {"pair_is_there_already": 1}}
    held = made.pairs.select("pair_id", day=pl.lit("2026-03-01"))
    again = pairs_of(chosen, rejected, published=held)
    assert again.pairs.is_empty() and again.drops == {DAY: {"pair_is_there_already": 2}}
    later = held.with_columns(day=pl.lit("2026-03-11"))
    assert pairs_of(chosen, rejected, published=later).pairs.height == 1


@pytest.mark.slow
def test_many_days_at_once_give_what_one_day_after_the_other_gives() -> None:
    draw = random.Random(5)
    days = [f"2026-03-{day:02d}" for day in range(1, 7)]
    rows = []
    for number in range(90):
        prompt, day = f"prompt {draw.randrange(8)}", draw.choice(days)
        kind = draw.randrange(4)
        if kind == 0:
            rows.append(corrected(prompt, f"right {number}", f"wrong {draw.randrange(5)}", day=day))
        else:
            row = answer(prompt, f"answer {number}", draw.choice((1, 3, 4, 5)), day=day)
            rows.append(row | {"faults": ["truncated"] if kind == 1 else [], "conflicting": draw.random() < 0.1})
    rules = PreferenceRules(lookback_days=2, most_pairs_per_prompt=2)
    at_once = pairs_of(*rows, days=tuple(days), rules=rules)
    by_day = [pairs_of(*rows, days=(day,), rules=rules) for day in days]
    assert at_once.pairs.sort("pair_id").equals(pl.concat([each.pairs for each in by_day]).sort("pair_id"))
    assert at_once.drops == {day: drops for each in by_day for day, drops in each.drops.items()}
    assert at_once.pairs["origin"].value_counts().height == 2
    assert validated(PREFERENCE_PAIRS, at_once.pairs, days) is at_once.pairs
    shuffled = pairs_of(*draw.sample(rows, len(rows)), days=tuple(days), rules=rules)
    assert shuffled.pairs.equals(at_once.pairs)


def test_days_before_a_day() -> None:
    assert days_in_reach(["2026-03-02"], 2) == ["2026-02-28", "2026-03-01", "2026-03-02"]


def test_a_table_of_an_earlier_version_is_refused_with_its_remedy() -> None:
    older = table([]).drop("faults", "original_answer")
    with pytest.raises(BadInput, match=r"original_answer, faults are missing.*recurate"):
        pairs_of_days(older, [DAY])


def test_a_table_of_which_some_days_are_older_is_read() -> None:
    older = table([answer(ASKED, "A", 5), answer(ASKED, "B", 1)]).with_columns(
        faults=pl.lit(None, dtype=pl.List(pl.String)), conflicting=pl.lit(None, dtype=pl.Boolean)
    )
    assert pairs_of_days(older, [DAY]).pairs.height == 1


def test_a_day_without_answers_has_no_pairs() -> None:
    made = pairs_of_days(table([]), [DAY])
    assert made.pairs.schema == PREFERENCE_SCHEMA and made.pairs.is_empty() and made.drops == {DAY: {}}
