"""From an interaction's parts to the turns that a model learns: system turns, context, correction."""

from collections.abc import Mapping
from typing import Any

from ft_assets.records import Message


def compose_turns(row: Mapping[str, Any]) -> tuple[list[Message], bool]:
    """The turns of an example in their order, still unmasked, and whether an expert's correction is the answer.

    - Several system turns at the start become one: chat templates take one.
    - `context` goes before the first user turn's text, with a blank line between, unless that turn holds it already. It
      is no system turn, because the system turn is what a specialization sets for role and reasoning mode.
    - `corrected_output` replaces the answer with its tool calls; without an answer, it becomes the answer.
    """
    turns = _one_system_turn([Message(**turn) for turn in row["messages"]])
    turns = _with_context(turns, row["context"])
    correction = row["corrected_output"]
    if not correction or not correction.strip():
        return turns, False
    kept = turns[:-1] if turns[-1].role == "assistant" else turns
    return [*kept, Message(role="assistant", content=correction)], True


def _one_system_turn(turns: list[Message]) -> list[Message]:
    leading = 0
    while leading < len(turns) and turns[leading].role == "system":
        leading += 1
    if leading < 2:
        return turns
    content = "\n\n".join(turn.content for turn in turns[:leading])
    return [Message(role="system", content=content), *turns[leading:]]


def _with_context(turns: list[Message], context: str | None) -> list[Message]:
    context = (context or "").strip("\n")
    asked = next((index for index, turn in enumerate(turns) if turn.role == "user"), None)
    if not context.strip() or asked is None or context in turns[asked].content:
        return turns
    question = turns[asked]
    together = Message(role="user", content=f"{context}\n\n{question.content}", tool_calls=question.tool_calls)
    return [*turns[:asked], together, *turns[asked + 1 :]]
