"""Whether a snapshot is enough to learn from and to be judged by, in numbers, before anything is trained."""

from ft_assets.dataset.summary import COVERAGE_MINIMUM, SnapshotSummary
from ft_assets.errors import BadInput

SFT_MINIMUM_EXAMPLES, SFT_IDEAL_EXAMPLES = 1_000, 10_000
LEAST_HUMAN_VERIFIED_SHARE = 0.05
LARGEST_CLUSTER_SHARE = 0.05


def readiness_warnings(
    summary: SnapshotSummary, minimum_eval_clusters: int = 50, golden_clusters: int = 0
) -> list[str]:
    """One sentence with its numbers per shortcoming of a snapshot; empty when it is ready. None of them stops a run.

    `golden_clusters` are independent clusters of the golden set, which the gate judges by as well as by the eval side.
    """
    train, validation = summary.rows_by_side["train"], summary.rows_by_side["validation"]
    eval_clusters = summary.clusters_by_side["eval"] + golden_clusters
    gaps = ", ".join(f"{task} has {rows}" for task, rows in sorted(summary.coverage_gaps.items()))
    shares = f"{summary.human_verified_share:.1%}", f"{summary.largest_cluster_share:.1%}"
    judged = [
        (
            train < SFT_MINIMUM_EXAMPLES,
            f"{train:,} train rows, {SFT_MINIMUM_EXAMPLES - train:,} fewer than the recommended minimum of "
            f"{SFT_MINIMUM_EXAMPLES:,} for SFT ({SFT_IDEAL_EXAMPLES:,} is ideal)",
        ),
        (
            SFT_MINIMUM_EXAMPLES <= train < SFT_IDEAL_EXAMPLES,
            f"{train:,} train rows are enough for SFT; {SFT_IDEAL_EXAMPLES:,} would be ideal",
        ),
        (
            validation == 0,
            "no validation row, so training cannot stop early or choose its best checkpoint",
        ),
        (
            eval_clusters < minimum_eval_clusters,
            f"{eval_clusters} independent eval clusters, {minimum_eval_clusters - eval_clusters} fewer than the "
            f"{minimum_eval_clusters} that a verdict needs: the gate can only say hold; a golden set supplies them",
        ),
        (bool(gaps), f"coverage gaps, fewer than {COVERAGE_MINIMUM} train rows: {gaps}"),
        (
            summary.human_verified_share < LEAST_HUMAN_VERIFIED_SHARE,
            f"{shares[0]} of the train rows are verified by a person, less than {LEAST_HUMAN_VERIFIED_SHARE:.0%}",
        ),
        (
            summary.largest_cluster_share > LARGEST_CLUSTER_SHARE,
            f"one cluster of near-duplicates holds {shares[1]} of all rows, more than {LARGEST_CLUSTER_SHARE:.0%}",
        ),
    ]
    return [warning for applies, warning in judged if applies]


def refuse_below_floor(summary: SnapshotSummary, minimum_examples: int) -> None:
    """Nothing, for a snapshot with at least `minimum_examples` train rows.

    Raises:
        BadInput: it has fewer; names both numbers and the knob.
    """
    if (train := summary.rows_by_side["train"]) < minimum_examples:
        raise BadInput(
            f"The snapshot has {train} train rows, fewer than the hard floor of {minimum_examples}. "
            f"Dropped: {summary.drops or 'nothing'}. Curate more rated answers, or lower trigger.minimum_examples in "
            "the specialization."
        )
