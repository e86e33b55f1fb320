"""What speaks against rows with tool calls: a chat template that drops the text that an answer has beside its calls."""

import json
from collections.abc import Iterator, Mapping, Sequence

from ft_assets.chat import Chat, Turn
from ft_assets.errors import BadConfiguration, BadInput
from ft_assets.tool_calls import calls_in
from ft_assets.training.packed_rows import NAMED_IN_A_MESSAGE, TrainingRow
from ft_assets.training.problem import Problem

TEXT = "probed words"
CALL = json.dumps([{"function": {"name": "probed_name", "arguments": "{}"}}])
BOTH = [{"role": "user", "content": "x"}, {"role": "assistant", "content": TEXT, "tool_calls": CALL}]


def lost_text(rows: Sequence[TrainingRow], side: str, chat: Chat) -> Iterator[Problem]:
    """A warning with the rows whose answers lose their text: Llama 3's template writes either text or a call."""
    named = [row.example_id for row in rows if any(map(_says_and_calls, row.messages))]
    if named and not _keeps_text_beside_calls(chat):
        more = len(named) - NAMED_IN_A_MESSAGE
        told = ", ".join(named[:NAMED_IN_A_MESSAGE]) + (f" and {more} more" if more > 0 else "")
        yield Problem(
            "text_beside_calls_is_dropped",
            f"{len(named)} of {len(rows)} {side} rows have an answer with both text and tool calls, and the base's "
            f"chat template leaves such text out, so only the calls are learned: {told}. If the text matters, leave "
            "these rows out in the selector, or choose a base whose template writes both",
            refuses=False,
        )


def _says_and_calls(message: Turn | Mapping[str, str]) -> bool:
    role, text, calls = (
        message.get(name) if isinstance(message, Mapping) else getattr(message, name, None)
        for name in ("role", "content", "tool_calls")
    )
    return role == "assistant" and bool(text) and bool(calls_in(calls))


def _keeps_text_beside_calls(chat: Chat) -> bool:
    try:
        return TEXT in chat.tokenizer.decode(chat.encode(BOTH).input_ids)
    except (BadConfiguration, BadInput):
        return True  # it cannot be rendered at all, which another problem tells
