import json

import pytest

from ft_assets.errors import BadInput
from ft_assets.tool_calls import as_text, calls_in

CALL = {"name": "restart", "arguments": {"queue": "mail", "times": 2}}
LOGGED = [
    [
        {
            "id": "call_x1",
            "type": "function",
            "function": {"name": "restart", "arguments": '{"queue": "mail", "times": 2}'},
        }
    ],
    [{"function": {"name": "restart", "arguments": {"queue": "mail", "times": 2}}}],
    [{"type": "tool_use", "name": "restart", "input": {"queue": "mail", "times": 2}}],
    {"name": "restart", "parameters": {"queue": "mail", "times": 2}},
]


@pytest.mark.parametrize("logged", LOGGED)
def test_calls_are_read_however_they_were_logged(logged):
    assert calls_in(json.dumps(logged)) == [CALL]


@pytest.mark.parametrize("nothing", [None, "", "[]"])
def test_no_calls_are_no_calls(nothing):
    assert calls_in(nothing) == []


def test_a_call_without_arguments_has_an_empty_object():
    assert calls_in('[{"function": {"name": "stop", "arguments": ""}}]') == [{"name": "stop", "arguments": {}}]


@pytest.mark.parametrize(
    ("logged", "told"),
    [
        ("{not json", "not JSON"),
        ('[{"arguments": {}}]', "call 1 of a message names no function"),
        ('["restart"]', "names no function"),
        ('[{"name": "a"}, {"name": "b", "arguments": "hunter2"}]', "arguments of tool call 2 are not JSON"),
        ('[{"name": "b", "arguments": "[1]"}]', "are list, not an object"),
    ],
)
def test_calls_that_cannot_be_written_as_they_were_made_are_refused_without_their_text(logged, told):
    with pytest.raises(BadInput, match=told) as refused:
        calls_in(logged)
    assert "hunter2" not in str(refused.value)


def test_the_text_form_can_be_read_back():
    text = as_text([CALL, {"name": "stop", "arguments": {}}])
    inner = [part.split("</tool_call>")[0] for part in text.split("<tool_call>")[1:]]
    assert [json.loads(part) for part in inner] == [CALL, {"name": "stop", "arguments": {}}]
