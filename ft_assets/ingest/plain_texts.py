"""The readers of typed_values.py for whole columns of texts at once. What a column cannot say, the reader decides."""

from collections.abc import Callable
from typing import NamedTuple

import polars as pl

from ft_assets.ingest import typed_values as read
from ft_assets.ingest.fields import READERS, Reader
from ft_assets.ingest.json_grammar import DECIMAL, INTEGER, TEXT
from ft_assets.ingest.typed_values import LONGEST_NAME, Number, Unreadable

# What `str.strip` takes for blank; Rust's own leaves out the four separators of ASCII.
BLANKS = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# As nearly every log writes a moment; the reader knows the other ways.
_USUAL_MOMENT = r"\A[12][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z\z"
_TEXT = pl.col("text")


class Read(NamedTuple):
    """Typed values, null for null, and which of them (Boolean; null is False) the reader has to look at."""

    typed: pl.Series
    doubtful: pl.Series


class Together(NamedTuple):
    """How a field's values are read as a column: which kinds of values, and by what."""

    kinds: tuple[int, ...]
    read: Callable[[pl.Series], Read]


def _read(texts: pl.Series, typed: pl.Expr, doubtful: pl.Expr) -> Read:
    columns = texts.alias("text").to_frame().with_columns(typed=typed).with_columns(doubtful=doubtful)
    return Read(columns["typed"], columns["doubtful"])


def short_texts(texts: pl.Series) -> Read:
    """As `short_text`."""
    name = _TEXT.str.strip_chars(BLANKS)
    return _read(texts, pl.when(name != "").then(name), pl.col("typed").str.len_chars() > LONGEST_NAME)


def long_texts(texts: pl.Series) -> Read:
    """As `long_text`."""
    return _read(texts, pl.when(_TEXT.str.contains(f"[^{BLANKS}]")).then(_TEXT), pl.lit(False))


def moments(texts: pl.Series) -> Read:
    """As `timestamp`."""
    usual = pl.when(_TEXT.str.contains(_USUAL_MOMENT)).then(_TEXT)
    moment = usual.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", strict=False, ambiguous="null")
    return _read(texts, moment.dt.replace_time_zone("UTC"), pl.col("typed").is_null() & _TEXT.is_not_null())


def numbers(reader: Number) -> Callable[[pl.Series], Read]:
    """As this reader."""

    def read_numbers(texts: pl.Series) -> Read:
        return _read(texts, _TEXT.cast(pl.Float64), ~pl.col("typed").is_between(reader.low, reader.high))

    return read_numbers


def counts(texts: pl.Series) -> Read:
    """As `count`."""
    return _read(texts, _TEXT.cast(pl.Int64), pl.lit(False))


def few(reader: Reader) -> Callable[[pl.Series], Read]:
    """As this reader, which looks at each text once, however often it stands there."""

    def read_few(texts: pl.Series) -> Read:
        known, typed = texts.drop_nulls().unique().to_list(), []
        refused = []
        for text in known:
            try:
                typed.append(reader("", text))
            except Unreadable:
                typed.append(None)
                refused.append(text)
        found = texts.replace_strict(known, pl.Series(typed, dtype=pl.String), default=None) if known else texts
        return Read(found, texts.is_in(refused))

    return read_few


_SPELLED = (read.role, read.task_type, read.reasoning_mode, read.verdict)
_READ: dict[Reader, Together] = {reader: Together((TEXT,), few(reader)) for reader in _SPELLED}
_READ[read.short_text] = Together((TEXT, INTEGER), short_texts)
_READ[read.long_text] = Together((TEXT,), long_texts)
_READ[read.timestamp] = Together((TEXT,), moments)
_READ[read.count] = Together((INTEGER,), counts)
_READ |= {
    reader: Together((INTEGER, DECIMAL), numbers(reader)) for reader in READERS.values() if isinstance(reader, Number)
}
READ_TOGETHER = {field: _READ[reader] for field, reader in READERS.items() if reader in _READ}
READ_SCORES = Together((INTEGER, DECIMAL), numbers(Number(0, 1)))
