"""What a metric is: a number of points per answered row, and how the points of a group become one figure."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.prediction import Prediction

Unit = Literal["rate", "perplexity", "tokens", "seconds", "count"]


class Answered(NamedTuple):
    """A question with one model's answer to it."""

    item: EvalItem
    prediction: Prediction


class Points(NamedTuple):
    """What a row contributes: a group's figure is the sum of `won` by the sum of `possible`."""

    won: float
    possible: float


@dataclass(frozen=True)
class Metric:
    """One figure about answers. `points` gives one entry per row in the rows' order, None where the metric does not
    apply to a row (no tests, no labels, no likelihood). Its docstring holds formula and source.

    `of_group` is for figures that are no ratio of sums (macro F1): rows in, figure out, None where it does not apply.
    """

    name: str
    unit: Unit
    higher_is_better: bool
    points: Callable[[Sequence[Answered]], list[Points | None]]
    of_group: Callable[[Sequence[Answered]], float | None] | None = None

    @property
    def description(self) -> str:
        """Formula and source."""
        return (self.points.__doc__ or "").strip()

    def figure(self, points: Iterable[Points | None]) -> float | None:
        """The figure of a group of rows from their points; None where no row has any."""
        counted = [point for point in points if point is not None and point.possible > 0]
        if not counted:
            return None
        mean = math.fsum(point.won for point in counted) / math.fsum(point.possible for point in counted)
        return math.exp(min(mean, LARGEST_EXPONENT)) if self.unit == "perplexity" else mean


# The longest mean surprise that still has a finite perplexity; an untrained model of any vocabulary stays under 20.
LARGEST_EXPONENT = 700.0


Measure = Callable[[Sequence[Answered]], list[Points | None]]


def each(of_row: Callable[[EvalItem, Prediction], Points | None]) -> Measure:
    """A metric's `points` from a function of one row; it keeps that function's docstring."""

    def points(rows: Sequence[Answered]) -> list[Points | None]:
        return [of_row(row.item, row.prediction) for row in rows]

    points.__doc__ = of_row.__doc__
    return points
