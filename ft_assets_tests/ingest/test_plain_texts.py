"""Readers of columns, value by value against the readers that they stand in for."""

import sys
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.ingest import typed_values
from ft_assets.ingest.fields import READERS
from ft_assets.ingest.plain_texts import BLANKS, READ_SCORES, READ_TOGETHER
from ft_assets.ingest.typed_values import Unreadable

WORDS = st.sampled_from(
    ["", " ", "x", "QA", "accept", " Tool Call ", "agent", "a" * 256, "a" * 257, "é\x1c", "\x1f \u2003"]
)
MOMENTS = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0).isoformat() + "Z"
) | st.sampled_from(
    [
        "2026-02-30T00:00:00Z",
        "2026-01-05T24:00:00Z",
        "2026-01-05T23:59:60Z",
        "2026-01-05",
        " 2026-01-05T10:00:00Z ",
        "now",
    ]
)


def one_by_one(field: str, texts: list[str | None]) -> list[Any]:
    read: list[Any] = []
    for text in texts:
        try:
            read.append(None if text is None else READERS[field]("", text))
        except Unreadable:
            read.append(Unreadable)
    return read


def together(field: str, texts: list[str | None]) -> list[Any]:
    """What the column says; what it leaves to the reader is as the reader has it."""
    typed, doubtful = READ_TOGETHER[field].read(pl.Series(texts, dtype=pl.String))
    alone = one_by_one(field, texts)
    return [each if left else said for each, left, said in zip(alone, doubtful.fill_null(False), typed, strict=True)]


def test_blanks_are_what_python_strips() -> None:
    assert "".join(chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()) == BLANKS


@pytest.mark.parametrize(
    "field", ["interaction_id", "role", "task_type", "reasoning_mode", "expert_verdict", "context"]
)
@settings(deadline=None)
@given(texts=st.lists(st.none() | WORDS | st.text(max_size=5)))
def test_texts(field: str, texts: list[str | None]) -> None:
    assert together(field, texts) == one_by_one(field, texts)


@settings(deadline=None)
@given(texts=st.lists(st.none() | MOMENTS))
def test_moments(texts: list[str | None]) -> None:
    assert together("timestamp", texts) == one_by_one("timestamp", texts)


def test_the_usual_moment_is_read_as_a_column() -> None:
    typed, doubtful = READ_TOGETHER["timestamp"].read(pl.Series(["2026-01-05T10:20:30Z", "2026-01-05"]))
    assert typed.to_list() == [datetime(2026, 1, 5, 10, 20, 30, tzinfo=UTC), None]
    assert doubtful.to_list() == [False, True]


@settings(deadline=None)
@given(numbers=st.lists(st.decimals(0, 1, allow_nan=False, places=17) | st.decimals(0, 2, allow_nan=False, places=3)))
def test_numbers_are_the_nearest_ones(numbers: list[Any]) -> None:
    texts = [f"{number:f}" for number in numbers]
    typed, doubtful = READ_SCORES.read(pl.Series(texts, dtype=pl.String))
    assert typed.to_list() == [float(text) for text in texts]
    assert doubtful.to_list() == [float(text) > 1 for text in texts]


def test_each_reader_of_texts_and_numbers_has_its_column() -> None:
    alone = {typed_values.json_text, typed_values.tags}
    assert {field for field, reader in READERS.items() if reader not in alone} == READ_TOGETHER.keys()
