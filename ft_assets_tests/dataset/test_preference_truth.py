import polars as pl
import pytest

from ft_assets.dataset.preference_schema import PREFERENCE_PAIRS
from ft_assets.dataset.preference_truth import pairs_of_one_answer, untrue_pairs
from ft_assets.dataset.preferences import pairs_of_days
from ft_assets.errors import BadOutput
from ft_assets.validated import validated
from ft_assets_tests.dataset.preference_samples import DAY, answer, corrected, table

CORRECTED, GOOD, BAD = corrected("p", "right", "wrong"), answer("q", "good", 5), answer("q", "bad", 1)
ROWS = [CORRECTED, GOOD, BAD]
OTHER = [{"role": "assistant", "content": "RIGHT  ", "tool_calls": None}]


def made() -> pl.DataFrame:
    return pairs_of_days(table(ROWS), [DAY]).pairs.sort("origin")


def test_pairs_as_they_are_made_hold() -> None:
    assert untrue_pairs(made(), table(ROWS)) == {} and pairs_of_one_answer(made()) == []


def test_two_spellings_of_one_answer_are_found() -> None:
    pairs = made().with_columns(rejected=pl.Series([OTHER, OTHER], dtype=made().schema["rejected"]))
    assert pairs_of_one_answer(pairs) == [pairs["pair_id"][0]]


@pytest.mark.torch
@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([CORRECTED, GOOD], "an example is gone"),
        ([CORRECTED, GOOD | {"faults": ["refusal"]}, BAD], "the chosen answer has faults"),
        ([CORRECTED, GOOD, BAD | {"conflicting": True}], "votes about a side contradict each other"),
        ([CORRECTED, GOOD | {"messages": BAD["messages"]}, BAD], "the chosen answer is another"),
        ([CORRECTED, GOOD, BAD | {"messages": GOOD["messages"]}], "the rejected answer is another"),
        ([CORRECTED, GOOD, BAD | {"messages": CORRECTED["messages"]}], "the prompts differ"),
        ([CORRECTED | {"original_answer": "else"}, GOOD, BAD], "the rejected answer is another"),
        ([CORRECTED | {"original_answer": None}, GOOD, BAD], "the rejected answer is another"),
    ],
)
def test_what_examples_no_longer_say_is_found(rows: list[dict], why: str) -> None:
    assert list(untrue_pairs(made(), table(rows)).values()) == [why]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("pair_id", "x"),
        ("day", "2026-13-01"),
        ("cluster_id", None),
        ("example_ids", []),
        ("example_ids", ["a" * 64, "b" * 64]),
        ("interaction_ids", []),
        ("prompt", []),
        ("chosen", []),
        ("chosen", [*OTHER, *OTHER]),
        ("rejected", [{"role": "user", "content": "x", "tool_calls": None}]),
        ("rejected", CORRECTED["messages"][1:]),
        ("origin", "guess"),
        ("gap", 0.5),
        ("reasoning_mode", "else"),
        ("source", " "),
    ],
)
def test_every_rule_of_the_table_refuses_a_row_that_breaks_it(column: str, value: object) -> None:
    good = made().filter(origin="correction")
    broken = good.with_columns(pl.Series(column, [value], dtype=good.schema[column]))
    assert validated(PREFERENCE_PAIRS, good, [DAY]) is good
    with pytest.raises(BadOutput, match=rf"'{column} "):
        validated(PREFERENCE_PAIRS, broken, [DAY])
