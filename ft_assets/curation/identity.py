"""What makes two examples the same example, the same prompt, the same answer. Ids are the first half of a SHA-256.

Ids are taken of normalised, masked turns. Those hold no control characters but tab and line feed, so the two that
end parts and turns here make the joined text unambiguous.
"""

import hashlib

from ft_assets.curation.turns import Conversation
from ft_assets.example_ids import ID_DIGITS

PART, TURN = "\x1f", "\x1e"
_NO_KEY = bytes(16)


def prompt_and_example_id(conversation: Conversation) -> tuple[str, str]:
    """The id of the prompt, which is all turns but the answer, and of the whole example, both to the letter."""
    prompt, example = prompt_and_example_digest(conversation)
    return prompt[:ID_DIGITS], example[:ID_DIGITS]


def prompt_and_example_digest(conversation: Conversation) -> tuple[str, str]:
    """The whole SHA-256 of what `prompt_and_example_id` names."""
    *asked, answer = [
        f"{role}{PART}{content}{PART}{calls or ''}{TURN}" for role, content, calls in zip(*conversation, strict=True)
    ]
    digest = hashlib.sha256("".join(asked).encode())
    prompt = digest.hexdigest()
    digest.update(answer.encode())
    return prompt, digest.hexdigest()


def answer_id(conversation: Conversation) -> str:
    """The id of the answer, with its tool calls, without case and spacing."""
    text = loose(conversation.contents[-1])
    return hashlib.sha256(f"{text}{PART}{conversation.tool_calls[-1] or ''}".encode()).hexdigest()[:ID_DIGITS]


def prompt_key(prompt: str) -> bytes:
    """16 bytes that two examples share when their prompts (see `prompt_text`) are one without case and spacing."""
    return hashlib.sha256(loose(prompt).encode()).digest()[:16]


def conversation_key(conversation_id: str | None) -> bytes:
    """16 bytes that the rows of one conversation share; zeros without one."""
    return hashlib.sha256(f"conversation:{conversation_id}".encode()).digest()[:16] if conversation_id else _NO_KEY


def prompt_text(conversation: Conversation) -> str:
    """What was asked, as near-duplicates compare it: every turn but the answer, without system turns."""
    roles, contents, _ = conversation
    return "\n".join(contents[roles[0] == "system" : -1])


def answer_text(conversation: Conversation) -> str:
    """What was answered, as near-duplicates compare it."""
    content, calls = conversation.contents[-1], conversation.tool_calls[-1]
    return f"{content}\n{calls}" if calls else content


def pseudonym(name: str) -> str:
    """A stable stand-in for a name that is itself an e-mail address or the like."""
    return f"pseudonym-{hashlib.sha256(loose(name).encode()).hexdigest()[:16]}"


def loose(text: str) -> str:
    """The text without case, and with single blanks where there was any white space."""
    text = text.casefold()
    if not text.isascii():
        return " ".join(text.split())
    text = text.replace("\n", " ").replace("\t", " ")  # no other is left in ASCII; half the price of split and join
    while "  " in text:
        text = text.replace("  ", " ")
    return text.strip(" ")
