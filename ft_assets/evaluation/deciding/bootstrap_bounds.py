"""Bounds by cluster bootstrap, with one cluster more than was seen: the worst that could have been.

A bootstrap that draws only what was seen knows nothing of rare large losses. The added cluster is what keeps the level
there (Gaffke 2005, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
variable"; Learned-Miller and Thomas 2020, "A new confidence interval for the mean of a bounded random variable"). For
one 0/1 row a cluster the bounds are those of Clopper and Pearson, and for a paired difference exact McNemar at 0.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

GRID = 14  # places at which the distribution is computed; between them its normal score is nearly a straight line
EVENLY = np.linspace(0, 1, GRID)
NEWTON_STEPS = 40
FEW_KINDS = 32
ENOUGH = 1e-8


def bounds(gains: Floats, sizes: Floats, worst: float, best: float, level: float) -> tuple[float, float]:
    """The values that a share `level` of the bootstrap draws of sum(gains) / sum(sizes) lies below, and above.

    Bayesian bootstrap (Rubin 1981): a draw gives each cluster an exponential weight. `worst` and `best` are the figures
    of the added cluster, which has the mean size. Draws are not made: their distribution is computed, so the same rows
    give the same bounds, and a small level costs no more than a large one.
    """
    pairs, counts = _distinct(gains, sizes)
    if len(pairs) > FEW_KINDS:
        return _bounds(pairs, counts, worst, best, level)
    return _remembered(pairs.tobytes(), counts.tobytes(), worst, best, level)


def share_at_most(limit: float, gains: Floats, sizes: Floats, worst: float, added_size: float | None = None) -> float:
    """The share of bootstrap draws of sum(gains) / sum(sizes) that are at most `limit`; see `bounds`. The added cluster
    has the mean size, or `added_size`."""
    gains, sizes, counts = _with_one_more(*_distinct(gains, sizes), worst, added_size)
    margins = gains - limit * sizes
    if margins.max() <= 0:
        return 1.0
    if margins.min() >= 0:
        return 0.0
    total = float(counts @ margins)
    if abs(total) <= 1e-9 * float(counts @ np.abs(margins)):
        return 0.5
    score = float(_normal_scores(math.copysign(1, total) * margins[None, :], counts)[0])
    return float(ndtr(score if total > 0 else -score))


@lru_cache(maxsize=16_384)
def _remembered(pairs: bytes, counts: bytes, worst: float, best: float, level: float) -> tuple[float, float]:
    """Right or wrong answers come in few combinations, which a simulation of many gates meets again and again."""
    return _bounds(np.frombuffer(pairs, np.complex128), np.frombuffer(counts, np.float64), worst, best, level)


def _bounds(pairs: Complexes, counts: Floats, worst: float, best: float, level: float) -> tuple[float, float]:
    below, sizes, counts_below = _with_one_more(pairs, counts, worst)
    above = -np.append(below[:-1], best * sizes[-1])  # the other side is the lower bound of the negative
    starts = [_places(part, sizes, counts_below, level) for part in (below, above)]
    margins = np.concatenate(
        [part - places[:, None] * sizes for part, places in zip((below, above), starts, strict=True)]
    )
    scores = _normal_scores(margins, counts_below)
    wanted = float(ndtri(level))
    low = float(np.interp(wanted, scores[:GRID], starts[0]))
    high = -float(np.interp(wanted, scores[GRID:], starts[1]))
    return low, high


def _distinct(gains: Floats, sizes: Floats) -> tuple[Complexes, Floats]:
    """Distinct pairs of gain and size, as complex numbers (which sort faster than rows), and how many of each."""
    pairs, counts = np.unique(gains + 1j * sizes, return_counts=True)
    return pairs, counts.astype(np.float64)


def _with_one_more(
    pairs: Complexes, counts: Floats, figure: float, size: float | None = None
) -> tuple[Floats, Floats, Floats]:
    """Gains, sizes and numbers of the distinct clusters and, last, of one of this or the mean size with that figure."""
    size = float(counts @ pairs.imag / counts.sum()) if size is None else size
    return np.append(pairs.real, figure * size), np.append(pairs.imag, size), np.append(counts, 1.0)


def _places(gains: Floats, sizes: Floats, counts: Floats, level: float) -> Floats:
    """Rising values around the one below which a share `level` of the draws lies; all alike where nothing varies."""
    total = float(counts @ sizes)
    centre = float(counts @ gains) / total
    spread = math.sqrt(float(counts @ (gains - centre * sizes) ** 2)) / total
    # A tail is never longer than that of one cluster which outweighs all others, an exponential one.
    far, near = centre - (1 - math.log(level)) * spread, centre + 0.4 * float(ndtri(level)) * spread
    if sizes.min() > 0:  # no draw lies below the worst cluster
        lowest = float((gains / sizes).min())
        far = max(far, lowest + 1e-6 * (centre - lowest))
    return far + (max(near, (far + centre) / 2) - far) * EVENLY


def _normal_scores(margins: Floats, counts: Floats) -> Floats:
    """z with P(sum of weighted margins <= 0) = Phi(z), per row of `margins`, whose weighted sum has a positive mean.

    Saddlepoint approximation of the tail (Lugannani and Rice 1980, in the form of Barndorff-Nielsen 1986): with
    K(t) = -sum c log(1 - t m) and K'(s) = 0, z = r + log(v / r) / r, r = -sqrt(-2 K(s)), v = s sqrt(K''(s)).
    Against 400,000 draws it was right within 1 % of the share at 0.025 and 0.05, within 4 % at 0.002 (five clusters).
    """
    tilt = _saddlepoints(margins, counts)
    shrunk = 1 + tilt[:, None] * margins
    root = -np.sqrt(np.maximum(2 * (np.log(shrunk) @ counts), 1e-300))
    slope = -tilt * np.sqrt((margins / shrunk) ** 2 @ counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = root + np.log(slope / root) / root
    return np.where(np.isfinite(scores), scores, 0.0)  # no spread at all: both sides of the one value


def _saddlepoints(margins: Floats, counts: Floats) -> Floats:
    """-s per row: the root of f(u) = sum c m / (1 + u m), falling from 0 to 1 / -min(m). Newton, kept inside."""
    smallest = margins.min(axis=1)
    high = np.where(smallest < 0, -1 / np.where(smallest < 0, smallest, -1), 0.0)
    low = np.zeros(len(margins))
    tilt = np.minimum((margins @ counts) / np.maximum(margins**2 @ counts, 1e-300), 0.5 * high)
    for _ in range(NEWTON_STEPS):
        ratios = margins / (1 + tilt[:, None] * margins)
        value, fall = ratios @ counts, ratios**2 @ counts
        rising = value > 0
        low, high = np.where(rising, tilt, low), np.where(rising, high, tilt)
        step = tilt + value / np.maximum(fall, 1e-300)
        step = np.where((step >= low) & (step <= high), step, (low + high) / 2)
        if np.all(np.abs(step - tilt) <= ENOUGH * high):
            return step
        tilt = step
    return tilt
