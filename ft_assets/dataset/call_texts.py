"""Tool calls as text: what rows are compared, searched and measured by where an answer says nothing but a call."""

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from ft_assets.errors import BadInput
from ft_assets.tool_calls import as_text, calls_in


def call_text(calls: str | None) -> str:
    """The calls of a turn as text: the same for the same names and arguments, whatever their ids and keys' order.

    Empty for none. What cannot be read as calls is its own text, so that nothing is lost to a comparison.
    """
    text = _written(calls)
    return (calls or "") if text is None else text


def turn_text(turn: Mapping[str, Any]) -> str:
    """What a turn says: its content, then its calls."""
    return "\n".join(filter(None, (turn["content"], call_text(turn.get("tool_calls")))))


def has_calls(messages: pl.Series) -> bool:
    """Whether a turn of the column holds something as its tool calls."""
    turns = messages.filter(messages.list.len() > 0).explode()
    if not turns.len() or all(field.name != "tool_calls" for field in turns.dtype.fields):  # type: ignore[attr-defined]
        return False
    return turns.struct.field("tool_calls").null_count() < turns.len()


def as_said(messages: pl.Series) -> pl.Series:
    """A column of messages with the calls of each turn behind its content; the column itself where there are none."""
    if not has_calls(messages):
        return messages
    rows = messages.to_frame("messages").with_row_index("row")
    calling = rows.filter(pl.col("messages").list.eval(pl.element().struct["tool_calls"].is_not_null()).list.any())
    turns = calling.explode("messages").unnest("messages")
    known = turns["tool_calls"].drop_nulls().unique()
    texts = turns["tool_calls"].replace_strict(known, [call_text(each) for each in known], default=None)
    content = pl.concat_str([_filled(turns["content"]), _filled(texts)], separator="\n", ignore_nulls=True)
    said = turns.with_columns(content=content, tool_calls=pl.lit(None, dtype=pl.String))
    struct = pl.struct(pl.col(field.name) for field in messages.dtype.inner.fields)  # type: ignore[attr-defined]
    changed = said.group_by("row", maintain_order=True).agg(messages=struct)
    others = rows.join(changed, on="row", how="anti")
    return pl.concat([others, changed]).sort("row")["messages"].alias(messages.name)


def said(messages: pl.Expr) -> pl.Expr:
    """The same for an expression, such as of the column `messages`."""
    return messages.map_batches(as_said)


def answer_text(messages: pl.Expr) -> pl.Expr:
    """What the last turn says, its calls included."""
    return said(messages).list.last().struct.field("content")


def unreadable_calls(messages: pl.Series) -> pl.Series:
    """Whether a turn of a row holds calls that no chat template can write, or is not the assistant's and holds some."""
    if not has_calls(messages):
        return pl.Series(messages.name, [False], dtype=pl.Boolean).new_from_index(0, len(messages))
    calling = _calling_turns(messages)
    wrong = [each for each in calling["tool_calls"].unique() if _written(each) is None]
    odd = calling.filter((pl.col("role") != "assistant") | pl.col("tool_calls").is_in(wrong))
    rows = pl.Series(messages.name, range(len(messages)), dtype=pl.UInt32)
    return rows.is_in(odd["row"].unique().implode())


def without_empty_calls(messages: pl.Series) -> pl.Series:
    """The column with null for what holds no call, such as `[]`, so that it is written as a turn without."""
    if not has_calls(messages):
        return messages
    empty = [each for each in _calling_turns(messages)["tool_calls"].unique() if _written(each) == ""]
    if not empty:
        return messages
    turn = pl.element().struct
    kept = pl.when(~turn["tool_calls"].is_in(empty)).then(turn["tool_calls"])
    return messages.list.eval(turn.with_fields(kept.alias("tool_calls")))


def _calling_turns(messages: pl.Series) -> pl.DataFrame:
    """One row per turn that holds something as its calls: `row`, its place in the column, and the turn's fields.

    By exploding: Polars 2.1 panics where `list.eval` drops elements of a column that was filtered before.
    """
    rows = messages.to_frame("messages").with_row_index("row").filter(pl.col("messages").list.len() > 0)
    return rows.explode("messages").unnest("messages").filter(pl.col("tool_calls").is_not_null())


def _sorted(arguments: dict[str, Any]) -> Any:
    return json.loads(json.dumps(arguments, sort_keys=True))


def _written(calls: str | None) -> str | None:
    """The calls as templates get them; None where they cannot be read, or hold what no tokenizer takes."""
    try:
        text = as_text([call | {"arguments": _sorted(call["arguments"])} for call in calls_in(calls)])
        text.encode()  # half a surrogate pair, which JSON can escape, is no text
    except (BadInput, RecursionError, UnicodeEncodeError):
        return None
    return text


def _filled(texts: pl.Series) -> pl.Series:
    """The texts with null for the empty ones."""
    return texts.to_frame("text").select(pl.when(pl.col("text") != "").then("text")).to_series()
