"""Conversation turns as foreign logs write them: OpenAI chat messages and ShareGPT conversations."""

import json
from collections.abc import Mapping

from ft_assets.ingest.fields import Unreadable, bad, found, text
from ft_assets.records import Message, Role

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "tool": "tool",
    "observation": "tool",
}


def read_turns(field: str, value: object) -> list[Message]:
    """The turns of an OpenAI-style list. Tool calls are kept as JSON text, parts of text are joined by line ends.

    Raises:
        Unreadable: no turns, an unknown role, or content that is not text; the turn's number is in the reason.
    """
    if not isinstance(value, list):
        raise bad(field, value, "a list of {role, content}")
    if not value:
        raise Unreadable("empty_messages", f"{field} is an empty list, so there is no turn to learn from")
    return [_turn(f"{field}[{index}]", turn) for index, turn in enumerate(value)]


def read_sharegpt(field: str, value: object) -> list[Message]:
    """The turns of a ShareGPT list of {from, value}.

    Raises:
        Unreadable: as `read_turns`.
    """
    if not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        raise bad(field, value, "a list of {from, value}")
    known = ", ".join(SHAREGPT_ROLES)
    turns = []
    for index, turn in enumerate(value):
        speaker = turn.get("from")
        if not isinstance(speaker, str) or speaker not in SHAREGPT_ROLES:
            raise Unreadable("bad_messages", f"{field}[{index}] comes from {found(speaker)}; wanted: {known}")
        turns.append({"role": SHAREGPT_ROLES[speaker], "content": turn.get("value")})
    return read_turns(field, turns)


def _turn(place: str, turn: object) -> Message:
    if not isinstance(turn, Mapping):
        raise Unreadable("bad_messages", f"{place} is {found(turn)}; wanted: {{role, content}}")
    role = ROLES.get(turn["role"]) if isinstance(turn.get("role"), str) else None
    if role is None:
        raise Unreadable("bad_messages", f"{place} has {found(turn.get('role'))} as role; wanted: {', '.join(ROLES)}")
    calls = _tool_calls(place, turn)
    content = turn.get("content")
    if content is None and (calls or role == "tool"):
        content = ""  # an answer that only calls tools has no text
    return Message(role=role, content=_content(place, content), tool_calls=calls)


def _content(place: str, content: object) -> str:
    if isinstance(content, list):
        return "\n".join(_part(f"{place}.content[{index}]", part) for index, part in enumerate(content))
    if not isinstance(content, str):
        raise Unreadable("bad_messages", f"{place}.content is {found(content)}; wanted: text or a list of text parts")
    return text(f"{place}.content", content)


def _part(place: str, part: object) -> str:
    words = part.get("text") if isinstance(part, Mapping) and part.get("type") in ("text", "input_text") else part
    if not isinstance(words, str):
        reason = f"{place} is no text part (an image, a sound or a file?); only text can be learned here"
        raise Unreadable("unsupported_content", reason)
    return text(place, words)


def _tool_calls(place: str, turn: Mapping[str, object]) -> str | None:
    """The calls as JSON text, from `tool_calls` or from the older `function_call`; None when there are none."""
    calls = turn.get("tool_calls") or ([turn["function_call"]] if turn.get("function_call") else None)
    if not calls:
        return None
    if isinstance(calls, str):  # our own tables hold them as text already
        return text(f"{place}.tool_calls", calls)
    if not isinstance(calls, list):
        raise Unreadable("bad_messages", f"{place}.tool_calls is {found(calls)}; wanted: a list")
    try:
        return text(f"{place}.tool_calls", json.dumps(calls, ensure_ascii=False, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        raise Unreadable("bad_messages", f"{place}.tool_calls holds NaN or Infinity, which is not JSON") from None
