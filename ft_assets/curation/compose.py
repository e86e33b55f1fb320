"""From an interaction's parts to the turns that a model learns: system turns, context, correction."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ft_assets.curation.turns import Turn, flat

ORIGINAL = "original answer"  # the role of what a correction replaced, until it is masked with the other turns


def composed(raw: pl.DataFrame) -> pl.DataFrame:
    """The flat turns of every interaction in `raw` (see `turns.flat`), still unmasked, as `compose_turns` puts them.

    An answer that was corrected stands behind the correction, with the role ORIGINAL: see `without_originals`.
    """
    turns = flat(raw["messages"])
    is_plain = _is_blank("context") & _is_blank("corrected_output") & ~_has_two_system_turns()
    others = raw.with_row_index("row").filter(~is_plain).select("row", "messages", "context", "corrected_output")
    if not others.height:
        return turns
    changed = {row["row"]: _with_original(row) for row in others.iter_rows(named=True)}
    rebuilt = [(number, *turn) for number, its_turns in changed.items() for turn in its_turns]
    kept = turns.filter(~pl.col("row").is_in(list(changed)))
    return pl.concat([kept, pl.DataFrame(rebuilt, schema=turns.schema, orient="row")]).sort("row", maintain_order=True)


def without_originals(turns: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The flat turns that are learned, and row and original_answer of each answer that was corrected."""
    is_original = turns["role"] == ORIGINAL
    if not is_original.any():
        return turns, pl.DataFrame(schema={"row": pl.Int64, "original_answer": pl.String})
    said = pl.concat_str("content", "tool_calls", separator="\n", ignore_nulls=True)
    return turns.filter(~is_original), turns.filter(is_original).select("row", original_answer=said)


def _with_original(row: Mapping[str, Any]) -> list[Turn]:
    turns, corrected = compose_turns(row)
    answer = row["messages"][-1]
    if not corrected or answer["role"] != "assistant":
        return turns
    return [*turns, Turn(ORIGINAL, answer["content"], answer["tool_calls"])]


def compose_turns(row: Mapping[str, Any]) -> tuple[list[Turn], bool]:
    """The turns of an example in their order, still unmasked, and whether an expert's correction is the answer.

    - Several system turns at the start become one: chat templates take one.
    - `context` goes before the first user turn's text, with a blank line between, unless that turn holds it already. It
      is no system turn, because the system turn is what a specialization sets for role and reasoning mode.
    - `corrected_output` replaces the answer with its tool calls; without an answer, it becomes the answer.
    """
    turns = _one_system_turn([Turn(**turn) for turn in row["messages"]])
    turns = _with_context(turns, row["context"])
    correction = row["corrected_output"]
    if not correction or not correction.strip():
        return turns, False
    kept = turns[:-1] if turns[-1].role == "assistant" else turns
    return [*kept, Turn("assistant", correction)], True


def is_corrected() -> pl.Expr:
    """Whether an expert's correction is the answer of a raw row."""
    return ~_is_blank("corrected_output")


def _is_blank(column: str) -> pl.Expr:
    return pl.col(column).fill_null("").str.contains(r"\S").not_()


def _has_two_system_turns() -> pl.Expr:
    role = pl.col("messages").list.get(1, null_on_oob=True).struct.field("role")
    return (role == "system").fill_null(False)


def _one_system_turn(turns: Sequence[Turn]) -> list[Turn]:
    leading = 0
    while leading < len(turns) and turns[leading].role == "system":
        leading += 1
    if leading < 2:
        return list(turns)
    return [Turn("system", "\n\n".join(turn.content for turn in turns[:leading])), *turns[leading:]]


def _with_context(turns: list[Turn], context: str | None) -> list[Turn]:
    context = (context or "").strip("\n")
    asked = next((index for index, turn in enumerate(turns) if turn.role == "user"), None)
    if not context.strip() or asked is None or context in turns[asked].content:
        return turns
    question = turns[asked]
    together = Turn("user", f"{context}\n\n{question.content}", question.tool_calls)
    return [*turns[:asked], together, *turns[asked + 1 :]]
