"""Pieces of a person's texts by which copies of them are recognised where no id stands beside them: logs, pictures of
tables, files that people made. Pieces that stand in other people's texts, too, tell nothing and are left out."""

import re
from collections.abc import Iterable

import polars as pl

from ft_assets.lake import Lake

# Characters that no format escapes, so that a piece looks the same in JSON, CSV, Markdown and HTML.
RUN = re.compile(r"[A-Za-z0-9 ,.:;/()-]{16,}")
SHORTEST, LONGEST, PIECES_PER_TEXT = 16, 60, 6
TEXT_COLUMNS = ("context", "corrected_output", "outcome", "value", "original_answer")
TURNS = ("messages", "prompt", "chosen", "rejected")


def pieces_of(texts: Iterable[str]) -> set[str]:
    """Up to six pieces of 16 to 60 characters of each text, the longest runs first; whole short texts as they are."""
    found: set[str] = set()
    for text in set(texts):
        runs = sorted((run.strip() for run in RUN.findall(text)), key=lambda run: (-len(run), run))
        plain = [run for run in runs if (len(run) >= SHORTEST and " " in run) or len(run) >= 24]
        found.update(run[:LONGEST].strip() for run in plain[:PIECES_PER_TEXT])
    return found


def texts_of(frame: pl.LazyFrame, is_theirs: pl.Expr) -> list[str]:
    """Every text in these rows of a table."""
    schema = frame.collect_schema()
    columns = [name for name in (*TURNS, *TEXT_COLUMNS) if name in schema]
    if not columns:
        return []
    rows = frame.filter(is_theirs).select(_joined(name, schema[name]) for name in columns).collect()
    return [text for name in columns for text in rows[name].drop_nulls().to_list()]


def only_theirs(lake: Lake, pieces: set[str], others: Iterable[tuple[str, pl.Expr]]) -> list[str]:
    """The pieces that stand in no row of anybody else. `others` are tables with the rows that are not theirs."""
    shared: set[str] = set()
    listed = sorted(pieces)
    for table, is_other in others:
        if not listed or not lake.exists(table):
            continue
        frame = lake.scan(table)
        schema = frame.collect_schema()
        columns = [name for name in TURNS if name in schema]
        for name in columns:
            text = _joined(name, schema[name]).str.extract_many(listed, overlapping=True)
            hits = frame.filter(is_other).select(text.explode().drop_nulls().unique()).collect()
            shared.update(hits.to_series().to_list())
    return [piece for piece in listed if piece not in shared]


def _joined(name: str, kind: pl.DataType) -> pl.Expr:
    if isinstance(kind, pl.List):
        return pl.col(name).list.eval(pl.element().struct.field("content")).list.join("\n").alias(name)
    return pl.col(name)


def holds_any(text: str, pieces: list[str]) -> bool:
    """Whether one of the pieces stands in the text."""
    return bool(pieces) and bool(pl.Series([text]).str.contains_any(pieces).item())
