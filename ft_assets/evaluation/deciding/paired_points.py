"""Two models' points on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ft_assets.errors import EvaluationIncomplete
from ft_assets.evaluation.score import RowScore

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class PairedPoints:
    """One entry per row: its cluster, what both sides won, what was possible. `unpaired` rows have points on one side
    only, because the other gave no answer."""

    clusters: "ArrayLike"
    candidate: "ArrayLike"
    other: "ArrayLike"
    possible: "ArrayLike"
    unpaired: int = 0


def paired_points(candidate: Sequence[RowScore], other: Sequence[RowScore], metric: str) -> PairedPoints:
    """The rows that both sides have points for in this metric, ordered by row id; empty where there is none.

    Raises:
        EvaluationIncomplete: a row is doubled, or stands in another cluster or for other possible points on one side.
    """
    ours, theirs = (_by_row(rows, metric) for rows in (candidate, other))
    both = sorted(ours.keys() & theirs.keys())
    for row_id in both:
        if ours[row_id][::2] != theirs[row_id][::2]:
            raise EvaluationIncomplete(
                f"Row {row_id} counts {ours[row_id][2]:g} possible points of {metric} in cluster {ours[row_id][0]} for "
                f"the candidate, and {theirs[row_id][2]:g} in {theirs[row_id][0]} for the other side. A difference "
                "between different questions means nothing. Materialize evaluation_report again, so that both answer "
                "the same suite; token metrics need the same tokenizer on both sides."
            )
    return PairedPoints(
        clusters=[ours[row_id][0] for row_id in both],
        candidate=[ours[row_id][1] for row_id in both],
        other=[theirs[row_id][1] for row_id in both],
        possible=[ours[row_id][2] for row_id in both],
        unpaired=len(ours.keys() ^ theirs.keys()),
    )


def _by_row(rows: Sequence[RowScore], metric: str) -> dict[str, tuple[str, float, float]]:
    """(cluster, won, possible) of the rows that the metric applies to."""
    found = {
        row.row_id: (row.cluster_id, *row.points[metric])
        for row in rows
        if metric in row.points and row.points[metric].possible > 0
    }
    if len({row.row_id for row in rows}) != len(rows):
        raise EvaluationIncomplete("A row stands twice among the scores of one side. Score the answers again.")
    return found
