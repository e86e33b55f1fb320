"""How sure a difference is. The unit is the cluster (a conversation, near-duplicates of one question), never the row:
rows of one cluster rise and fall together, and with ten rows a cluster a test over rows calls one null result in five
significant at a nominal 5 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, gammaincinv, ndtri

from ft_assets.errors import BadInput
from ft_assets.evaluation.deciding.bootstrap_bounds import bounds, share_at_most
from ft_assets.evaluation.deciding.sign_flip import sign_flip

ONE_SIDED = 0.025  # each side of a 95 % interval, and the level of a claim that one model is better
POWER = 0.80
NOISE = 1e-12  # what adding floats in another order can move

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its one-sided bounds (two of them make a two-sided interval of twice their level).
    `smallest_visible` is None for a single cluster, and where no possible difference would have been seen."""

    estimate: float
    low: float
    high: float
    n_clusters: int
    n_differing: int
    smallest_visible: float | None


class Differences(NamedTuple):
    """Per cluster: the summed gain, what it is divided by, and how far one cluster's figure can go either way."""

    gains: Floats
    sizes: Floats
    worst: float
    best: float
    n_rows: int

    @property
    def estimate(self) -> float:
        """sum of gains / sum of sizes."""
        return float(self.gains.sum() / self.sizes.sum())

    @property
    def is_paired_binary(self) -> bool:
        """One row per cluster, each a win, a loss or a tie: where exact McNemar applies."""
        whole = np.all(self.sizes == 1) and np.all(np.isin(self.gains, (-1.0, 0.0, 1.0)))
        return bool(self.n_rows == len(self.gains) and whole)

    def reversed(self) -> "Differences":
        """The same comparison from the other side."""
        return Differences(-self.gains, self.sizes, -self.best, -self.worst, self.n_rows)


def differences(won: ArrayLike, other_won: ArrayLike, possible: ArrayLike, clusters: ArrayLike) -> Differences:
    """Candidate minus other per cluster, in points by possible points.

    Where all points lie between 0 and what is possible (a rate), a cluster's figure can be -1 at worst and 1 at best.
    Otherwise (tokens, seconds) nobody knows, and the worst and the best cluster that were seen stand for it.

    Raises:
        BadInput: a value is NaN or infinite, lengths differ, or there are no rows.
    """
    ours, theirs, sizes, n_rows, bounded = _cluster_sums(clusters, won, other_won, possible)
    gains = ours - theirs
    ratios = gains / sizes.mean()
    worst, best = (-1.0, 1.0) if bounded else (float(ratios.min()), float(ratios.max()))
    return Differences(gains, sizes, worst, best, n_rows)


def relative_differences(won: ArrayLike, other_won: ArrayLike, possible: ArrayLike, clusters: ArrayLike) -> Differences:
    """Candidate minus other as a share of the other: (sum won - sum other_won) / sum other_won. +0.1 is 10 % more.

    Raises:
        BadInput: as in `differences`; or the other's sum is 0, of which nothing is a share.
    """
    ours, theirs, _, n_rows, _ = _cluster_sums(clusters, won, other_won, possible)
    if theirs.sum() <= 0:
        raise BadInput("The other model's figure is 0, so nothing is a share of it. Compare it with relative: false.")
    ratios = (ours - theirs) / theirs.mean()
    return Differences(ours - theirs, theirs, float(ratios.min()), float(ratios.max()), n_rows)


def interval(data: Differences, level: float = ONE_SIDED) -> Interval:
    """Estimate and bounds by cluster bootstrap (see bootstrap_bounds.py), each bound wrong with probability `level`."""
    low, high = bounds(data.gains, data.sizes, data.worst, data.best, level)
    return Interval(
        estimate=data.estimate,
        low=min(low, data.estimate),
        high=max(high, data.estimate) + 0.0,
        n_clusters=len(data.gains),
        n_differing=int(np.count_nonzero(np.abs(data.gains) > NOISE)),
        smallest_visible=visible(data, level),
    )


def visible(data: Differences, level: float = ONE_SIDED) -> float | None:
    """`smallest_visible`; None, too, where it is more than two rates can differ by."""
    seen = smallest_visible(data.gains, data.sizes, level)
    return None if seen is not None and data.best == 1.0 and seen > 1.0 else seen


def rate_difference(
    won: ArrayLike, other_won: ArrayLike, possible: ArrayLike, clusters: ArrayLike, level: float = ONE_SIDED
) -> Interval:
    """Candidate's rate minus the other's on the same rows, (sum won - sum other_won) / sum possible, with bounds.

    Raises:
        BadInput: as in `differences`.
    """
    return interval(differences(won, other_won, possible, clusters), level)


def rate_interval(won: ArrayLike, possible: ArrayLike, clusters: ArrayLike, level: float = ONE_SIDED) -> Interval:
    """One model's own rate with its bounds; for one 0/1 row a cluster they are those of Clopper and Pearson 1934."""
    data = differences(won, np.zeros(len(np.asarray(won))), possible, clusters)
    return interval(data._replace(worst=max(data.worst, 0.0)), level)


def perplexity_ratio(
    nll: ArrayLike, other_nll: ArrayLike, tokens: ArrayLike, clusters: ArrayLike, level: float = ONE_SIDED
) -> Interval:
    """Candidate's perplexity divided by the other's, on the same reference tokens; below 1 the candidate is better.

    exp((sum nll - sum other_nll) / sum tokens). A ratio, because a base that has never seen a task has a perplexity in
    the thousands, and a difference of thousands says nothing. `smallest_visible` is a factor: the ratio nearest to 1,
    on the better side, that would have been seen.

    Raises:
        BadInput: as in `differences`.
    """
    found = rate_difference(nll, other_nll, tokens, clusters, level)
    visible = found.smallest_visible
    return Interval(
        estimate=math.exp(found.estimate),
        low=math.exp(found.low),
        high=math.exp(found.high),
        n_clusters=found.n_clusters,
        n_differing=found.n_differing,
        smallest_visible=None if visible is None else math.exp(-visible),
    )


def exact_mcnemar(wins: int, losses: int) -> float:
    """One-sided p-value: with equal chances, that many wins or more of the questions on which the two differ.

    P(Binomial(wins + losses, 1/2) >= wins). McNemar 1947, "Note on the sampling error of the difference between
    correlated proportions", in its exact form. Only for one 0/1 row per cluster.
    """
    return float(betainc(wins, losses + 1, 0.5)) if wins else 1.0


def superiority_p_value(data: Differences, limit: float = 0.0) -> float:
    """One-sided p-value for "the candidate is not more than `limit` better".

    Exact McNemar where it applies (one 0/1 row per cluster, limit 0). Elsewhere the larger of two: the cluster
    sign-flip test, exact where differences are symmetric, and the share of bootstrap draws at or below the limit, which
    holds its level where they are not.
    """
    if limit == 0 and data.is_paired_binary:
        return exact_mcnemar(int((data.gains > 0).sum()), int((data.gains < 0).sum()))
    shifted = data.gains - limit * data.sizes
    return max(sign_flip(shifted), share_at_most(limit, data.gains, data.sizes, data.worst))


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which of several results count, so that with chance 1 - `level` not one of them is false. Holm 1979.

    For families in which any result would be acted upon; conditions that must hold together need no correction.
    """
    return [p <= own for p, own in zip(p_values, holm_levels(p_values, level), strict=True)]


def holm_levels(p_values: Sequence[float], level: float) -> list[float]:
    """The level that each p-value has to reach: the smallest `level` / m, the next `level` / (m - 1), and so on; from
    the first that does not reach its own, all have that one's."""
    levels, reached = [level] * len(p_values), 0
    for rank, position in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        levels[position] = level / (len(p_values) - reached)
        if reached == rank and p_values[position] <= levels[position]:
            reached += 1
    return levels


def smallest_visible(gains: Floats, sizes: Floats, level: float = ONE_SIDED) -> float | None:
    """The true difference that a test at this one-sided level finds with 80 % power, given how much clusters differ.

    (z(1 - level) + z(0.80)) x `standard_error`. Where clusters only win or lose whole points, at least the difference
    that gives the fewest wins without a loss which prove anything (6 at 0.025) with 80 % power. None for one cluster.
    """
    if len(gains) < 2:
        return None
    visible = float(ndtri(1 - level) + ndtri(POWER)) * standard_error(gains, sizes)
    if visible > NOISE and np.any(gains != np.round(gains)):
        return visible
    fewest_wins = math.ceil(math.log2(1 / level))
    return max(visible, float(gammaincinv(fewest_wins, POWER)) / float(sizes.sum()))


def standard_error(gains: Floats, sizes: Floats) -> float:
    """The cluster-robust standard error of a ratio of sums (Cochran 1977, "Sampling Techniques", section 6.3).

    SE^2 = K / (K - 1) x sum((d_k - r n_k)^2) / (sum n_k)^2: d_k is cluster k's summed difference, n_k its size,
    r = sum d / sum n, K >= 2 the number of clusters. With clusters of one row it is s / sqrt(n).
    """
    count, total = len(gains), float(sizes.sum())
    residuals = gains - gains.sum() / total * sizes
    return math.sqrt(count / (count - 1) * float(residuals @ residuals)) / total


def _cluster_sums(clusters: ArrayLike, *columns: ArrayLike) -> tuple[Floats, Floats, Floats, int, bool]:
    """The three columns summed by cluster; rows in all; whether all points lie between 0 and what is possible."""
    names = np.asarray(clusters)
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    if not len(names) or any(array.shape != names.shape for array in arrays):
        shapes = [array.shape for array in arrays]
        raise BadInput(f"{len(names)} cluster ids, but values of shapes {shapes}: every row needs one of each.")
    for array in arrays:
        if not np.isfinite(array).all():
            wrong = np.flatnonzero(~np.isfinite(array))
            raise BadInput(
                f"{wrong.size} of {array.size} values are not finite (first at row {wrong[0]}: {array[wrong[0]]}); "
                "a bound over them would be NaN and every comparison with it false. Generate the answers again."
            )
    won, other, possible = arrays
    if not possible.sum() > 0 or possible.min() < 0:
        raise BadInput(
            "No points were possible on these rows, so there is no rate. Look at what the metric applies to."
        )
    bounded = all(array.min() >= -NOISE and bool((array <= possible + NOISE).all()) for array in (won, other))
    numbered = names.dtype.kind in "iu" and names.min() >= 0 and names.max() < 10 * len(names)
    positions = names if numbered else np.unique(names, return_inverse=True)[1]
    ours, theirs, sizes = (np.bincount(positions, weights=array).astype(np.float64) for array in arrays)
    counted = sizes > 0
    return ours[counted], theirs[counted], sizes[counted], len(names), bounded
