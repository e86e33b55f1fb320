import json
from typing import Any

import pytest

from ft_assets_tests.ingest.reading import read_day, turns

FIELDS = {"prompt": "2 + 2?", "response": "5"}
ANSWERED = [("user", "2 + 2?"), ("assistant", "5")]


def row(record: dict[str, Any]) -> dict[str, Any]:
    day = read_day("a.jsonl", json.dumps(record).encode() + b"\n")
    assert day.rejections == []
    assert turns(day)[0] == ANSWERED
    return day.rows.row(0, named=True)


def refused(record: dict[str, Any]) -> str:
    (rejection,) = read_day("a.jsonl", json.dumps(record).encode() + b"\n").rejections
    return rejection.rule


def by_annotator(*answers: dict[str, Any], status: str = "submitted") -> list[dict[str, Any]]:
    return [
        {"user_id": str(number), "status": status, "values": {name: {"value": value} for name, value in each.items()}}
        for number, each in enumerate(answers)
    ]


def test_the_layout_with_an_entry_per_annotator_is_read() -> None:
    record = {
        "id": "r1",
        "fields": FIELDS,
        "responses": by_annotator({"rating": 4, "correction": "4"}, {"rating": 5}),
        "suggestions": [{"question_name": "rating", "value": 1, "agent": "a-model"}],
        "metadata": {"task_type": "qa", "source": "review", "rounds": 2},
    }
    read = row(record)
    assert (read["interaction_id"], read["rating"], read["corrected_output"]) == ("r1", 4.5, "4")
    assert (read["task_type"], read["source"]) == ("qa", "review")


def test_the_layout_with_an_entry_per_question_is_read() -> None:
    responses = {"overall_rating": [{"value": 4, "user_id": "u"}], "verdict": [{"value": "reject", "user_id": "u"}]}
    suggestions = {"overall_rating": {"value": 1, "score": None, "agent": "a-model"}}
    read = row({"id": "r1", "fields": FIELDS, "responses": responses, "suggestions": suggestions, "_server_id": "x"})
    assert (read["rating"], read["expert_verdict"], read["corrected_output"]) == (4.0, "reject", None)


@pytest.mark.parametrize("responses", [[], {}, None, by_annotator({"rating": 1}, status="discarded")])
def test_a_record_that_nobody_answered_is_an_interaction_without_signals(responses: Any) -> None:
    read = row({"fields": FIELDS, "responses": responses})
    assert (read["rating"], read["corrected_output"], read["expert_verdict"]) == (None, None, None)


def test_what_a_model_suggested_is_no_rating() -> None:
    assert row({"fields": FIELDS, "suggestions": [{"question_name": "rating", "value": 5}]})["rating"] is None


@pytest.mark.parametrize(
    "fields",
    [
        FIELDS,
        {"Instruction": "2 + 2?", "output": "5"},
        {"question": "2 + 2?", "answer": "5", "context": "sums"},
        {"input": "2 + 2?", "output": "5"},
        {"messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "5"}]},
    ],
)
def test_question_and_answer_are_known_by_their_names(fields: dict[str, Any]) -> None:
    assert row({"fields": fields, "responses": []})["context"] == fields.get("context")


def test_an_instruction_with_an_input_is_one_user_turn() -> None:
    fields = {"instruction": "Add.", "input": "2, 2", "response": "4"}
    day = read_day("a.jsonl", json.dumps({"fields": fields, "responses": []}).encode())
    assert turns(day)[0][0] == ("user", "Add.\n\n2, 2")


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ({"fields": FIELDS, "responses": by_annotator({"rating": 7})}, "bad_rating"),
        ({"fields": FIELDS, "responses": by_annotator({"rating": "4"})}, "bad_rating"),
        (
            {"fields": FIELDS, "responses": by_annotator({"correction": "a"}, {"correction": "b"})},
            "bad_corrected_output",
        ),
        (
            {"fields": FIELDS, "responses": by_annotator({"clarity-rating": 1, "depth-rating": 5})},
            "ambiguous_argilla_questions",
        ),
        ({"fields": {"text": "a", "label": "b"}, "responses": []}, "unknown_argilla_fields"),
        ({"fields": {"prompt": "q"}, "responses": []}, "unknown_argilla_fields"),
        ({"fields": FIELDS | {"completion": "x"}, "responses": []}, "unknown_argilla_fields"),
        ({"fields": FIELDS, "responses": "none"}, "bad_responses"),
        ({"fields": FIELDS, "responses": [3]}, "bad_responses"),
        ({"fields": FIELDS, "responses": {"rating": [3]}}, "bad_responses"),
        ({"fields": {"prompt": 3, "response": "a"}, "responses": []}, "bad_fields.prompt"),
        ({"fields": FIELDS}, "unknown_format"),
        ({"fields": ["prompt"], "responses": []}, "unknown_format"),
    ],
)
def test_what_cannot_be_told_is_rejected_by_name(record: dict[str, Any], rule: str) -> None:
    assert refused(record) == rule
