"""Transformers of a model line: how it changes the turns of the rows it takes. Adding one is a function and a line.

The function takes the messages, and the parameter that stands in the YAML file, if it has one. Ids and `n_tokens` stay
those of the row as it was curated. Light: polars enters inside the functions.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

if TYPE_CHECKING:
    import polars as pl


def strip_trailing_whitespace(messages: "pl.Expr") -> "pl.Expr":
    """Blanks at the ends of lines and at the end of each turn go."""
    import polars as pl

    turn = pl.element().struct
    stripped = turn.field("content").str.replace_all(r"(?m)[ \t]+$", "").str.strip_chars_end()
    return messages.list.eval(turn.with_fields(stripped.alias("content")))


def drop_system_turn(messages: "pl.Expr") -> "pl.Expr":
    """The system's turn goes, so that the line's own `system_prompt` stands alone."""
    import polars as pl

    return messages.list.eval(pl.element().filter(pl.element().struct.field("role") != "system"))


def keep_last_turns(messages: "pl.Expr", turns: Annotated[int, Field(ge=2)]) -> "pl.Expr":
    """Only the system's turn and the last `turns` others stay, fewer where they would not begin with the user's.

    So no answer stays without its question, and no tool's result without its call. Where none of them is the user's,
    as in a long chain of calls, they begin with the user's last.
    """
    import polars as pl

    role = pl.element().struct.field("role")
    system = messages.list.eval(pl.element().filter(role == "system"))
    others = messages.list.eval(pl.element().filter(role != "system"))
    asked_later = (role == "user").cast(pl.Int64).cum_sum(reverse=True)
    since_last_question = others.list.eval(pl.element().filter(asked_later <= (role == "user").cast(pl.Int64)))
    last = others.list.tail(turns).list.eval(pl.element().filter((role == "user").cast(pl.Int64).cum_sum() > 0))
    return system.list.concat(pl.when(last.list.len() > 0).then(last).otherwise(since_last_question))


TRANSFORMERS: Mapping[str, Any] = MappingProxyType(
    {rule.__name__: rule for rule in (strip_trailing_whitespace, drop_system_turn, keep_last_turns)}
)
