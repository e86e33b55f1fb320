"""Whether a snapshot is enough to learn from and to be judged by, in numbers, before anything is trained."""

from collections.abc import Mapping

from ft_assets.dataset.expectations_limits import DEFAULT, Expectations, HardFloor
from ft_assets.dataset.summary import COVERAGE_MINIMUM, SnapshotSummary
from ft_assets.errors import BadInput

LARGEST_CLUSTER_SHARE = 0.05
NO_GAPS: Mapping[str, int] = {}
NO_FLOOR = HardFloor()


def readiness_warnings(
    summary: SnapshotSummary,
    minimum_eval_clusters: int = 50,
    golden_clusters: int = 0,
    *,
    limits: Expectations = DEFAULT,
    preference_pairs: int | None = None,
    judged_answers: Mapping[str, int] | None = None,
    role_gaps: Mapping[str, int] = NO_GAPS,
) -> list[str]:
    """One sentence with its numbers per shortcoming of a snapshot; empty when it is ready. None of them stops a run.

    `golden_clusters` are independent clusters of the golden set, which the gate judges by as well as by the eval side.
    `preference_pairs` are those of the train side, `judged_answers` how many of it are liked and disliked; None for a
    line that learns from none. `role_gaps` are the roles that the line names and has few train rows of, with theirs.
    """
    least, ideal = limits.sft_minimum, limits.sft_ideal
    train, validation = summary.rows_by_side["train"], summary.rows_by_side["validation"]
    eval_clusters = summary.clusters_by_side["eval"] + golden_clusters
    gaps = ", ".join(f"{name} has {rows}" for name, rows in sorted({**summary.coverage_gaps, **role_gaps}.items()))
    shares = f"{summary.human_verified_share:.1%}", f"{summary.largest_cluster_share:.1%}"
    judged = [
        (
            train < least,
            f"{train:,} train rows, {least - train:,} fewer than the recommended minimum of {least:,} for SFT "
            f"({ideal:,} is ideal)",
        ),
        (least <= train < ideal, f"{train:,} train rows are enough for SFT; {ideal:,} would be ideal"),
        *_about_preferences(preference_pairs, limits),
        *_about_thumbs(judged_answers, limits),
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
            summary.human_verified_share < limits.least_human_verified_share,
            f"{shares[0]} of the train rows are verified by a person, less than "
            f"{limits.least_human_verified_share:.0%}",
        ),
        (
            summary.largest_cluster_share > LARGEST_CLUSTER_SHARE,
            f"one cluster of near-duplicates holds {shares[1]} of all rows, more than {LARGEST_CLUSTER_SHARE:.0%}",
        ),
    ]
    return [warning for applies, warning in judged if applies]


def below_floor(
    summary: SnapshotSummary, floor: HardFloor, preference_pairs: int | None = None, golden_clusters: int = 0
) -> list[str]:
    """What of a snapshot lies under its line's hard floor, each with both numbers; empty when nothing does."""
    clusters, pairs = summary.clusters_by_side["eval"] + golden_clusters, preference_pairs or 0
    judged = [
        (clusters < floor.eval_clusters, f"{clusters} independent eval clusters of {floor.eval_clusters}"),
        (pairs < floor.preference_pairs, f"{pairs:,} preference pairs of {floor.preference_pairs:,}"),
        (
            summary.human_verified_share < floor.human_verified_share,
            f"{summary.human_verified_share:.1%} human-verified train rows of {floor.human_verified_share:.1%}",
        ),
    ]
    return [what for applies, what in judged if applies]


def refuse_below_floor(
    summary: SnapshotSummary,
    minimum_examples: int,
    floor: HardFloor = NO_FLOOR,
    preference_pairs: int | None = None,
    golden_clusters: int = 0,
) -> None:
    """Nothing, for a snapshot with at least `minimum_examples` train rows and with all that the `floor` asks for.

    Raises:
        BadInput: it has less; names the numbers and the knob.
    """
    if (train := summary.rows_by_side["train"]) < minimum_examples:
        raise BadInput(
            f"The snapshot has {train} train rows, fewer than the hard floor of {minimum_examples}. "
            f"Dropped: {summary.drops or 'nothing'}. Curate more rated answers, or lower trigger.minimum_examples in "
            "the specialization."
        )
    if missing := below_floor(summary, floor, preference_pairs, golden_clusters):
        raise BadInput(
            f"The snapshot is under its line's hard floor: {'; '.join(missing)}. It was not made, and a rerun on the "
            "same rows cannot help: collect what is missing, or lower expectations.hard_floor in the specialization."
        )


def _about_preferences(pairs: int | None, limits: Expectations) -> list[tuple[bool, str]]:
    if pairs is None:
        return []
    least, ideal = limits.preference_minimum, limits.preference_ideal
    return [
        (
            pairs < least,
            f"{pairs:,} preference pairs, {least - pairs:,} fewer than the recommended minimum of {least:,} "
            f"({ideal:,} is ideal)",
        ),
        (least <= pairs < ideal, f"{pairs:,} preference pairs are enough; {ideal:,} would be ideal"),
    ]


def _about_thumbs(judged: Mapping[str, int] | None, limits: Expectations) -> list[tuple[bool, str]]:
    """About the judged rows of a line that learns from thumbs; the minimum is that of preferences."""
    if judged is None:
        return []
    liked, disliked, least = judged["liked"], judged["disliked"], limits.preference_minimum
    return [
        (
            liked + disliked < least,
            f"{liked + disliked:,} judged answers ({liked:,} liked, {disliked:,} disliked), "
            f"{least - liked - disliked:,} fewer than the recommended minimum of {least:,}",
        ),
        (not liked or not disliked, f"{liked:,} liked and {disliked:,} disliked answers: KTO needs both"),
    ]
