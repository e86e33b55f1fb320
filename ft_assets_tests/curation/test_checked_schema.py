"""Every rule of curated_examples refuses a frame that really breaks it."""

from typing import Any

import polars as pl
import pytest

from ft_assets.curation.checked_schema import CURATED_EXAMPLES
from ft_assets.errors import BadOutput
from ft_assets.validated import validated

DAY = "2026-01-05"
A, B = "a" * 32, "b" * 32
QUESTION = {"role": "user", "content": "What is a lease?", "tool_calls": None}
ANSWER = {"role": "assistant", "content": "A lock that ends by itself.", "tool_calls": None}
FULL: dict[str, Any] = {
    "example_id": A,
    "interaction_ids": ["it-1", "it-2"],
    "day": DAY,
    "reasoning_mode": "standard",
    "source": "chat",
    "source_kind": "interaction",
    "prompt_id": A,
    "answer_id": A,
    "messages": [QUESTION, ANSWER],
    "high_score": True,
    "quality_score": 0.9,
    "signals": [{"name": "rating", "value": 4.5, "source": "user"}],
    "human_verified": False,
    "corrected": False,
    "tags": [],
    "duplicate_group": A,
    "cluster_id": A,
    "linked_clusters": [],
    "n_tokens": 12,
    "masked": [{"kind": "email", "count": 2}],
    "original_answer": None,
    "faults": [],
    "conflicting": False,
    "low_score_reason": None,
}


def frame(*changes: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([FULL | change for change in changes], schema=CURATED_EXAMPLES.columns)


def test_good_rows_pass_with_and_without_signals_masks_and_bridges() -> None:
    low = {"example_id": B, "high_score": False, "quality_score": None, "low_score_reason": "no signal"}
    rows = frame({}, low | {"signals": [], "masked": [], "cluster_id": B, "linked_clusters": [A], "n_tokens": 0})
    assert validated(CURATED_EXAMPLES, rows, [DAY]) is rows


def test_no_rows_pass() -> None:
    assert validated(CURATED_EXAMPLES, frame({}).clear(), [DAY]).height == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("prompt_id", A[:-1]),
        ("prompt_id", A * 2),
        ("answer_id", "A" * 32),
        ("duplicate_group", A + "\n"),
        ("cluster_id", ""),
        ("original_answer", "An answer that nobody corrected."),
        ("faults", ["boring"]),
        ("conflicting", None),
        ("interaction_ids", []),
        ("interaction_ids", [None]),
        ("day", "2026-01-06"),
        ("reasoning_mode", "guess"),
        ("source", " "),
        ("source_kind", ""),
        ("messages", []),
        ("messages", [None]),
        ("messages", [QUESTION | {"role": "human"}, ANSWER]),
        ("messages", [QUESTION | {"content": None}, ANSWER]),
        ("messages", [QUESTION]),
        ("messages", [QUESTION, ANSWER, {"role": "tool", "content": "", "tool_calls": None}]),
        ("quality_score", -0.01),
        ("quality_score", float("nan")),
        ("signals", [{"name": None, "value": 1.0, "source": "user"}]),
        ("signals", [{"name": "rating", "value": None, "source": "user"}]),
        ("linked_clusters", ["another"]),
        ("linked_clusters", [B, A]),
        ("n_tokens", -1),
        ("masked", [{"kind": "email", "count": 0}]),
        ("masked", [{"kind": None, "count": 1}]),
        ("low_score_reason", "rating 2 of 5"),
    ],
)
def test_an_example_that_breaks_a_rule_is_refused_by_column_and_id(column: str, value: object) -> None:
    rows = frame({}, {"example_id": B, column: value})
    with pytest.raises(BadOutput, match=rf"'{column} .*does not hold in 1 of 2 rows, such as {B}") as refused:
        validated(CURATED_EXAMPLES, rows, [DAY])
    assert "lock" not in str(refused.value)


@pytest.mark.parametrize("column", sorted(CURATED_EXAMPLES.required))
def test_an_example_has_a_value_in_every_required_column(column: str) -> None:
    with pytest.raises(BadOutput, match=f"'{column} is never null' does not hold in 1 of 1 rows"):
        validated(CURATED_EXAMPLES, frame({column: None}), [DAY])


def test_an_example_belongs_to_a_day_that_exists() -> None:
    with pytest.raises(BadOutput, match="'day is a day as YYYY-MM-DD'"):
        validated(CURATED_EXAMPLES, frame({"day": "2026-02-30"}), ["2026-02-30"])


def test_a_low_score_needs_its_reason() -> None:
    with pytest.raises(BadOutput, match="'low_score_reason is null exactly where high_score is true'"):
        validated(CURATED_EXAMPLES, frame({"high_score": False}), [DAY])


def test_an_example_that_stands_twice_in_a_frame_is_refused() -> None:
    with pytest.raises(BadOutput, match=f"'example_id occurs once' does not hold in 1 of 2 rows, such as {A}"):
        validated(CURATED_EXAMPLES, frame({}, {}), [DAY])


def test_an_id_that_is_no_digest_is_not_quoted() -> None:
    with pytest.raises(BadOutput, match="such as row 0") as refused:
        validated(CURATED_EXAMPLES, frame({"example_id": "ada@example.org"}), [DAY])
    assert "ada" not in str(refused.value)
