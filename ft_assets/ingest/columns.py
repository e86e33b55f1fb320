"""Rows as dicts into the frames of `raw_interactions` and `feedback`, column by column."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from ft_assets.ingest.schema import FEEDBACK_COLUMNS, RAW_COLUMNS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PARTS: dict[str, dict[str, Any]] = {
    "messages": {"role": pl.String, "content": pl.String, "tool_calls": pl.String},
    "judge": {"criterion": pl.String, "score": pl.Float64},
}


Columns = dict[str, Any]  # of each a list or a Series; all of one length


def interaction_frame(rows: Sequence[Mapping[str, Any]], day: str, file: str) -> pl.DataFrame:
    """The rows of one file with RAW_SCHEMA, in their order. A row without a source has the file's name as one."""
    return frame_of_columns(columns_of_rows(rows), len(rows), day, file)


def columns_of_rows(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """A list of values for each column that any of the rows has."""
    names = {name for row in rows for name in row}
    return {name: [row.get(name) for row in rows] for name in names}


def frame_of_columns(columns: Columns, height: int, day: str, file: str) -> pl.DataFrame:
    """As `interaction_frame`, from `height` values for each column; a column that is not there is null."""
    return _frame(columns, height, RAW_COLUMNS, day, file).with_columns(
        pl.col("reasoning_mode").fill_null("standard"), pl.col("source").fill_null(file.split(".")[0] or file)
    )


def feedback_frame(rows: Sequence[Mapping[str, Any]], day: str, file: str) -> pl.DataFrame:
    """The rows of one file with FEEDBACK_SCHEMA, in their order. A row without a source has the file's name as one."""
    source = pl.col("source").fill_null(file.split(".")[0] or file)
    return _frame(columns_of_rows(rows), len(rows), FEEDBACK_COLUMNS, day, file).with_columns(source)


def _frame(columns: Columns, height: int, dtypes: Mapping[str, Any], day: str, file: str) -> pl.DataFrame:
    constant = {"day": day, "source_file": file}
    filled: list[pl.Series] = []
    for name, dtype in dtypes.items():
        values = columns.get(name)
        if name in constant:
            filled.append(pl.repeat(constant[name], height, dtype=pl.String, eager=True).alias(name))
        elif isinstance(values, pl.Series):
            filled.append(values.alias(name))
        elif isinstance(dtype, pl.List):
            filled.append(_lists(name, values or [None] * height, dtype))
        elif values is None:
            filled.append(pl.repeat(None, height, dtype=dtype, eager=True).alias(name))
        elif name == "timestamp":
            filled.append(pl.Series(name, list(map(_microseconds, values)), pl.Int64).cast(dtype))
        else:
            filled.append(pl.Series(name, values, dtype))
    return pl.DataFrame(filled)


def _microseconds(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def _lists(name: str, values: list[list[Any] | None], dtype: pl.List) -> pl.Series:
    """A column of lists from flat columns of their items: a twentieth of the cost of a Series of lists of dicts."""
    items = [item for value in values if value for item in value]
    if not items:
        return pl.Series(name, [[]], dtype).new_from_index(0, len(values))
    ends = accumulate((len(value) if value else 0 for value in values), initial=0)
    flat = pl.Series(name, items, pl.String) if name not in _PARTS else _structs(name, zip(*items, strict=True))
    return lists_of(name, list(ends), flat, dtype)


def lists_of(name: str, offsets: Sequence[int] | np.ndarray, flat: pl.Series, dtype: pl.List) -> pl.Series:
    """A column of lists from a flat one of their items; `offsets` say where each begins and the last ends."""
    values = flat.to_arrow(compat_level=pl.CompatLevel.newest())  # newest: without a copy of the texts
    return pl.Series(name, pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values), dtype)


def _structs(name: str, columns: Iterable[Sequence[Any]]) -> pl.Series:
    parts = zip(_PARTS[name].items(), columns, strict=True)
    return pl.DataFrame([pl.Series(part, values, dtype) for (part, dtype), values in parts]).to_struct(name)
