"""A file in any known format as rows to train on: read, masked, deduplicated and split as the data wing does it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ft_assets.errors import BadInput, MissingInput
from ft_assets.records import Side

if TYPE_CHECKING:
    import polars as pl

    from ft_assets.dataset.rows import SnapshotRow

SIDES: tuple[Side, ...] = ("train", "validation", "eval")
LEAST_ROWS = 10  # fewer leave no row to stop and to choose by
NAMED = 5  # rejected records that an error names
DAY = "2000-01-01"  # no day is meant; ids do not depend on it


@dataclass(frozen=True)
class FileSides:
    """The rows of a file by side, and the number of records that are on none, by reason."""

    sides: "dict[Side, list[SnapshotRow]]"
    left_out: dict[str, int]


def rows_of(file: Path, task: str, split_key: str) -> FileSides:
    """The examples of `file`, masked, without copies, on three sides by the hash of their near-duplicate cluster.

    A record that names another task than `task` is left out; one that names none is taken to be of it. So is one whose
    own signals (rating, verdict, judge) say that its answer is not good; without signals it counts as good.

    Raises:
        MissingInput: there is no such file.
        BadInput: it holds no record of a known format, or too few that can be used; says which lines, and why.
    """
    from ft_assets.curation.curate import curate
    from ft_assets.curation.signals import NO_SIGNAL
    from ft_assets.dataset.rows import SnapshotRow
    from ft_assets.dataset.split import sides_of

    raw, left_out = _read(file, task)
    curated = curate(raw)
    left_out.update(curated.rejections["rule"].to_list())
    good = curated.examples["high_score"] | (curated.examples["low_score_reason"] == NO_SIGNAL)
    left_out["its own signals speak against it"] += int((~good.fill_null(False)).sum())
    examples = curated.examples.filter(good).sort("example_id")
    found: dict[Side, list[SnapshotRow]] = {side: [] for side in SIDES}
    clusters = examples["cluster_id"].to_list()
    for row, side in zip(examples.iter_rows(named=True), sides_of(clusters, split_key), strict=True):
        found[side].append(SnapshotRow.model_validate({name: row[name] for name in SnapshotRow.model_fields}))
    left_out = +left_out
    if examples.height < LEAST_ROWS or not found["train"] or not found["validation"]:
        raise BadInput(
            f"{file} has {examples.height} examples of {len(set(clusters))} different kinds that can be used, on the "
            f"sides {_counts(found)}; at least {LEAST_ROWS} are needed, with some on train and on validation. Left "
            f"out: {_told(left_out)}. Add examples, or mend those."
        )
    return FileSides(found, dict(left_out))


def _read(file: Path, task: str) -> "tuple[pl.DataFrame, Counter[str]]":
    import polars as pl

    from ft_assets.ingest.file_rows import read_file
    from ft_assets.ingest.rules import IngestRules

    if not file.is_file():
        raise MissingInput(f"{file} is no file. Give the path of a file of examples with --data.")
    read = read_file(DAY, file.name, file.read_bytes(), IngestRules())
    left_out = Counter(rule for _, rule, _ in read.rejections)
    if not read.rows:
        why = "; ".join(f"line {line}: {reason}" for line, _, reason in read.rejections[:NAMED])
        raise BadInput(f"{file} has no record in a known format. {why or 'It is empty'}. docs/ lists the formats.")
    rows = pl.concat(read.rows)
    named = pl.when("task_from_file").then(None).otherwise("task_type") if "task_from_file" in rows.columns else None
    rows = rows.with_columns(task_type=(pl.col("task_type") if named is None else named).fill_null(task))
    other = rows["task_type"] != task
    left_out["another task"] += int(other.sum())
    return rows.filter(~other), left_out


def _counts(sides: "dict[Side, list[SnapshotRow]]") -> str:
    return ", ".join(f"{side} {len(rows)}" for side, rows in sides.items())


def _told(left_out: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items())) or "nothing"
