"""The tool calls that an answer makes, read out of its text."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ft_assets.errors import BadInput
from ft_assets.tool_calls import ARGUMENTS, calls_in

_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
_FENCE = re.compile(r"```(?:json|tool_call|tool_code)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_PARTS = frozenset({"name", "function", *ARGUMENTS})  # of a call; no function goes by these names


class WrittenCall(NamedTuple):
    """A call as it was written. `name` is None for one that cannot be read: no JSON, no name, arguments that are no
    object."""

    name: str | None
    arguments: Mapping[str, Any]


UNREADABLE = WrittenCall(None, {})


def written_calls(answer: str) -> list[WrittenCall]:
    """The calls in their order; empty where the answer makes none.

    Read are, the first form that is there: blocks between <tool_call> and </tool_call> (Hermes, Qwen; the last may be
    unclosed), fenced blocks of JSON, the whole answer as JSON. JSON is one call or a list of calls, as {"name",
    "arguments"}, as OpenAI's {"function": {"name", "arguments"}} with arguments as an object or as text, or as
    Taskmaster's {"<name>": {<arguments>}}. JSON that has none of these shapes is an answer, not a call; between the
    tags it is a call that cannot be read.
    """
    if tagged := _TAGGED.findall(answer):
        return [call for block in tagged for call in _calls(block) or [UNREADABLE]]
    for block in (*_FENCE.findall(answer), answer):
        if calls := _calls(block):
            return [*calls, *(_further(answer, block) if block is not answer else ())]
    return []


def _further(answer: str, first: str) -> list[WrittenCall]:
    """The calls of the fenced blocks after the first that holds one."""
    blocks = _FENCE.findall(answer)
    return [call for block in blocks[blocks.index(first) + 1 :] for call in _calls(block)]


def _calls(text: str) -> list[WrittenCall]:
    """The calls that a piece of JSON is; empty where it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    each = value if isinstance(value, list) else [value]
    if not each or not all(isinstance(call, dict) for call in each):
        return []
    if all(isinstance(call.get("function", call), Mapping) and "name" in call.get("function", call) for call in each):
        return [_named(call) for call in each]
    by_name = [(name, arguments) for call in each for name, arguments in call.items()]
    if by_name and all(isinstance(arguments, Mapping) and name not in _PARTS for name, arguments in by_name):
        return [WrittenCall(name, arguments) for name, arguments in by_name]
    return []


def _named(call: Mapping[str, Any]) -> WrittenCall:
    try:
        (read,) = calls_in(json.dumps(call))
    except (BadInput, RecursionError):
        return UNREADABLE
    return WrittenCall(read["name"], read["arguments"])
