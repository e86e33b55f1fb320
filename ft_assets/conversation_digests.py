"""One digest for what is said in a conversation, so that two stages can tell a copy without each other's rows."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping

from ft_assets.chat import Turn
from ft_assets.errors import BadInput
from ft_assets.tool_calls import calls_in


def conversation_digest(messages: Iterable[Turn | Mapping[str, str]]) -> str:
    """SHA-256 of the turns in their order, without system turns, case, spacing and Unicode form.

    Two rows with one digest are copies of each other, whatever their ids. System turns do not count, because a model
    line puts its own before every row.
    """
    said = [_said(turn) for turn in messages]
    text = json.dumps([turn for turn in said if turn[0] != "system"], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _said(turn: Turn | Mapping[str, str]) -> list[str | None]:
    if isinstance(turn, Mapping):
        return [turn["role"], _loose(turn["content"]), _calls(turn.get("tool_calls"))]
    return [turn.role, _loose(turn.content), _calls(getattr(turn, "tool_calls", None))]


def _calls(text: str | None) -> str | None:
    """What is called, whatever the ids, spacing and order of keys; a text that is no call stays as it is."""
    try:
        return json.dumps(calls_in(text), sort_keys=True) if text else None
    except BadInput:
        return text


def _loose(text: str) -> str:
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split())
