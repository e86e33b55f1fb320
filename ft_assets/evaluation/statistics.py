"""How sure a difference is: paired bootstrap over clusters, and the smallest difference that could have been seen.

Rows of one cluster (one conversation, near-duplicates of one question) rise and fall together, so whole clusters are
drawn, never rows: with ten rows a cluster, drawing rows calls one null result in five significant at a nominal 5 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ft_assets.errors import BadInput

RESAMPLES = 10_000
SEED = 20_240_601
CONFIDENCE = 0.95
NOISE = 1e-12  # what adding floats in another order can move
DRAWS_AT_ONCE = 2_000_000  # 16 MB of indices, whatever the number of clusters
# z(0.975) + z(0.80) of the standard normal distribution: one-sided 0.025, power 80 %.
VISIBLE_Z = 1.959963984540054 + 0.8416212335729143

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval. `smallest_visible` is None where there is no spread to compute it from."""

    estimate: float
    low: float
    high: float
    n_clusters: int
    n_differing: int
    smallest_visible: float | None


def rate_difference(
    won: ArrayLike, other_won: ArrayLike, possible: ArrayLike, clusters: Sequence[str], resamples: int = RESAMPLES
) -> Interval:
    """Candidate's rate minus the other's, on the same rows: (sum won - sum other_won) / sum possible.

    Percentile bootstrap (Efron and Tibshirani 1993, chapter 13) that draws clusters with replacement, `resamples`
    times, from a generator seeded with SEED: the same input gives the same interval. With `possible` all 1 this is
    the mean paired difference. One cluster alone gives an interval of width 0: look at `n_clusters`.

    Raises:
        BadInput: a value is NaN or infinite, lengths differ, or there are no rows.
    """
    sums = _cluster_sums(clusters, won, other_won, possible)
    differences = sums[:, 0] - sums[:, 1]
    draws = _resampled(np.column_stack([differences, sums[:, 2]]), resamples)
    low, high = _percentiles(draws[:, 0] / draws[:, 1])
    estimate = float(differences.sum() / sums[:, 2].sum())
    visible = smallest_visible(differences, sums[:, 2])
    return Interval(estimate, low, high, len(sums), int(np.count_nonzero(np.abs(differences) > NOISE)), visible)


def perplexity_ratio(
    nll: ArrayLike, other_nll: ArrayLike, tokens: ArrayLike, clusters: Sequence[str], resamples: int = RESAMPLES
) -> Interval:
    """Candidate's perplexity divided by the other's, on the same reference tokens; below 1 the candidate is better.

    exp((sum nll - sum other_nll) / sum tokens), clusters drawn as in `rate_difference`. A ratio, because a base that
    has never seen a task has a perplexity in the thousands, and a difference of thousands says nothing.
    `smallest_visible` is a factor: the ratio nearest to 1, on the better side, that would have been seen.

    Raises:
        BadInput: as in `rate_difference`.
    """
    logarithm = rate_difference(nll, other_nll, tokens, clusters, resamples)
    visible = logarithm.smallest_visible
    return Interval(
        estimate=math.exp(logarithm.estimate),
        low=math.exp(logarithm.low),
        high=math.exp(logarithm.high),
        n_clusters=logarithm.n_clusters,
        n_differing=logarithm.n_differing,
        smallest_visible=None if visible is None else math.exp(-visible),
    )


def rate_interval(won: ArrayLike, possible: ArrayLike, clusters: Sequence[str], resamples: int = RESAMPLES) -> Interval:
    """One model's own rate with its interval: its difference to nothing."""
    return rate_difference(won, np.zeros(len(clusters)), possible, clusters, resamples)


def smallest_visible(differences: Floats, sizes: Floats) -> float | None:
    """The true difference that a test at one-sided 0.025 finds with 80 % power, given how much the clusters differ.

    (z(0.975) + z(0.80)) x SE, with the cluster-robust standard error of a ratio of sums (Cochran 1977, section 6.3):
    SE^2 = K / (K - 1) x sum((d_k - r n_k)^2) / (sum n_k)^2, where d_k is cluster k's summed difference, n_k its size,
    r = sum d / sum n, K the number of clusters. With clusters of one row it is 2.80 x s / sqrt(n).
    None for one cluster, and where all clusters differ by the same amount: there is no spread to learn from.
    """
    count, total = len(differences), float(sizes.sum())
    if count < 2:
        return None
    residuals = differences - differences.sum() / total * sizes
    error = math.sqrt(count / (count - 1) * float(residuals @ residuals)) / total
    return VISIBLE_Z * error if error > NOISE else None


def _cluster_sums(clusters: Sequence[str], *columns: ArrayLike) -> Floats:
    """One row per cluster, ordered by its id; one column per input, summed."""
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    if not len(clusters) or any(array.shape != (len(clusters),) for array in arrays):
        shapes = [array.shape for array in arrays]
        raise BadInput(f"{len(clusters)} cluster ids, but values of shapes {shapes}: every row needs one of each.")
    for array in arrays:
        wrong = np.flatnonzero(~np.isfinite(array))
        if wrong.size:
            raise BadInput(
                f"{wrong.size} of {array.size} values are not finite (first at row {wrong[0]}: {array[wrong[0]]}); "
                "an interval over them would be NaN and every comparison with it false. Generate the answers again."
            )
    names, positions = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    return np.column_stack([np.bincount(positions, weights=array, minlength=len(names)) for array in arrays])


def _resampled(sums: Floats, resamples: int) -> Floats:
    """Column sums of `resamples` draws of as many clusters as there are; shape (resamples, columns)."""
    generator = np.random.default_rng(SEED)
    count = len(sums)
    at_once = max(1, DRAWS_AT_ONCE // count)
    parts = []
    for start in range(0, resamples, at_once):
        drawn = generator.integers(0, count, size=(min(at_once, resamples - start), count))
        parts.append(np.column_stack([column[drawn].sum(axis=1) for column in sums.T]))
    return np.concatenate(parts)


def _percentiles(values: Floats) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
