import json

import polars as pl

from ft_assets.curation.masking import masked, normalised, secrets_left
from ft_assets.curation.pii import Masker, still_secret
from ft_assets.curation.turns import flat
from ft_assets.ingest.schema import RAW_SCHEMA


def raw(*rows: dict) -> pl.DataFrame:
    plain = {"interaction_id": "i", "day": "2026-01-05", "judge": [], "tags": []}
    return pl.DataFrame([{**plain, **row} for row in rows], schema=RAW_SCHEMA)


def said(text: str, calls: object = None, **more: object) -> dict:
    turn = {"role": "user", "content": text, "tool_calls": None if calls is None else json.dumps(calls)}
    return {"messages": [turn], **more}


def contents(frame: pl.DataFrame) -> list[str]:
    return masked(normalised(flat(frame["messages"])), frame, {}).turns["content"].to_list()


def calls_of(*calls: object) -> list[object]:
    frame = raw(*(said("x", each) for each in calls))
    return [json.loads(text) for text in masked(flat(frame["messages"]), frame, {}).turns["tool_calls"]]


def test_the_rows_of_one_conversation_of_a_day_share_their_placeholders() -> None:
    frame = raw(
        said("I am eve@example.com", conversation_id="c"),
        said("write to bob@example.com or eve@example.com", conversation_id="c"),
        said("bob@example.com", conversation_id="other"),
        said("bob@example.com"),
        said("bob@example.com", conversation_id="c", day="2026-01-06"),
    )
    assert contents(frame) == [
        "I am <EMAIL_1>",
        "write to <EMAIL_2> or <EMAIL_1>",
        "<EMAIL_1>",
        "<EMAIL_1>",
        "<EMAIL_1>",
    ]


def test_placeholders_go_on_in_the_next_slice_of_a_day() -> None:
    maskers: dict[tuple[str, str], Masker] = {}
    slices = [raw(said(f"{name}@example.com", conversation_id="c")) for name in ("eve", "bob", "eve")]
    found = [masked(flat(each["messages"]), each, maskers).turns["content"][0] for each in slices]
    assert found == ["<EMAIL_1>", "<EMAIL_2>", "<EMAIL_1>"]


def test_placeholders_that_came_with_the_log_keep_their_numbers() -> None:
    assert contents(raw(said("<EMAIL_1> and eve@example.com"))) == ["<EMAIL_1> and <EMAIL_2>"]


def test_calls_are_masked_wherever_a_secret_hides_and_stay_as_they_were_otherwise() -> None:
    hidden = [{"function": {"name": "send", "arguments": json.dumps({"to": "eve@example.com"})}}]
    escaped = [{"function": {"name": "send", "arguments": '{"to": "eve\\u0040example.com"}'}}]
    told_by_key = [{"phone": "4155550134"}]
    number = [{"phone": 4155550134}]
    harmless = [{"function": {"name": "add", "arguments": json.dumps({"a": 12, "b": "some words"})}}]
    found = calls_of(hidden, escaped, told_by_key, number, harmless)
    assert json.loads(found[0][0]["function"]["arguments"]) == {"to": "<EMAIL_1>"}
    assert json.loads(found[1][0]["function"]["arguments"]) == {"to": "<EMAIL_1>"}
    assert found[2] == found[3] == [{"phone": "<PHONE_1>"}]
    assert found[4] == harmless
    assert still_secret(json.dumps(found)) == []


def test_what_is_left_is_named_by_row_and_kind() -> None:
    examples = pl.DataFrame(
        [{"example_id": name, **said(text)} for name, text in (("a", "fine"), ("b", "call +1 415 555 0134"))],
        schema={"example_id": pl.String, "messages": RAW_SCHEMA["messages"]},
    )
    assert secrets_left(examples) == {"b": ["PHONE"]}
    assert secrets_left(examples[:1]) == {}
