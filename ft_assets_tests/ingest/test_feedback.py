import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ft_assets.ingest.schema import FEEDBACK_SCHEMA
from ft_assets.records import Feedback
from ft_assets_tests.ingest.reading import DAY, read_day, rules_broken
from ft_assets_tests.ingest.test_tables import as_csv


def given(*records: dict[str, Any]) -> list[dict[str, Any]]:
    """The feedback rows of a day with these records, each held to the definition of feedback."""
    day = read_day("a.jsonl", "".join(json.dumps(record) + "\n" for record in records).encode())
    assert day.rejections == []
    assert day.feedback.schema == FEEDBACK_SCHEMA
    assert [Feedback(**row).model_dump() for row in day.feedback.to_dicts()] == day.feedback.to_dicts()
    return day.feedback.to_dicts()


def refused(record: dict[str, Any]) -> str:
    day = read_day("a.jsonl", json.dumps(record).encode() + b"\n")
    assert day.rows.height == day.feedback.height == 0
    return day.rejections[0].rule


def test_a_record_that_names_an_interaction_and_holds_no_text_is_feedback() -> None:
    (row,) = given({"interaction_id": "int-1", "user_rating": 4.5, "user_id": "u", "timestamp": "2026-01-06T00:00:00Z"})
    assert row == {
        "interaction_id": "int-1",
        "day": DAY,
        "timestamp": datetime(2026, 1, 6, tzinfo=UTC),
        "user_id": "u",
        "kind": "rating",
        "value": "4.5",
        "source": "a",
        "source_file": "a.jsonl",
        "source_line": 1,
    }


def test_each_kind_of_signal_is_a_row_of_its_own() -> None:
    record = {
        "interaction_id": 7,
        "rating": 2,
        "verdict": "Rejected",
        "correction": "four",
        "outcome": {"success": False},
        "source": "review",
    }
    rows = given(record)
    assert [(row["kind"], row["value"]) for row in rows] == [
        ("rating", "2"),
        ("verdict", "reject"),
        ("correction", "four"),
        ("outcome", '{"success": false}'),
    ]
    assert {(row["interaction_id"], row["source"]) for row in rows} == {("7", "review")}


@pytest.mark.parametrize(
    ("record", "kind", "value"),
    [
        ({"user_feedback": 5}, "rating", "5"),
        ({"expert_verdict": "accept"}, "verdict", "accept"),
        ({"corrected_output": "four"}, "correction", "four"),
        ({"outcome": '{"latency_ms": 3}', "rating": None}, "outcome", '{"latency_ms": 3}'),
        ({"rating": 3, "metadata": {"user_id": "u"}}, "rating", "3"),
    ],
)
def test_every_name_of_a_signal_is_read(record: dict[str, Any], kind: str, value: str) -> None:
    (row,) = given({"interaction_id": "a"} | record)
    assert (row["kind"], row["value"]) == (kind, value)


def test_a_record_with_text_is_an_interaction_and_its_rating_stays_with_it() -> None:
    record = {"interaction_id": "a", "rating": 4, "input_text": "q", "output_text": "a"}
    day = read_day("a.jsonl", json.dumps(record).encode() + b"\n")
    assert (day.rows["rating"].to_list(), day.feedback.height) == ([4.0], 0)


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ({"interaction_id": "a", "rating": 9}, "bad_rating"),
        ({"interaction_id": "a", "rating": "4"}, "bad_rating"),
        ({"interaction_id": "a", "rating": 4, "user_rating": 2}, "bad_rating"),
        ({"interaction_id": "a", "verdict": "maybe"}, "bad_expert_verdict"),
        ({"interaction_id": "a", "correction": 4}, "bad_corrected_output"),
        ({"interaction_id": "a", "rating": None, "correction": "  "}, "empty_feedback"),
        ({"interaction_id": "  ", "rating": 4}, "empty_feedback"),
        ({"interaction_id": None, "rating": 4}, "empty_feedback"),
        ({"interaction_id": "a", "timestamp": "soon", "rating": 4}, "bad_timestamp"),
        ({"interaction_id": "a", "rating": 4, "output": "half of an interaction"}, "unknown_format"),
        ({"interaction_id": "a", "user_id": "u"}, "unknown_format"),
        ({"id": "a", "rating": 4}, "unknown_format"),
    ],
)
def test_feedback_that_cannot_be_used_is_rejected_by_name(record: dict[str, Any], rule: str) -> None:
    assert refused(record) == rule


def test_feedback_that_says_the_same_again_is_one_row_and_another_user_or_moment_is_not() -> None:
    rating = {"interaction_id": "a", "user_id": "u", "rating": 4, "timestamp": "2026-01-06"}
    records = [rating, rating | {"user_id": "v"}, rating, rating | {"timestamp": "2026-01-07"}, rating | {"rating": 5}]
    records += [{"interaction_id": "b", "rating": 1}, {"interaction_id": "b", "rating": 1.0}]
    day = read_day("a.jsonl", "".join(json.dumps(record) + "\n" for record in records).encode())
    assert rules_broken(day) == [("a.jsonl:3", "duplicate_feedback"), ("a.jsonl:7", "duplicate_feedback")]
    assert day.feedback["source_line"].to_list() == [1, 2, 4, 5, 6]


def test_feedback_and_interactions_share_a_file_and_a_table() -> None:
    rows = [
        {"interaction_id": "a", "input": "q", "output": "a", "rating": "4"},
        {"interaction_id": "b", "rating": "3"},
    ]
    day = read_day("a.csv", as_csv(*rows))
    assert rules_broken(day) == [("a.csv:3", "bad_input")]
    day = read_day("a.csv", as_csv(*rows[1:]))
    assert day.feedback.select("interaction_id", "value").rows() == [("b", "3")]
    assert day.counts["expanded"] == 0


def test_what_feedback_carries_beside_its_signals_is_named_as_unread() -> None:
    day = read_day("a.jsonl", b'{"interaction_id": "a", "rating": 4, "verdict": "accept", "page": 3}\n')
    assert day.counts["unread_fields"] == {"page": 1}
    assert (day.counts["records"], day.counts["expanded"], day.counts["feedback"]) == (1, 1, 2)
