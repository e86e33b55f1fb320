"""The turns of many conversations as flat columns: one row per turn, which is how they are normalised and masked."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl

from ft_assets.curation.schema import MESSAGE


class Turn(NamedTuple):
    """One turn. `tool_calls` is JSON text."""

    role: str
    content: str
    tool_calls: str | None = None


class Conversation(NamedTuple):
    """The turns of one conversation as three parallel sequences: cheaper to make than an object per turn."""

    roles: Sequence[str]
    contents: Sequence[str]
    tool_calls: Sequence[str | None]

    @classmethod
    def of(cls, turns: Iterable[Turn]) -> "Conversation":
        """The conversation of these turns."""
        roles, contents, calls = zip(*turns, strict=True)
        return cls(roles, contents, calls)

    def turns(self) -> list[Turn]:
        """Its turns one by one."""
        return list(map(Turn, *self))


def conversations(turns: pl.DataFrame, number: int) -> Iterator[Conversation]:
    """The flat turns of so many conversations, one conversation after the other."""
    roles, contents, calls = (turns[name].to_list() for name in ("role", "content", "tool_calls"))
    for start, stop in pairwise(starts(turns, number).tolist()):
        yield Conversation(roles[start:stop], contents[start:stop], calls[start:stop])


def flat(messages: pl.Series) -> pl.DataFrame:
    """row (the conversation's number), role, content and tool_calls of every turn, in order."""
    frame = messages.alias("turn").to_frame().with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    return frame.explode("turn").unnest("turn").filter(pl.col("role").is_not_null())


def starts(turns: pl.DataFrame, conversations: int) -> np.ndarray:
    """Where each conversation's turns begin, and where the last ends: conversations + 1 numbers."""
    return np.searchsorted(turns["row"].to_numpy(), np.arange(conversations + 1))


def nested(turns: pl.DataFrame, conversations: int) -> pl.Series:
    """The inverse of `flat`: one list of turns per conversation, without copying their texts."""
    return lists("messages", turns.select("role", "content", "tool_calls"), starts(turns, conversations), MESSAGE)


def lists(name: str, fields: pl.DataFrame, places: np.ndarray, struct: pl.Struct) -> pl.Series:
    """One list of structs per row, from the structs' fields as columns; `places` says where each list begins and ends.

    Made from Arrow buffers: a Series of dictionaries costs six times as much.
    """
    import pyarrow as pa

    columns = [fields[column].rechunk().to_arrow() for column in fields.columns]
    structs = pa.StructArray.from_arrays(columns, names=fields.columns)
    return pl.Series(name, pa.LargeListArray.from_arrays(pa.array(places, pa.int64()), structs), dtype=pl.List(struct))
