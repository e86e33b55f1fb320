"""Conversation turns as foreign logs write them: OpenAI chat messages, ShareGPT conversations, and transcripts."""

import json
import re
from collections.abc import Mapping

from ft_assets.ingest.typed_values import Unreadable, bad, found, text, to_json
from ft_assets.records import Role

Turn = tuple[Role, str, str | None]  # role, content, and the JSON text of the tool calls

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
SHAREGPT_ROLES: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard"), "assistant"),  # as the first public dump has them
    **dict.fromkeys(("tool", "observation", "function_response"), "tool"),
}
_CALLS = "function_call"  # a ShareGPT turn of the assistant that holds calls of tools, as JSON text
_SPEAKERS: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}
_SPEAKER = re.compile(r"(?:\A\s*|\r?\n\r?\n)(Human|Assistant):")


def read_turns(field: str, value: object) -> list[Turn]:
    """The turns of an OpenAI-style list. Tool calls are kept as JSON text, parts of text are joined by line ends.

    Raises:
        Unreadable: no turns, an unknown role, or content that is not text; the turn's number is in the reason.
    """
    if not isinstance(value, list):
        raise bad(field, value, "a list of {role, content}")
    if not value:
        raise Unreadable("empty_messages", f"{field} is an empty list, so there is no turn to learn from")
    turns: list[Turn] = []
    for index, turn in enumerate(value):
        if type(turn) is dict and len(turn) == 2:  # {role, content} of plain text: nearly every turn there is
            role, content = turn.get("role"), turn.get("content")
            if type(role) is str and role in ROLES and type(content) is str and content.isascii():
                turns.append((ROLES[role], content, None))
                continue
        turns.append(_turn(f"{field}[{index}]", turn))
    return turns


def read_sharegpt(field: str, value: object) -> list[Turn]:
    """The turns of a ShareGPT list of {from, value}.

    Raises:
        Unreadable: as `read_turns`.
    """
    if not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        raise bad(field, value, "a list of {from, value}")
    known = ", ".join((*SHAREGPT_ROLES, _CALLS))
    turns: list[object] = []
    for index, turn in enumerate(value):
        speaker = turn.get("from")
        if speaker == _CALLS:
            turns.append({"role": "assistant", "tool_calls": _calls_in(f"{field}[{index}].value", turn.get("value"))})
            continue
        if not isinstance(speaker, str) or speaker not in SHAREGPT_ROLES:
            raise Unreadable("bad_messages", f"{field}[{index}] comes from {found(speaker)}; wanted: {known}")
        turns.append({"role": SHAREGPT_ROLES[speaker], "content": turn.get("value")})
    return read_turns(field, turns)


def _calls_in(place: str, value: object) -> list[object]:
    """One call or a list of them, each {name, arguments}, in the form in which OpenAI's messages hold them."""
    try:
        calls = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        calls = None
    calls = calls if isinstance(calls, list) else [calls]
    if not calls or not all(isinstance(call, Mapping) and isinstance(call.get("name"), str) for call in calls):
        raise Unreadable(
            "bad_messages", f"{place} is {found(value)}; wanted: JSON of {{name, arguments}}, or of a list"
        )
    return [{"type": "function", "function": call} for call in calls]


def is_transcript(value: object) -> bool:
    """True for text that holds both speakers of a transcript, each at the start of the text or after a blank line."""
    if not isinstance(value, str) or "Human:" not in value or "Assistant:" not in value:
        return False
    return {match[1] for match in _SPEAKER.finditer(value)} == _SPEAKERS.keys()


def read_transcript(field: str, value: object) -> list[Turn]:
    """The turns of a text with `Human:` and `Assistant:` after blank lines; what stands before is the system's turn.

    One blank after the colon belongs to the mark, everything else to the turn. An assistant's turn without text at the
    end is where a model was asked to go on, and is left out.

    Raises:
        Unreadable: not text, or `bad_transcript` when the speakers are not there.
    """
    whole = text(field, value)
    marks = list(_SPEAKER.finditer(whole))
    if not is_transcript(whole):
        reason = f"{field} is {found(value)} without a Human: and an Assistant: turn, each after a blank line"
        raise Unreadable("bad_transcript", reason)
    before = whole[: marks[0].start()]
    turns: list[Turn] = [("system", before, None)] if before.strip() else []
    ends = [mark.start() for mark in marks[1:]] + [len(whole)]
    turns += [
        (_SPEAKERS[mark[1]], whole[mark.end() : end].removeprefix(" "), None)
        for mark, end in zip(marks, ends, strict=True)
    ]
    if turns[-1][0] == "assistant" and not turns[-1][1].strip():
        turns.pop()
    return turns


def _turn(place: str, turn: object) -> Turn:
    if not isinstance(turn, Mapping):
        raise Unreadable("bad_messages", f"{place} is {found(turn)}; wanted: {{role, content}}")
    role = ROLES.get(turn["role"]) if isinstance(turn.get("role"), str) else None
    if role is None:
        raise Unreadable("bad_messages", f"{place} has {found(turn.get('role'))} as role; wanted: {', '.join(ROLES)}")
    calls = _tool_calls(place, turn)
    content = turn.get("content")
    if content is None and (calls or role == "tool"):
        content = ""  # an answer that only calls tools has no text
    return role, _content(place, content), calls


def _content(place: str, content: object) -> str:
    if isinstance(content, list):
        return "\n".join(_part(f"{place}.content[{index}]", part) for index, part in enumerate(content))
    if not isinstance(content, str):
        raise Unreadable("bad_messages", f"{place}.content is {found(content)}; wanted: text or a list of text parts")
    return text(f"{place}.content", content)


def _part(place: str, part: object) -> str:
    words = (
        part.get("text")
        if isinstance(part, Mapping) and part.get("type") in ("text", "input_text", "output_text")
        else part
    )
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
        return text(f"{place}.tool_calls", to_json(calls))
    except (ValueError, TypeError, RecursionError):
        raise Unreadable("bad_messages", f"{place}.tool_calls holds NaN or Infinity, which is not JSON") from None
