"""Filters of a model line: a condition under which a row is left out. Adding one is a function and a line in FILTERS.

The function takes the parameter that stands in the YAML file, if it has one. A row is counted under the first of the
line's filters that applies. What a column does not say leaves no row out. Light: polars enters inside the functions.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

if TYPE_CHECKING:
    import polars as pl

Count = Annotated[int, Field(ge=1)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


def _pattern(text: str) -> str:
    """A pattern that both Python and the Rust engine behind Polars can read."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if re.search(r"\(\?<?[=!]|\\[1-9]|\(\?P=", text):
        raise ValueError("look-around and back references are not supported; write the pattern without them")
    return text


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_pattern)]


def min_answer_chars(characters: Count) -> "pl.Expr":
    """An answer of fewer characters."""
    return _answer().str.len_chars() < characters


def max_answer_chars(characters: Count) -> "pl.Expr":
    """An answer of more characters."""
    return _answer().str.len_chars() > characters


def max_tokens(tokens: Count) -> "pl.Expr":
    """More tokens in all turns together, as `n_tokens` of curated_examples counts them."""
    return _column("n_tokens") > tokens


def max_turns(turns: Count) -> "pl.Expr":
    """More turns than this, the system's not counted."""
    import polars as pl

    system = pl.element().struct.field("role") == "system"
    return _column("messages").list.len() - _column("messages").list.eval(system).list.sum() > turns


def exclude_tags(tags: Names) -> "pl.Expr":
    """Any of these tags."""
    import polars as pl

    return _column("tags").list.eval(pl.element().is_in(list(tags))).list.any()


def exclude_sources(sources: Names) -> "pl.Expr":
    """One of these sources."""
    return _column("source").is_in(list(sources))


def answer_matches_not(pattern: Pattern) -> "pl.Expr":
    """An answer in which this regular expression is found."""
    return _answer().str.contains(pattern)


FILTERS: Mapping[str, Any] = MappingProxyType(
    {
        rule.__name__: rule
        for rule in (
            min_answer_chars,
            max_answer_chars,
            max_tokens,
            max_turns,
            exclude_tags,
            exclude_sources,
            answer_matches_not,
        )
    }
)


def _column(name: str) -> "pl.Expr":
    import polars as pl

    return pl.col(name)


def _answer() -> "pl.Expr":
    """What the answer says, its tool calls included."""
    from ft_assets.dataset.call_texts import answer_text

    return answer_text(_column("messages"))
