import json
from typing import Any

import pytest

from ft_assets.evaluation.measures.tool_call_metrics import TOOL_ARGUMENTS, TOOL_SELECTION, same_value
from ft_assets.evaluation.measures.written_calls import UNREADABLE, WrittenCall, written_calls
from ft_assets.tool_calls import as_text
from ft_assets_tests.evaluation.samples import answered

WEATHER = {"name": "weather", "arguments": {"city": "Oslo", "days": 2, "where": {"lat": 59.9, "tags": ["a", "b"]}}}
TIME = {"name": "time", "arguments": {"zone": "CET"}}


def changed(call: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    return {**call, "arguments": {**call["arguments"], **arguments}}


def scored(answer: str, calls: list[dict[str, Any]] | None, reference: str = "", task: str = "chat"):
    logged = json.dumps([{"function": call} for call in calls]) if calls else None
    row = [answered("a", answer, reference, tool_calls=logged, task_type=task)]
    points = [metric.points(row)[0] for metric in (TOOL_SELECTION, TOOL_ARGUMENTS)]
    return tuple(None if each is None else (each.won, each.possible) for each in points)


@pytest.mark.parametrize(
    ("answer", "calls"),
    [
        (as_text([WEATHER, TIME]), [("weather", WEATHER["arguments"]), ("time", TIME["arguments"])]),
        ("Let me look.\n" + as_text([TIME]), [("time", TIME["arguments"])]),
        ('<tool_call>{"name": "time"}', [("time", {})]),
        (json.dumps(TIME), [("time", TIME["arguments"])]),
        (json.dumps([TIME, TIME]), [("time", TIME["arguments"])] * 2),
        (f"```json\n{json.dumps(TIME)}\n```", [("time", TIME["arguments"])]),
        (f"```json\n{json.dumps(TIME)}\n```\nthen\n```json\n{json.dumps(WEATHER)}\n```",
         [("time", TIME["arguments"]), ("weather", WEATHER["arguments"])]),
        (json.dumps({"function": {"name": "time", "arguments": '{"zone": "CET"}'}}), [("time", TIME["arguments"])]),
        ('{"find_showtimes": {"name.movie": "Nope"}}', [("find_showtimes", {"name.movie": "Nope"})]),
        ("The weather is fine.", []),
        ('{"temperature": 5}', []),
        ("", []),
    ],
)  # fmt: skip
def test_calls_are_read_in_every_form_that_they_are_written_in(answer: str, calls: list[tuple[str, dict[str, Any]]]):
    assert written_calls(answer) == [WrittenCall(*call) for call in calls]


@pytest.mark.parametrize(
    "block", ["not json", '{"arguments": {}}', '{"name": "time", "arguments": 5}', '{"name": "time", "arguments": "{"}']
)
def test_a_tagged_call_that_cannot_be_read_is_still_a_call(block: str):
    assert written_calls(f"<tool_call>\n{block}\n</tool_call>") == [UNREADABLE]
    assert scored(f"<tool_call>{block}</tool_call>", [TIME]) == ((0, 1), (0, 1))


@pytest.mark.parametrize(
    ("answer", "selection", "share"),
    [
        ([WEATHER, TIME], (1, 1), 1),
        ([TIME, WEATHER], (1, 1), 1),  # calls of one answer run side by side
        ([WEATHER], (0, 1), 1 / 2),
        ([WEATHER, TIME, TIME], (0, 1), 2 / 3),
        ([WEATHER, changed(TIME, zone="UTC")], (1, 1), 1 / 2),
        ([WEATHER, changed(TIME, more=1)], (1, 1), 1 / 2),
        ([changed(WEATHER, days="2"), TIME], (1, 1), 1 / 2),
        ([changed(WEATHER, days=2.0), TIME], (1, 1), 1),
        ([changed(WEATHER, where={"tags": ["a", "b"], "lat": 59.9}), TIME], (1, 1), 1),
        ([changed(WEATHER, where={"lat": 59.9, "tags": ["b", "a"]}), TIME], (1, 1), 1 / 2),
        ([{**WEATHER, "name": "Weather"}, TIME], (0, 1), 1 / 2),
        ([], (0, 1), 0),
    ],
)
def test_functions_and_arguments_are_compared_call_by_call(answer, selection, share):
    assert scored(as_text(answer), [WEATHER, TIME]) == (selection, (share, 1))


def test_where_nothing_should_be_called_calling_nothing_is_right():
    assert scored("I cannot do that.", None, "I cannot do that.", task="tool_call") == ((1, 1), None)
    assert scored(as_text([TIME]), None, "I cannot do that.", task="tool_call") == ((0, 1), None)


def test_a_reference_may_hold_its_calls_as_text():
    assert scored(as_text([TIME]), None, as_text([TIME])) == ((1, 1), (1, 1))
    reference = '{"get_menu_items": {"query": "Mocha"}}'
    assert scored('{"get_menu_items": {"query": "mocha"}}', None, reference, task="api_call") == ((1, 1), (0, 1))


def test_a_row_without_calls_is_no_matter_of_calls():
    assert scored(as_text([TIME]), None, "Fine.") == (None, None)


def test_equal_values_are_equal_at_any_depth_and_true_is_not_one():
    assert same_value({"a": [1, {"b": None}], "c": "x  y"}, {"c": "x y", "a": [1.0, {"b": None}]})
    assert same_value(0.1 + 0.2, 0.3) and same_value(10**400, 10**400)
    assert not any(
        same_value(*pair) for pair in ((True, 1), (None, 0), ("1", 1), ([1], [1, 1]), (10**400, 1.0), ({}, []))
    )
