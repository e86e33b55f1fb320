"""The rows of a snapshot without their texts: what a report counts. Columnar, a few dozen bytes per row."""

from pathlib import Path

import polars as pl

from ft_assets.dataset.call_texts import answer_text
from ft_assets.dataset.rows import side_frame
from ft_assets.records import SIDES

SIGNAL = pl.Struct({"name": pl.String, "value": pl.Float64, "source": pl.String})
MASKED = pl.Struct({"kind": pl.String, "count": pl.Int64})
# What the table of curated examples knows about a row, and a snapshot's files do not. Older tables lack some of it.
ABOUT: dict[str, pl.DataType | type[pl.DataType]] = {
    "day": pl.String,
    "user_id": pl.String,
    "source": pl.String,
    "source_kind": pl.String,
    "model_version": pl.String,
    "quality_score": pl.Float64,
    "signals": pl.List(SIGNAL),
    "human_verified": pl.Boolean,
    "corrected": pl.Boolean,
    "n_tokens": pl.Int64,
    "masked": pl.List(MASKED),
    "faults": pl.List(pl.String),
}
PREFERENCES = "preferences.jsonl"


def snapshot_rows(directory: Path, curated: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    """One row per example of the snapshot: side, ids, role, task, answer_characters, the columns of ABOUT, and `known`.

    `known` is false for a row that `curated` does not hold any more (its day was curated again, or its retention is
    over); what is about it is null then. An example that stands on several days counts with the day it was chosen from.

    Raises:
        IncompleteArtifact: a side's file is not there; materialize train_eval_split again.
    """
    sides = pl.concat([_without_text(directory, side) for side in SIDES])
    about = sides.lazy().join(_about(curated), on="example_id", how="left").collect(engine="streaming")
    same = (pl.col("interaction_ids") == pl.col("curated_interaction_ids")).fill_null(False)
    return (
        about.sort("example_id", ~same, ~pl.col("high_score").fill_null(False), "day", maintain_order=True)
        .unique("example_id", keep="first", maintain_order=True)
        .with_columns(known=pl.col("day").is_not_null())
        .drop("interaction_ids", "curated_interaction_ids", "high_score")
    )


def preferences_by_side(directory: Path) -> dict[str, int] | None:
    """Side to number of preference pairs; None for a snapshot without a file of them."""
    path = directory / PREFERENCES
    if not path.is_file():
        return None
    sides: dict[str, int] = dict.fromkeys(SIDES, 0)
    if path.stat().st_size:
        counted = pl.scan_ndjson(path, schema={"side": pl.String}).group_by("side").len().collect()
        sides |= dict(counted.iter_rows())
    return sides


def _without_text(directory: Path, side: str) -> pl.DataFrame:
    return side_frame(directory, side).select(  # type: ignore[arg-type]
        "example_id",
        "cluster_id",
        "role",
        "task_type",
        "reasoning_mode",
        side=pl.lit(side),
        answer_characters=answer_text(pl.col("messages")).str.len_chars().cast(pl.Int64),
        interaction_ids=pl.col("interaction_ids").list.sort().list.join(","),
    )


def _about(curated: pl.LazyFrame | pl.DataFrame) -> pl.LazyFrame:
    frame = curated.lazy()
    there = set(frame.collect_schema())
    columns = [pl.col(name) if name in there else pl.lit(None, dtype=kind).alias(name) for name, kind in ABOUT.items()]
    ids = pl.col("interaction_ids").list.sort().list.join(",").alias("curated_interaction_ids")
    return frame.select("example_id", "high_score", ids, *columns)
