import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ft_assets.ingest.turns import is_transcript, read_transcript
from ft_assets.ingest.typed_values import Unreadable
from ft_assets_tests.ingest.reading import read_day, turns

TEXT = "\n\nHuman: 2 + 2?\n\nAssistant: 4"
READ = [("user", "2 + 2?"), ("assistant", "4")]


def said(text: str) -> list[tuple[str, str]]:
    return [(role, content) for role, content, _ in read_transcript("text", text)]


def refused(record: dict[str, Any]) -> str:
    (rejection,) = read_day("a.jsonl", json.dumps(record).encode() + b"\n").rejections
    return rejection.rule


@pytest.mark.parametrize("key", ["text", "transcript"])
def test_a_transcript_becomes_its_turns(key: str) -> None:
    day = read_day("a.jsonl", json.dumps({key: TEXT, "rating": 4}).encode())
    assert turns(day) == [READ]
    assert day.rows["rating"].to_list() == [4.0]


def test_every_turn_is_kept_with_its_own_line_ends() -> None:
    text = "Be brief.\n\nHuman: one\n\ntwo\n\nAssistant:  three\n\n\nHuman: four\r\n\r\nAssistant: five\n"
    assert said(text) == [
        ("system", "Be brief."),
        ("user", "one\n\ntwo"),
        ("assistant", " three\n"),
        ("user", "four"),
        ("assistant", "five\n"),
    ]


def test_a_text_may_begin_with_the_first_speaker() -> None:
    assert said("Human: 2 + 2?\n\nAssistant: 4") == READ


def test_an_assistants_mark_without_text_at_the_end_is_where_a_model_was_to_go_on() -> None:
    assert said("\n\nHuman: 2 + 2?\n\nAssistant:") == [("user", "2 + 2?")]


def test_a_speaker_inside_a_line_is_text() -> None:
    assert said("\n\nHuman: say Human: x\nAssistant: y\n\nAssistant: 4")[0][1] == "say Human: x\nAssistant: y"


@pytest.mark.parametrize(
    "text", ["", "plain text", "Human: only\n\nHuman: one", "a Human: b Assistant: c", "Assistant: x"]
)
def test_text_without_both_speakers_is_no_transcript(text: str) -> None:
    assert not is_transcript(text)
    with pytest.raises(Unreadable, match="bad_transcript"):
        read_transcript("text", text)
    assert refused({"text": text}) == "unknown_format"
    assert refused({"transcript": text}) == "bad_transcript"


def test_chosen_and_rejected_transcripts_are_two_unrated_answers() -> None:
    day = read_day("a.jsonl", json.dumps({"chosen": TEXT, "rejected": TEXT.replace("4", "5"), "id": "p"}).encode())
    assert [row[-1] for row in turns(day)] == [("assistant", "4"), ("assistant", "5")]
    assert day.rows["interaction_id"].to_list() == ["p:chosen", "p:rejected"]
    assert day.rows["outcome"].to_list() == ['{"preference": "chosen"}', '{"preference": "rejected"}']
    assert (day.counts["records"], day.counts["expanded"]) == (1, 1)


def test_chosen_and_rejected_conversations_without_a_prompt_are_read_too() -> None:
    messages = [{"role": role, "content": content} for role, content in READ]
    record = {"chosen": messages, "rejected": messages, "messages": messages, "id": "p"}
    assert turns(read_day("a.jsonl", json.dumps(record).encode())) == [READ, READ]


def test_a_prompt_that_is_a_transcript_is_its_turns() -> None:
    record = {"prompt": "\n\nHuman: 2 + 2?\n\nAssistant:", "chosen": "4", "rejected": "5"}
    assert turns(read_day("a.jsonl", json.dumps(record).encode()))[0] == READ


def test_answers_without_any_prompt_are_rejected() -> None:
    assert refused({"chosen": "4", "rejected": "5"}) == "bad_transcript"


def test_a_conversation_beside_its_own_transcript_is_ambiguous() -> None:
    assert refused({"text": TEXT, "messages": [{"role": "user", "content": "2 + 2?"}]}) == "ambiguous_format"


@given(text=st.text(st.sampled_from("Human:Assistant \n\r"), max_size=60) | st.text(max_size=40))
def test_a_transcript_is_split_without_losing_a_character_or_is_refused(text: str) -> None:
    try:
        parts = read_transcript("text", text)
    except Unreadable:
        return
    assert sum(len(content) for _, content, _ in parts) <= len(text)
    assert {role for role, _, _ in parts} <= {"system", "user", "assistant"}
