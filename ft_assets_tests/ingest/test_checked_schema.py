"""Every rule of raw_interactions and feedback refuses a frame that really breaks it."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from ft_assets.errors import BadOutput
from ft_assets.ingest.checked_schema import FEEDBACK, RAW_INTERACTIONS
from ft_assets.validated import CheckedTable, validated

DAY = "2026-01-05"
QUESTION = {"role": "user", "content": "What is a lease?", "tool_calls": None}
ANSWER = {"role": "assistant", "content": "A lock that ends by itself.", "tool_calls": None}
ORIGIN = {"day": DAY, "source": "chat", "source_file": "chat.jsonl", "source_line": 7}
FULL: dict[CheckedTable, dict[str, Any]] = {
    RAW_INTERACTIONS: ORIGIN
    | {
        "interaction_id": "it-1",
        "timestamp": datetime(2026, 1, 5, tzinfo=UTC),
        "reasoning_mode": "standard",
        "messages": [QUESTION, ANSWER],
        "rating": 4.5,
        "judge": [{"criterion": "clarity", "score": 0.9}],
        "expert_verdict": "accept",
        "latency_ms": 12.0,
        "prompt_tokens": 0,
        "completion_tokens": 9,
        "source_kind": "interaction",
        "tags": ["locks"],
    },
    FEEDBACK: ORIGIN | {"interaction_id": "it-1", "kind": "rating", "value": "4.5"},
}
BARE = {"rating", "judge", "expert_verdict", "latency_ms", "prompt_tokens", "completion_tokens", "tags", "timestamp"}


def frame(table: CheckedTable, *changes: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([FULL[table] | change for change in changes], schema=table.columns)


@pytest.mark.parametrize("table", [RAW_INTERACTIONS, FEEDBACK], ids=lambda table: table.name)
def test_good_rows_and_no_rows_pass(table: CheckedTable) -> None:
    rows = frame(table, {})
    assert validated(table, rows, [DAY]) is rows
    assert validated(table, rows.clear(), [DAY]).height == 0


def test_a_row_without_any_signal_passes() -> None:
    assert validated(RAW_INTERACTIONS, frame(RAW_INTERACTIONS, dict.fromkeys(BARE)), [DAY]).height == 1


@pytest.mark.parametrize(
    ("table", "column"),
    [(table, column) for table in FULL for column in sorted(table.required)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_required_column_is_never_null(table: CheckedTable, column: str) -> None:
    with pytest.raises(BadOutput, match=f"'{column} is never null' does not hold in 1 of 1 rows"):
        validated(table, frame(table, {column: None}), [DAY])


@pytest.mark.parametrize("table", list(FULL), ids=lambda table: table.name)
def test_a_row_belongs_to_a_day_that_exists(table: CheckedTable) -> None:
    with pytest.raises(BadOutput, match="'day is a day as YYYY-MM-DD'"):
        validated(table, frame(table, {"day": "2026-02-30"}), ["2026-02-30"])


@pytest.mark.parametrize("kind_and_value", ["rating 1", "verdict reject", "correction 7", 'outcome {"passed": true}'])
def test_each_kind_of_feedback_passes(kind_and_value: str) -> None:
    kind, value = kind_and_value.split(" ", 1)
    validated(FEEDBACK, frame(FEEDBACK, {"kind": kind, "value": value}), [DAY])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("interaction_id", " "),
        ("day", "2026-01-06"),
        ("reasoning_mode", "guess"),
        ("messages", []),
        ("messages", [None, ANSWER]),
        ("messages", [QUESTION | {"role": "human"}, ANSWER]),
        ("messages", [QUESTION | {"role": None}, ANSWER]),
        ("messages", [QUESTION, ANSWER | {"content": None}]),
        ("rating", 0.5),
        ("rating", 5.1),
        ("rating", float("nan")),
        ("judge", [{"criterion": "clarity", "score": 0.5}, {"criterion": "clarity", "score": 1.2}]),
        ("judge", [{"criterion": "clarity", "score": float("nan")}]),
        ("judge", [{"criterion": None, "score": 0.5}]),
        ("judge", [None]),
        ("expert_verdict", "approved"),
        ("latency_ms", -1.0),
        ("latency_ms", float("nan")),
        ("latency_ms", float("inf")),
        ("prompt_tokens", -1),
        ("completion_tokens", -1),
        ("source", ""),
        ("source_kind", ""),
        ("source_file", ""),
        ("source_line", 0),
    ],
)
def test_an_interaction_that_breaks_a_rule_is_refused_by_column_and_place(column: str, value: object) -> None:
    rows = frame(RAW_INTERACTIONS, {}, {"interaction_id": "it-2", "source_line": 8, column: value})
    with pytest.raises(BadOutput, match=rf"'{column} .*does not hold in 1 of 2 rows") as refused:
        validated(RAW_INTERACTIONS, rows, [DAY])
    assert str(rows.select(RAW_INTERACTIONS.row_key)[1].item()) in str(refused.value)
    assert "lock" not in str(refused.value)


def test_an_interaction_that_stands_twice_in_a_frame_is_refused() -> None:
    with pytest.raises(BadOutput, match=r"'interaction_id occurs once'.*2026-01-05/chat.jsonl:8"):
        validated(RAW_INTERACTIONS, frame(RAW_INTERACTIONS, {}, {"source_line": 8}), [DAY])


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "praise"},
        {"value": "6"},
        {"value": "good"},
        {"value": "NaN"},
        {"kind": "verdict", "value": "approved"},
        {"kind": "correction", "value": "\n "},
        {"kind": "outcome", "value": ""},
        {"interaction_id": ""},
        {"day": "2026-1-5"},
        {"source": ""},
        {"source_file": " "},
        {"source_line": 0},
    ],
    ids=str,
)
def test_feedback_that_breaks_a_rule_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadOutput, match="feedback would not be"):
        validated(FEEDBACK, frame(FEEDBACK, {}, change), [DAY])
