"""What the day assets share: their metadata, and the table of rejections."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import polars as pl

from ft_assets.lake import Lake
from ft_assets.records import Rejection

REJECTIONS = {"stage": pl.String, "day": pl.String, "place": pl.String, "rule": pl.String, "reason": pl.String}


def table_metadata(frame: pl.DataFrame, rows: int) -> dict[str, Any]:
    """Row count and columns under the names that the UI knows."""
    columns = [dg.TableColumn(name, str(kind)) for name, kind in frame.schema.items()]
    return {"dagster/row_count": rows, "dagster/column_schema": dg.TableSchema(columns=columns)}


def count_rows_by_day(frame: pl.DataFrame) -> dict[str, int]:
    """Day to number of rows."""
    return dict(frame.group_by("day").len().rows())


def replace_rejections(lake: Lake, stage: str, rejections: Sequence[Rejection], days: Sequence[str]) -> None:
    """Replaces this stage's rejections of these days, and nobody else's."""
    frame = pl.DataFrame([rejection.model_dump() for rejection in rejections], schema=REJECTIONS)
    lake.replace("rejections", frame, {"stage": [stage], "day": list(days)})
