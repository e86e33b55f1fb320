import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from ft_assets.defs.conventions import DATA_ENG, MODEL_LINES, SETTINGS, pinned, specialization
from ft_assets.defs.curation import curated_examples
from ft_assets.lake import Lake
from ft_assets.specializations.loader import Specialization

if TYPE_CHECKING:
    from ft_assets.dataset.contamination import GoldenRow
    from ft_assets.dataset.snapshot import SnapshotSummary


@dg.asset(
    partitions_def=MODEL_LINES,
    deps=[dg.AssetDep(curated_examples, partition_mapping=dg.AllPartitionMapping())],
    group_name="dataset",
    kinds={"polars", "json"},
    owners=DATA_ENG,
)
def train_eval_split(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """One immutable snapshot per specialization: its train, validation and eval rows, and how they were chosen.

    From all days of `curated_examples` that the specialization's selector takes. A row's side is a keyed hash of its
    cluster, so it never changes; what the golden set asks is never in it. The snapshot's digest is its data version.
    Fails when fewer rows than `trigger.minimum_examples` are eligible: see `low_score_reason` in `curated_examples`, or
    widen `select` in the YAML file.
    """
    from ft_assets.dataset.readiness import refuse_below_floor

    spec = specialization(context)
    with tempfile.TemporaryDirectory() as folder:
        summary = write_snapshot(lake, spec, Path(folder))
        refuse_below_floor(summary, spec.trigger.minimum_examples)
        snapshot = lake.put_artifact("snapshot", Path(folder))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(snapshot.digest),
        metadata={
            "digest": snapshot.digest,
            "path": dg.MetadataValue.path(str(snapshot.path)),
            "dagster/row_count": sum(summary.rows_by_side.values()),
            "rows_by_side": summary.rows_by_side,
            "dropped_by_reason": summary.drops,
            "coverage": dg.MetadataValue.md(coverage_table(summary)),
            "coverage_gaps": summary.coverage_gaps,
            "readiness": dg.MetadataValue.md("\n".join(f"- {warning}" for warning in readiness_of(spec, summary))),
        },
    )


@dg.asset_check(asset=train_eval_split, partitions_def=MODEL_LINES, blocking=True)
def no_example_leaks_into_evaluation(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
) -> dg.AssetCheckResult:
    """Nothing of the eval side or of the golden set is in train or validation: no id, cluster, prompt or whole text."""
    from ft_assets.dataset.contamination import leaks

    snapshot = lake.artifact("snapshot", pinned(context, "train_eval_split"))
    found = leaks(snapshot.path, golden_of(specialization(context)))
    return dg.AssetCheckResult(
        passed=not found,
        metadata={
            "leaks": len(found),
            "first": [f"{leak.kind}: {leak.example_id} = {leak.other_id}" for leak in found[:20]],
        },
        description=f"{len(found)} examples stand on two sides. Nothing is trained on this snapshot. "
        "Look at the ids below; if a golden row is among them, the golden file changed after the snapshot was made."
        if found
        else None,
    )


@dg.asset_check(asset=train_eval_split, partitions_def=MODEL_LINES)
def every_task_has_training_rows(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
) -> dg.AssetCheckResult:
    """Each task that the specialization names has rows to learn from."""
    from ft_assets.dataset.snapshot import read_counts

    gaps = read_counts(lake.artifact("snapshot", pinned(context, "train_eval_split")).path).coverage_gaps
    return dg.AssetCheckResult(
        passed=not gaps,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"gaps": gaps},
        description=f"Too few train rows: {', '.join(f'{task} has {rows}' for task, rows in gaps.items())}. "
        "The model will be asked these tasks by the golden set all the same. Collect rated answers for them."
        if gaps
        else None,
    )


@dg.asset_check(asset=train_eval_split, partitions_def=MODEL_LINES)
def snapshot_is_current(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    """The snapshot is the one that today's tables would give (Dagster shows no staleness across all-partition deps)."""
    from ft_assets.lake import directory_digest

    made = pinned(context, "train_eval_split")
    with tempfile.TemporaryDirectory() as folder:
        write_snapshot(lake, specialization(context), Path(folder))
        today = directory_digest(Path(folder))
    return dg.AssetCheckResult(
        passed=made == today,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"snapshot": made, "today": today},
        description=None if made == today else "curated_examples moved on: materialize train_eval_split again.",
    )


def write_snapshot(lake: Lake, spec: Specialization, directory: Path) -> "SnapshotSummary":
    """Writes the snapshot that today's tables give into `directory`, and returns its summary."""
    from ft_assets.dataset.snapshot import build_snapshot

    curated = lake.scan("curated_examples")
    return build_snapshot(
        curated, spec.select, SETTINGS.split_key, spec.split, golden_of(spec), spec.system_prompt, directory
    )


def readiness_of(spec: Specialization, summary: "SnapshotSummary") -> list[str]:
    """Warnings with numbers about what this snapshot can and cannot show."""
    from ft_assets.dataset.readiness import readiness_warnings

    golden_clusters = len({row.cluster_id for row in golden_of(spec)})
    return readiness_warnings(summary, spec.gate.minimum_clusters, golden_clusters)


def golden_of(spec: Specialization) -> "list[GoldenRow]":
    """The line's golden set; empty where it has none."""
    from ft_assets.dataset.contamination import golden_rows

    return golden_rows(spec.evaluation.golden_set) if spec.evaluation.golden_set else []


def coverage_table(summary: "SnapshotSummary") -> str:
    """Rows per task and side as Markdown."""
    head = "| task | train | validation | eval |\n|---|---:|---:|---:|\n"
    rows = (
        f"| {task} | {sides.get('train', 0)} | {sides.get('validation', 0)} | {sides.get('eval', 0)} |"
        for task, sides in sorted(summary.rows_by_task.items())
    )
    return head + "\n".join(rows)
