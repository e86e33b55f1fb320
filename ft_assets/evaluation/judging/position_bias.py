"""How far a judge leans to one side, with an interval that is honest for few pairs and for a judge that always does."""

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

Z = 1.959963984540054  # 0.975 of the standard normal distribution: an interval of 95 %


class Share(NamedTuple):
    """A difference of two shares, -1 to 1, its 95 % interval, and over how many clusters it was taken."""

    estimate: float
    low: float
    high: float
    clusters: int


def mean_share(values: Iterable[tuple[str, float]]) -> Share:
    """The mean of values from -1 to 1 that come with the id of their cluster; each cluster counts once, by its mean.

    The interval is Wald's with half a pair added at 1, half at -1 and one at 0: Agresti and Min 2005, "Simple improved
    confidence intervals for comparing matched proportions", Statistics in Medicine 24, formula of Wald+2; clipped to
    -1..1. Unlike Wald's own it does not shrink to a point where all values are alike.

    Raises:
        ValueError: there are no values.
    """
    clusters: dict[str, list[float]] = defaultdict(list)
    for cluster_id, value in values:
        clusters[cluster_id].append(value)
    means = [math.fsum(its) / len(its) for _, its in sorted(clusters.items())]
    if not means:
        raise ValueError("no values: there is no mean of nothing")
    count = len(means) + 2
    shrunk = math.fsum(means) / count
    variance = (math.fsum(mean * mean for mean in means) + 1) / count - shrunk * shrunk
    margin = Z * math.sqrt(variance / count)
    return Share(math.fsum(means) / len(means), max(-1.0, shrunk - margin), min(1.0, shrunk + margin), len(means))
