import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.ingest.columns import interaction_frame
from ft_assets.ingest.field_names import FIELD_NAMES
from ft_assets.ingest.formats import FORMATS, TEXT_KEYS
from ft_assets.ingest.parse import Parsed, parse, task_named_by
from ft_assets.ingest.typed_values import Unreadable
from ft_assets.records import Interaction

FILE = "rows.jsonl"
USER, ANSWER = {"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}
NATIVE = {"input_text": "2 + 2?", "output_text": "4"}


def items(record: object, file: str = FILE) -> list[Interaction | Unreadable]:
    """What a record becomes, each row as the frame holds it and held to the definition of an interaction."""
    found: list[Interaction | Unreadable] = []
    for part in parse(record, task_named_by(file)):
        if isinstance(part, Unreadable):
            found.append(part)
        elif part.format != "feedback":
            rows = [row | {"source_line": 7} for row in part.rows]
            found += [Interaction(**row) for row in interaction_frame(rows, "2026-01-05", file).to_dicts()]
    return found


def only(record: object, file: str = FILE) -> Interaction:
    (item,) = items(record, file)
    assert isinstance(item, Interaction), item
    return item


def rejected(record: object) -> Unreadable:
    (item,) = items(record)
    assert isinstance(item, Unreadable), item
    return item


def turns(item: Interaction) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in item.messages]


def test_a_native_row_keeps_every_field() -> None:
    row = NATIVE | {
        "id": "int-1",
        "timestamp": "2025-01-06T09:00:00+01:00",
        "user_id": "u7",
        "conversation_id": 12,
        "role": "System_Architect",
        "task_type": "Tool-Call",
        "reasoning_mode": "direct",
        "context": "agent: hello",
        "user_feedback": 4.5,
        "judge_score": 0.9,
        "expert_verdict": "Accepted",
        "corrected_output": "four",
        "outcome": {"success": True},
        "latency_ms": 12,
        "prompt_tokens": 3,
        "completion_tokens": 1,
        "source": "ide",
        "domain": "maths",
        "difficulty": 2,
        "tags": ["sum"],
        "model": "m-1",
    }
    item = only(row)
    assert turns(item) == [("user", "2 + 2?"), ("assistant", "4")]
    assert item.interaction_id == "int-1"
    assert item.timestamp == datetime(2025, 1, 6, 8, tzinfo=UTC)
    assert (item.user_id, item.conversation_id, item.model_version) == ("u7", "12", "m-1")
    assert (item.role, item.task_type, item.reasoning_mode) == ("software-architect", "tool_call", "standard")
    assert (item.rating, item.judge[0].criterion, item.judge[0].score) == (4.5, "overall", 0.9)
    assert (item.expert_verdict, item.corrected_output, item.outcome) == ("accept", "four", '{"success": true}')
    assert (item.latency_ms, item.prompt_tokens, item.completion_tokens) == (12.0, 3, 1)
    assert (item.source, item.source_kind, item.domain, item.difficulty, item.tags) == (
        "ide",
        "interaction",
        "maths",
        "2",
        ["sum"],
    )
    assert (item.day, item.source_file, item.source_line) == ("2026-01-05", "rows.jsonl", 7)


def test_a_native_row_may_hold_its_turns() -> None:
    item = only({"interaction_id": "a", "messages": [USER, ANSWER], "rating": 5})
    assert (turns(item), item.rating) == ([("user", "2 + 2?"), ("assistant", "4")], 5.0)


def test_an_examples_container_gives_its_examples() -> None:
    metadata = {"source": "review", "difficulty": "hard", "quality_score": 0.93, "tags": ["x"]}
    example = {"id": "e1", "role": "qa", "task_type": "test_cases", "messages": [USER, ANSWER], "metadata": metadata}
    first, second = items({"examples": [example, {"id": "e2"}]})
    assert isinstance(first, Interaction)
    assert (first.interaction_id, first.role, first.source, first.source_kind) == (
        "e1",
        "qa-engineer",
        "review",
        "example",
    )
    assert (first.difficulty, first.tags) == ("hard", ["x"])
    assert [(score.criterion, score.score) for score in first.judge] == [("quality_score", 0.93)]
    assert isinstance(second, Unreadable)


def test_input_and_output_become_a_turn_and_an_answer() -> None:
    item = only({"input": "2 + 2?", "output": "4"})
    assert (turns(item), item.task_type, item.source_kind) == (
        [("user", "2 + 2?"), ("assistant", "4")],
        None,
        "example",
    )


def test_the_task_of_an_input_output_record_is_its_field_or_stated_by_the_files_name_and_never_guessed() -> None:
    row = {"input": "2 + 2?", "output": "4"}
    named = "classification_paws.jsonl.gz"
    assert only(row, named).task_type == "classification"
    assert only(row | {"task": "summarization"}, named).task_type == "summarization"
    assert only(row, FILE).task_type is None
    assert only(NATIVE, named).task_type is None
    (parsed,) = parse(row, task_named_by(named))
    assert isinstance(parsed, Parsed)
    assert parsed.task_type_from_file


@pytest.mark.parametrize(
    ("file", "task"),
    [
        ("qa_cosmos.jsonl", "question_answering"),
        ("question_answering-3.json", "question_answering"),
        ("code_summarization.jsonl", "summarization"),
        ("classification_and_qa.jsonl", None),
        ("squad.jsonl", None),
        ("aqa.jsonl", None),
    ],
)
def test_a_file_name_states_a_task_only_by_exactly_one_task_word(file: str, task: str | None) -> None:
    assert task_named_by(file) == task


def test_openai_messages_keep_tool_calls_and_join_parts_of_text() -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}]
    record = {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "2 + 2?"}, {"type": "text", "text": "Now."}]},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "content": "4"},
            {"role": "assistant", "content": "4"},
        ]
    }
    item = only(record)
    assert turns(item) == [
        ("system", "Be brief."),
        ("user", "2 + 2?\nNow."),
        ("assistant", ""),
        ("tool", "4"),
        ("assistant", "4"),
    ]
    assert json.loads(item.messages[2].tool_calls or "") == calls


def test_alpaca_joins_instruction_and_input() -> None:
    assert turns(only({"instruction": "Add.", "input": "2, 2", "output": "4"}))[0] == ("user", "Add.\n\n2, 2")
    assert turns(only({"instruction": "Add 2 and 2.", "input": "", "output": "4"}))[0] == ("user", "Add 2 and 2.")
    assert turns(only({"instruction": "Add 2 and 2.", "output": "4"}))[1] == ("assistant", "4")


def test_sharegpt_conversations_are_read() -> None:
    record = {"conversations": [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}]}
    assert turns(only(record)) == [("user", "2 + 2?"), ("assistant", "4")]


def test_a_system_turn_beside_sharegpt_conversations_comes_first_and_only_once() -> None:
    said = [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}]
    whole = [("system", "Be short."), ("user", "2 + 2?"), ("assistant", "4")]
    assert turns(only({"system": "Be short.", "conversations": said})) == whole
    own = [{"from": "system", "value": "Be short."}, *said]
    assert turns(only({"system": "Be long.", "conversations": own})) == whole
    assert turns(only({"system": " ", "conversations": said})) == whole[1:]


def test_a_prompt_with_its_completion_is_a_question_and_its_answer() -> None:
    assert turns(only({"prompt": "2 + 2?", "completion": "4"})) == [("user", "2 + 2?"), ("assistant", "4")]
    assert turns(only({"prompt": [USER], "completion": [ANSWER]})) == [
        (USER["role"], USER["content"]),
        (ANSWER["role"], ANSWER["content"]),
    ]
    for label in (False, True, "false", 0):
        assert rejected({"prompt": "2 + 2?", "completion": "5", "label": label}).rule == "unknown_format"


def test_a_list_under_conversation_holds_the_turns_of_a_chat_log() -> None:
    record = {"conversation": [USER, ANSWER], "model": "a-model", "conversation_id": "c1"}
    item = only(record)
    assert turns(item) == [(USER["role"], USER["content"]), (ANSWER["role"], ANSWER["content"])]
    assert item.conversation_id == "c1"


def test_feedback_may_name_its_conversation_and_a_rated_log_with_turns_is_none() -> None:
    said = {"interaction_id": "i1", "user_rating": 5}
    for more in ({}, {"conversation": "c1"}, {"completion": "4"}):
        assert [part.format for part in parse({**said, **more}, None) if isinstance(part, Parsed)] == ["feedback"]
    log = only({**said, "conversation": [USER, ANSWER]})
    assert (log.interaction_id, turns(log)[-1]) == ("i1", (ANSWER["role"], ANSWER["content"]))


@pytest.mark.parametrize("more", [{"conversation": [{"role": "user"}]}, {"prompt": "P", "completion": "C"}])
def test_messages_are_read_from_their_own_key_whatever_stands_beside_them(more: dict[str, Any]) -> None:
    assert turns(only({"messages": [USER, ANSWER], **more}))[-1] == (ANSWER["role"], ANSWER["content"])


def test_a_preference_row_becomes_two_unrated_interactions_told_apart_by_their_outcome() -> None:
    chosen, lost = items({"id": "p1", "prompt": "2 + 2?", "chosen": "4", "rejected": "5"})
    assert isinstance(chosen, Interaction)
    assert isinstance(lost, Interaction)
    assert (turns(chosen)[-1], turns(lost)[-1]) == (("assistant", "4"), ("assistant", "5"))
    assert (chosen.interaction_id, lost.interaction_id) == ("p1:chosen", "p1:rejected")
    assert (chosen.outcome, lost.outcome) == ('{"preference": "chosen"}', '{"preference": "rejected"}')
    assert (chosen.rating, chosen.expert_verdict, chosen.judge) == (None, None, [])


def test_preference_sides_may_be_turns_with_or_without_the_prompt() -> None:
    bare, repeated = items(
        {"prompt": [USER], "chosen": [ANSWER], "rejected": [USER, ANSWER], "messages": [USER, ANSWER]}
    )
    assert isinstance(bare, Interaction)
    assert isinstance(repeated, Interaction)
    assert turns(bare) == turns(repeated)


def test_an_unknown_record_says_what_was_found_and_what_is_known_without_its_text() -> None:
    rejection = rejected({"question": "my password is hunter2", "john@example.com": 1})
    assert rejection.rule == "unknown_format"
    assert "question" in rejection.reason
    for shape in FORMATS:
        assert shape.name in rejection.reason
    assert "hunter2" not in rejection.reason
    assert "john" not in rejection.reason


def test_a_record_that_fits_two_formats_is_rejected_rather_than_guessed() -> None:
    rejection = rejected({"input": "a", "output": "b", "messages": [USER, ANSWER]})
    assert rejection.rule == "ambiguous_format"
    assert "messages" in rejection.reason
    assert "input_output" in rejection.reason


def test_keys_that_hold_nothing_do_not_make_a_record_ambiguous() -> None:
    assert turns(only({"input": None, "output": None, "messages": [USER, ANSWER]}))[1] == ("assistant", "4")
    assert rejected({"input": None, "output": None, "messages": None}).rule == "ambiguous_format"


@pytest.mark.parametrize(
    ("record", "rule"),
    [
        ({}, "unknown_format"),
        ({"examples": []}, "empty_examples"),
        ([], "not_an_object"),
        (None, "not_an_object"),
        ("text", "not_an_object"),
        (3, "not_an_object"),
        (NATIVE | {"user_feedback": 0}, "bad_rating"),
        (NATIVE | {"user_feedback": 5.5}, "bad_rating"),
        (NATIVE | {"rating": 87}, "bad_rating"),
        (NATIVE | {"rating": "5"}, "bad_rating"),
        (NATIVE | {"rating": True}, "bad_rating"),
        (NATIVE | {"rating": float("nan")}, "bad_rating"),
        (NATIVE | {"rating": 5, "user_feedback": 1}, "bad_rating"),
        (NATIVE | {"judge_score": 4}, "bad_judge"),
        (NATIVE | {"judge": {"clarity": 1.2}}, "bad_judge"),
        (NATIVE | {"judge": [0.4]}, "bad_judge"),
        ({"messages": [USER, ANSWER], "metadata": {"quality_score": 87}}, "bad_judge"),
        (NATIVE | {"timestamp": "yesterday"}, "bad_timestamp"),
        (NATIVE | {"timestamp": 10**400}, "bad_timestamp"),
        (NATIVE | {"timestamp": "0001-01-01T00:00:00+23:00"}, "bad_timestamp"),
        (NATIVE | {"latency_ms": float("inf")}, "bad_latency_ms"),
        (NATIVE | {"prompt_tokens": 10**30}, "bad_prompt_tokens"),
        (NATIVE | {"prompt_tokens": -1}, "bad_prompt_tokens"),
        (NATIVE | {"tags": "a,b"}, "bad_tags"),
        (NATIVE | {"expert_verdict": "maybe"}, "bad_expert_verdict"),
        (NATIVE | {"reasoning_mode": "telepathy"}, "bad_reasoning_mode"),
        (NATIVE | {"outcome": {"loss": float("nan")}}, "bad_outcome"),
        (NATIVE | {"user_id": {"a": 1}}, "bad_user_id"),
        (NATIVE | {"task": "Write a poem. " * 100}, "bad_task_type"),
        ({"input_text": 3, "output_text": "4"}, "bad_input_text"),
        ({"input_text": "half \ud83d", "output_text": "4"}, "lone_surrogate"),
        ({"messages": [USER | {"content": "half \ude00"}, ANSWER]}, "lone_surrogate"),
        ({"messages": []}, "empty_messages"),
        ({"messages": "hi"}, "bad_messages"),
        ({"messages": [1]}, "bad_messages"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "bad_messages"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "bad_messages"),
        ({"messages": [{"role": "user", "content": None}]}, "bad_messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "unsupported_content"),
        ({"conversations": [{"from": "narrator", "value": "x"}]}, "bad_messages"),
    ],
)
def test_what_is_wrong_is_rejected_by_name(record: object, rule: str) -> None:
    assert rejected(record).rule == rule


def test_a_wrong_scale_names_the_records_own_key_the_value_and_the_range() -> None:
    assert rejected(NATIVE | {"user_feedback": 87}).reason == "user_feedback is 87; wanted: a number from 1 to 5"


def test_deep_nesting_is_rejected_and_shallow_nesting_is_not() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    assert rejected(NATIVE | {"outcome": deep}).rule == "nested_too_deep"
    assert only(NATIVE | {"outcome": [[[1]]]}).outcome == "[[[1]]]"


def test_an_id_of_its_own_content_is_stable_and_tells_records_apart() -> None:
    base = only(NATIVE).interaction_id
    assert base == only(dict(reversed(NATIVE.items())), "other.jsonl").interaction_id
    assert len(base) == 64
    variants = [{"user_id": "u"}, {"timestamp": "2025-01-01"}, {"context": "c"}, {"output_text": "5"}]
    assert len({base, *(only(NATIVE | more).interaction_id for more in variants)}) == 5
    assert only(NATIVE | {"rating": 5}).interaction_id == base  # the same answer, exported again after it was rated


def test_keys_that_nothing_reads_are_named() -> None:
    (parsed,) = parse(NATIVE | {"verified": True, "a b": 1})
    assert isinstance(parsed, Parsed)
    assert parsed.unread == ("(not a plain name)", "verified")


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    sorted(FIELD_NAMES | TEXT_KEYS | {"metadata", "responses", "suggestions", "verdict", "correction"})
)
TURNS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["user", "assistant", "tool", "system"]) | JSON_LIKE,
            "content": JSON_LIKE,
            "tool_calls": JSON_LIKE,
            "from": st.sampled_from(["human", "gpt"]) | JSON_LIKE,
            "value": JSON_LIKE,
        },
    ),
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(record=JSON_LIKE | st.dictionaries(KEYS, JSON_LIKE | TURNS, max_size=8))
def test_parsing_never_raises_and_every_record_is_kept_or_rejected(record: object) -> None:
    parts = parse(record)
    assert parts and all(isinstance(part, Unreadable) or part.rows for part in parts)
    for item in items(record):
        assert isinstance(item, Unreadable) or item.model_dump_json()


@settings(max_examples=100, deadline=None)
@given(
    text=st.text(st.characters(), max_size=200),
    field=st.sampled_from(["input_text", "output_text", "user_id", "context"]),
)
def test_any_text_is_kept_as_it_is_or_rejected(text: str, field: str) -> None:
    (item,) = items(NATIVE | {field: text})
    if isinstance(item, Interaction) and field == "input_text":
        assert item.messages[0].content == text
