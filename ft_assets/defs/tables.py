"""What the day assets share: their metadata, and the table of rejections."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from ft_assets.lake import Lake
from ft_assets.rejections_schema import REJECTIONS
from ft_assets.validated import validated


def table_metadata(frame: pl.DataFrame, rows: int) -> dict[str, Any]:
    """Row count and columns under the names that the UI knows."""
    columns = [dg.TableColumn(name, str(kind)) for name, kind in frame.schema.items()]
    return {"dagster/row_count": rows, "dagster/column_schema": dg.TableSchema(columns=columns)}


def count_rows_by_day(frame: pl.DataFrame) -> dict[str, int]:
    """Day to number of rows."""
    return dict(frame.group_by("day").len().rows())


def latest_metadata(
    instance: dg.DagsterInstance, key: dg.AssetKey, days: Sequence[str], names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Day to these metadata values of its latest materialization that carries all of them."""
    missing, found = set(days), dict[str, dict[str, Any]]()
    cursor = None
    while missing:
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=sorted(missing)), limit=1000, cursor=cursor
        )
        for record in page.records:  # newest first
            metadata = record.asset_materialization.metadata if record.asset_materialization else {}
            if record.partition_key in missing and all(name in metadata for name in names):
                found.setdefault(record.partition_key, {name: metadata[name].value for name in names})
        cursor = page.cursor
        missing -= found.keys()
        if not page.has_more:
            break
    return found


def replace_rejections(lake: Lake, stage: str, rejections: pl.DataFrame, days: Sequence[str]) -> None:
    """Replaces this stage's rejections of these days, and nobody else's."""
    lake.replace("rejections", validated(REJECTIONS, rejections, days), {"stage": [stage], "day": list(days)})


def in_batches(days: Sequence[str], weights: Mapping[str, int], most: int) -> Iterator[list[str]]:
    """The days in their order, in groups whose weights sum to at most `most`; a heavier day is a group of its own.

    One run may span hundreds of days: each group is read, computed and committed before the next one is read.
    """
    batch: list[str] = []
    weight = 0
    for day in days:
        if batch and weight + weights.get(day, 0) > most:
            yield batch
            batch, weight = [], 0
        batch.append(day)
        weight += weights.get(day, 0)
    if batch:
        yield batch
