import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from ft_assets.defs.conventions import DATA_ENG, MODEL_LINES, SETTINGS, pinned, specialization
from ft_assets.defs.curation import curated_examples
from ft_assets.defs.preferences import preference_pairs
from ft_assets.errors import BadInput
from ft_assets.lake import Lake
from ft_assets.records import SIDES, Side
from ft_assets.rules_file import read_rules
from ft_assets.specializations.choice import choice_of, golden_of
from ft_assets.specializations.loader import Specialization
from ft_assets.state import State
from ft_assets.training.recipe_ranges import stages_of

if TYPE_CHECKING:
    from ft_assets.dataset.snapshot import SnapshotSummary


@dg.asset(
    partitions_def=MODEL_LINES,
    deps=[
        dg.AssetDep(table, partition_mapping=dg.AllPartitionMapping()) for table in (curated_examples, preference_pairs)
    ],
    group_name="dataset",
    kinds={"polars", "json"},
    owners=DATA_ENG,
)
def train_eval_split(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], state: dg.ResourceParam[State]
) -> dg.MaterializeResult:
    """One immutable snapshot per specialization: its train, validation and eval rows, and how they were chosen.

    From all days of `curated_examples` that the specialization's selector and rules take: one row of each group of
    near-duplicates, none that repeats the golden set or the eval side, at most so many of a user. Of `preference_pairs`
    those of the line, each on the side of its cluster, in preferences.jsonl; answers with a clear verdict, liked or
    disliked, in judged.jsonl. A row's side is a keyed hash of its cluster and is kept in the ledger, so it never
    changes. The snapshot's digest is its data version.
    Fails when fewer rows than `trigger.minimum_examples` are eligible (see `low_score_reason` in `curated_examples`, or
    widen `select` in the YAML file), or when a validator of its `rules` finds it invalid (the message says which).
    """
    from ft_assets.dataset.ledger import sides_in
    from ft_assets.dataset.readiness import refuse_below_floor
    from ft_assets.erasure.late import refuse_erased_rows

    spec = specialization(context)
    ledger = ledger_of(context.instance, lake, state, spec)
    with tempfile.TemporaryDirectory() as folder:
        summary = write_snapshot(lake, state, spec, Path(folder), ledger)
        floor, pairs = spec.expectations.hard_floor, summary.preferences_by_side.get("train", 0)
        refuse_below_floor(summary, spec.trigger.minimum_examples, floor, pairs, golden_clusters_of(spec, lake))
        refuse_erased_rows(state, Path(folder))
        snapshot = lake.put_artifact("snapshot", Path(folder))
    state.record_sides(spec.name, sides_in(snapshot.path), snapshot.digest)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(snapshot.digest),
        metadata={
            "digest": snapshot.digest,
            "path": dg.MetadataValue.path(str(snapshot.path)),
            "dagster/row_count": sum(summary.rows_by_side.values()),
            "rows_by_side": summary.rows_by_side,
            "tokens_by_side": {side: figures.model_dump() for side, figures in summary.tokens_by_side.items()},
            "dropped_by_reason": summary.drops,
            "preferences_by_side": summary.preferences_by_side,
            "preferences_dropped_by_reason": summary.preference_drops,
            "judged_by_side": summary.judged_by_side,
            "judged_dropped_by_reason": summary.judged_drops,
            "kept_on_their_side_by_the_ledger": summary.ledger_held,
            "coverage": dg.MetadataValue.md(coverage_table(summary)),
            "coverage_gaps": summary.coverage_gaps,
            "readiness": dg.MetadataValue.md(
                "\n".join(f"- {warning}" for warning in readiness_of(spec, summary, lake))
            ),
        },
    )


class ExportConfig(dg.Config):
    """How a snapshot is written for other tools."""

    format: str = Field(
        default="messages",
        description="native, examples, input_output, completion, messages, alpaca, sharegpt, transcript, argilla",
    )
    file_type: str = Field(default="jsonl", description="json, jsonl, csv or parquet, each also with .gz")
    sides: list[str] = Field(default=["train", "validation"], description="The eval side leaves only when named.")


@dg.asset(partitions_def=MODEL_LINES, deps=[train_eval_split], group_name="dataset", kinds={"json"}, owners=DATA_ENG)
def exported_dataset(
    context: dg.AssetExecutionContext, config: ExportConfig, lake: dg.ResourceParam[Lake]
) -> dg.MaterializeResult:
    """One directory per specialization: its latest snapshot in a format that other tools read, one file per side.

    Materialize it when it is needed; nothing downstream reads it.

    Fails when a row cannot be said in the format (several turns in Alpaca): choose another format in the launchpad.
    """
    from ft_assets.dataset.export import write_rows
    from ft_assets.dataset.snapshot import read_side

    snapshot = lake.artifact("snapshot", pinned(context, "train_eval_split"))
    with tempfile.TemporaryDirectory() as folder:
        rows = {
            side: write_rows(
                read_side(snapshot.path, side_named(side)), config.format, Path(folder, f"{side}.{config.file_type}")
            )
            for side in config.sides
        }
        export = lake.put_artifact("export", Path(folder))
    return dg.MaterializeResult(
        metadata={
            "digest": export.digest,
            "path": dg.MetadataValue.path(str(export.path)),
            "snapshot": snapshot.digest,
            "format": config.format,
            "rows_by_side": rows,
            "dagster/row_count": sum(rows.values()),
        }
    )


def write_snapshot(
    lake: Lake, state: State, spec: Specialization, directory: Path, ledger: dict[str, Side]
) -> "SnapshotSummary":
    """Writes the snapshot that today's tables give into `directory`, and returns its summary."""
    from ft_assets.dataset.preference_scores import PreferenceRules
    from ft_assets.dataset.snapshot import build_snapshot

    chosen = choice_of(lake, state, spec, SETTINGS.split_key) | {"ledger": ledger}
    rules = read_rules(SETTINGS.rules, "preferences", PreferenceRules)
    return build_snapshot(
        lake.scan("curated_examples"),
        system_prompt=spec.system_prompt.as_written(),
        directory=directory,
        specialization=spec.name,
        pairs=lake.scan("preference_pairs") if lake.exists("preference_pairs") else None,
        most_pairs_per_prompt=rules.most_pairs_per_prompt,
        disliked_below=rules.least_chosen_score,
        **chosen,
    )


def ledger_of(instance: dg.DagsterInstance, lake: Lake, state: State, spec: Specialization) -> dict[str, Side]:
    """The side of every cluster that was ever in a snapshot of the line; rebuilt from the snapshots when it is lost."""
    from ft_assets.dataset.ledger import rebuild_ledger

    if not (ledger := state.sides(spec.name)):
        made = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=train_eval_split.key, asset_partitions=[spec.name]), limit=1000
        )
        digests = [
            str(record.asset_materialization.metadata["digest"].value)
            for record in reversed(made.records)
            if record.asset_materialization and "digest" in record.asset_materialization.metadata
        ]
        kept = [digest for digest in dict.fromkeys(digests) if lake.has_artifact("snapshot", digest)]
        rebuild_ledger(state, spec.name, [lake.artifact("snapshot", digest).path for digest in kept])
        ledger = state.sides(spec.name)
    return ledger


def readiness_of(spec: Specialization, summary: "SnapshotSummary", lake: Lake) -> list[str]:
    """Warnings with numbers about what this snapshot can and cannot show."""
    from ft_assets.dataset.readiness import readiness_warnings

    golden_clusters = golden_clusters_of(spec, lake)
    return readiness_warnings(
        summary,
        spec.gate.minimum_clusters,
        golden_clusters,
        limits=spec.expectations,
        judged_answers=judged_answers_of(spec, summary),
    )


def judged_answers_of(spec: Specialization, summary: "SnapshotSummary") -> dict[str, int] | None:
    """How many answers of the train side are liked and disliked; None for a line that does not learn from thumbs."""
    return summary.judged_by_side.get("train") if "kto" in stages_of(spec.approach) else None


def golden_clusters_of(spec: Specialization, lake: Lake) -> int:
    """How many independent questions the line's golden set asks."""
    return len({row.cluster_id for row in golden_of(spec, lake)})


def side_named(name: str) -> Side:
    """The side of that name.

    Raises:
        BadInput: there is none; names those that there are.
    """
    for side in SIDES:
        if side == name:
            return side
    raise BadInput(f"There is no side {name!r}. Name some of {', '.join(SIDES)} in the launchpad, under sides.")


def coverage_table(summary: "SnapshotSummary") -> str:
    """Rows per task and side as Markdown."""
    head = "| task | train | validation | eval |\n|---|---:|---:|---:|\n"
    rows = (
        f"| {task} | {sides.get('train', 0)} | {sides.get('validation', 0)} | {sides.get('eval', 0)} |"
        for task, sides in sorted(summary.rows_by_task.items())
    )
    return head + "\n".join(rows)
