"""What makes two examples the same example, the same prompt, or members of one cluster. All ids are SHA-256 in hex."""

import hashlib
import json
from collections.abc import Sequence

from ft_assets.records import Message


def example_id(messages: Sequence[Message]) -> str:
    """The id of an example: of its masked, normalised turns with their tool calls."""
    return _digest(_canonical(messages))


def prompt_id(messages: Sequence[Message]) -> str:
    """The id of the prompt: of all turns but the answer, to the letter."""
    return _digest(_canonical(messages[:-1]))


def cluster_id(messages: Sequence[Message], conversation_id: str | None) -> str:
    """The id of what must stay on one side of a split: the conversation, else the prompt without case and spacing."""
    if conversation_id:
        return _digest(f"conversation:{conversation_id}")
    loose = [message.model_copy(update={"content": _loose(message.content)}) for message in messages[:-1]]
    return _digest("prompt:" + _canonical(loose))


def pseudonym(name: str) -> str:
    """A stable stand-in for a name that is itself an e-mail address or the like."""
    return f"pseudonym-{_digest(name)[:16]}"


def _loose(content: str) -> str:
    return " ".join(content.casefold().split())


def _canonical(messages: Sequence[Message]) -> str:
    turns = [message.model_dump() for message in messages]
    return json.dumps(turns, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
