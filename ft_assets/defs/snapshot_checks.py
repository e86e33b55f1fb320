import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from ft_assets.defs.conventions import MODEL_LINES, pinned, specialization
from ft_assets.defs.dataset import train_eval_split, write_snapshot
from ft_assets.lake import Artifact, Lake
from ft_assets.specializations.choice import golden_of
from ft_assets.specializations.loader import Specialization
from ft_assets.state import State

LARGEST_CLUSTER_SHARE = 0.05
LEAST_RECALL = 0.9
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
LEAKS = "no_example_leaks_into_evaluation"
CHECKS = {
    LEAKS: "Nothing of the eval side or of the golden set is in train or validation: no id, cluster or prompt, no "
    "whole text, no long excerpt, no near copy. Copies that are planted in every run show how many it would find.",
    "every_task_has_training_rows": "Each task that the specialization names has rows to learn from.",
    "no_cluster_dominates": "The largest cluster of near-duplicates holds at most 5 % of the snapshot.",
    "snapshot_is_current": "The snapshot is the one that today's tables would give (Dagster shows no staleness across "
    "all-partition deps).",
}


# One step for all of them: a process of its own for each check would cost more than the checks.
@dg.multi_asset_check(
    name="snapshot_checks",
    specs=[
        dg.AssetCheckSpec(
            name, asset=train_eval_split, blocking=name == LEAKS, description=description, partitions_def=MODEL_LINES
        )
        for name, description in CHECKS.items()
    ],
    can_subset=True,
)
def snapshot_checks(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake], state: dg.ResourceParam[State]
) -> Iterator[dg.AssetCheckResult]:
    spec = specialization(context)
    snapshot = lake.artifact("snapshot", pinned(context, "train_eval_split"))
    wanted = {key.name for key in context.op_execution_context.selected_asset_check_keys}
    if LEAKS in wanted:
        yield nothing_leaks(lake, spec, snapshot)
    if "every_task_has_training_rows" in wanted:
        yield tasks_have_rows(snapshot)
    if "no_cluster_dominates" in wanted:
        yield no_cluster_dominates(snapshot)
    if "snapshot_is_current" in wanted:
        yield is_current(lake, state, spec, snapshot)


def nothing_leaks(lake: Lake, spec: Specialization, snapshot: Artifact) -> dg.AssetCheckResult:
    """Looks at what was written, with the same layers as the choice, and at copies that it plants itself."""
    from ft_assets.dataset.contamination import leaks
    from ft_assets.dataset.judged_leaks import judged_leaks
    from ft_assets.dataset.planted import planted_recall
    from ft_assets.dataset.preference_leaks import preference_leaks

    golden = golden_of(spec, lake)
    found = leaks(snapshot.path, golden)
    pairs, judged = preference_leaks(snapshot.path, golden), judged_leaks(snapshot.path, golden)
    recall = planted_recall(snapshot.path, golden, seed=int(snapshot.digest[:8], 16))
    shown = [f"| {kind} | {each.found} of {each.planted} | {each.too_short} |" for kind, each in recall.items()]
    table = "\n".join(["| planted copies | found | too short to tell |", "|---|---:|---:|", *shown])
    return dg.AssetCheckResult(
        check_name=LEAKS,
        passed=not found and not pairs and not judged,
        severity=ERROR,
        metadata={
            "leaks": len(found),
            "first": [f"{leak.example_id} {leak.layer} {leak.other_id} at {leak.span}" for leak in found[:20]],
            "leaking_pairs": dict(list(pairs.items())[:20]),
            "leaking_judged_rows": dict(list(judged.items())[:20]),
            "recall_on_planted_copies": dg.MetadataValue.md(table),
        },
        description=f"{len(found)} examples, {len(pairs)} preference pairs and {len(judged)} judged rows stand on two "
        "sides. Nothing is trained on this snapshot. Look at the ids and character spans below; if a golden row is "
        "among them, the golden file changed after the snapshot was made."
        if found or pairs or judged
        else None,
    )


def tasks_have_rows(snapshot: Artifact) -> dg.AssetCheckResult:
    from ft_assets.dataset.snapshot import read_counts

    gaps = read_counts(snapshot.path).coverage_gaps
    return dg.AssetCheckResult(
        check_name="every_task_has_training_rows",
        passed=not gaps,
        severity=WARN,
        metadata={"gaps": gaps},
        description=f"Too few train rows: {', '.join(f'{task} has {rows}' for task, rows in gaps.items())}. "
        "The model will be asked these tasks by the golden set all the same. Collect rated answers for them."
        if gaps
        else None,
    )


def no_cluster_dominates(snapshot: Artifact) -> dg.AssetCheckResult:
    from ft_assets.dataset.snapshot import read_counts

    share = read_counts(snapshot.path).largest_cluster_share
    return dg.AssetCheckResult(
        check_name="no_cluster_dominates",
        passed=share <= LARGEST_CLUSTER_SHARE,
        severity=WARN,
        metadata={"largest_cluster_share": share},
        description=f"One cluster holds {share:.1%} of the snapshot: a template, a bot or one long conversation. The "
        "model will learn it by heart, and its side of the split decides much. Look for it by cluster_id in "
        "curated_examples."
        if share > LARGEST_CLUSTER_SHARE
        else None,
    )


def is_current(lake: Lake, state: State, spec: Specialization, snapshot: Artifact) -> dg.AssetCheckResult:
    from ft_assets.lake import directory_digest

    with tempfile.TemporaryDirectory() as folder:
        write_snapshot(lake, state, spec, Path(folder), state.sides(spec.name))
        today = directory_digest(Path(folder))
    return dg.AssetCheckResult(
        check_name="snapshot_is_current",
        passed=snapshot.digest == today,
        severity=WARN,
        metadata={"snapshot": snapshot.digest, "today": today},
        description=None
        if snapshot.digest == today
        else "curated_examples moved on: materialize train_eval_split again.",
    )
