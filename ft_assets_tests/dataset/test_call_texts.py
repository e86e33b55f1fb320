import json

import polars as pl
import pytest

from ft_assets.dataset.call_texts import (
    answer_text,
    as_said,
    call_text,
    said,
    turn_text,
    unreadable_calls,
    without_empty_calls,
)
from ft_assets.dataset.texts import TURNS

ARGUMENTS = {"queue": "mail", "force": True}
LOGGED = json.dumps([{"id": "x1", "type": "function", "function": {"name": "go", "arguments": json.dumps(ARGUMENTS)}}])
HALF = '[{"name": "go", "arguments": {"queue": "\\ud83d"}}]'
BROKEN = ("{", "[1]", "[" * 100_000, '[{"name": ""}]', '{"arguments": {}}', HALF)
SAID = '<tool_call>\n{"name": "go", "arguments": {"force": true, "queue": "mail"}}\n</tool_call>'


def column(*rows):
    return pl.Series(
        "messages",
        [[{"role": r, "content": c, "tool_calls": calls} for r, c, calls in row] for row in rows],
        dtype=TURNS,
    )


@pytest.mark.parametrize(
    "calls",
    [
        LOGGED,
        LOGGED.replace("x1", "x2"),
        json.dumps({"name": "go", "arguments": ARGUMENTS}),
        json.dumps([{"name": "go", "input": dict(reversed(ARGUMENTS.items()))}]),
    ],
)
def test_the_same_call_is_the_same_text_however_it_was_logged(calls):
    assert call_text(calls) == SAID


@pytest.mark.parametrize(
    ("calls", "text"), [(None, ""), ("", ""), ("[]", ""), *((broken, broken) for broken in BROKEN)]
)
def test_no_call_says_nothing_and_one_that_cannot_be_read_is_its_own_text(calls, text):
    assert call_text(calls) == text


def test_calls_stand_behind_the_content_of_their_turn_and_no_other_turn_changes():
    rows = column(
        [("user", "q", None), ("assistant", "I go.", LOGGED), ("tool", "done", None), ("assistant", "", LOGGED)],
        [("user", "plain", None), ("assistant", "", None)],
        [],
    )
    contents = [[turn["content"] for turn in row] for row in as_said(rows)]
    assert contents == [["q", f"I go.\n{SAID}", "done", SAID], ["plain", ""], []]
    assert contents == [[turn_text(turn) for turn in row] for row in rows.to_list()]
    assert as_said(as_said(rows)).to_list() == as_said(rows).to_list()
    assert as_said(rows).dtype == TURNS


def test_rows_without_calls_are_not_touched():
    plain = column([("user", "q", None), ("assistant", "a", None)], [])
    assert as_said(plain) is plain
    older = plain.list.eval(pl.struct(pl.element().struct["role"], pl.element().struct["content"]))
    assert as_said(older) is older, "and may lack the field"
    assert as_said(plain.clear()).is_empty()


def test_an_answer_is_as_long_as_what_it_says_and_calls():
    rows = column([("user", "q", None), ("assistant", "", LOGGED)], [("user", "q", None), ("assistant", "abc", None)])
    frame = rows.to_frame()
    assert frame.select(answer_text(pl.col("messages"))).to_series().to_list() == [SAID, "abc"]
    prompts = frame.select(said(pl.col("messages").list.head(1))).to_series()
    assert prompts.list.first().struct.field("content").to_list() == ["q", "q"]


def test_rows_with_calls_that_cannot_be_read_are_told_from_the_others():
    asked = ("user", "q", None)
    good = [[asked, ("assistant", "a", calls)] for calls in (None, "", "[]", LOGGED)]
    bad = [[asked, ("assistant", "", LOGGED), ("assistant", "", broken)] for broken in BROKEN]
    foreign = [[("user", "q", LOGGED), ("assistant", "a", None)]]
    found = unreadable_calls(column(*good, *bad, *foreign)).to_list()
    assert found == [False] * len(good) + [True] * (len(bad) + 1)
    assert unreadable_calls(column([asked], [])).to_list() == [False, False]
    kept = without_empty_calls(column(*good)).list.last().struct.field("tool_calls").to_list()
    assert kept == [None, None, None, LOGGED]
