"""The cluster sign-flip test, computed exactly instead of by drawing signs."""

import math

import numpy as np
from numpy.typing import NDArray

STEPS_PER_CLUSTER = 16  # steps in a mean difference; differences that are no whole numbers are rounded to them
SPREADS = 9.0  # a sum of random signs is never further out (Hoeffding 1963: chance below 3e-18)
NEVER = 1e-16  # what sums of floats can tell from nothing
MOST_WHOLE_STEPS = 65_536  # whole numbers with a larger sum are rounded, too


def sign_flip(values: NDArray[np.float64]) -> float:
    """One-sided p-value for "each cluster's difference is as likely to be as large the other way round".

    The share of all 2^K ways to flip the signs of K differences whose sum is at least the one that was seen (Fisher
    1935, "The Design of Experiments", section 21). All of them are counted: the sum has the characteristic function
    prod cos(v_k t), and a Fourier transform turns it into the distribution. Whole numbers are counted as they are,
    others in steps of a sixteenth of their mean size; rounding keeps the symmetry, so the test keeps its level.
    """
    sizes = np.abs(values)
    total = float(sizes.sum())
    if total == 0:
        return 1.0
    step = (
        1.0
        if total <= MOST_WHOLE_STEPS and np.array_equal(values, np.round(values))
        else total / (STEPS_PER_CLUSTER * len(values))
    )
    signed = np.round(values / step)
    seen = int(signed.sum())
    steps, counts = np.unique(np.abs(signed), return_counts=True)
    window = min(int(steps @ counts), math.ceil(SPREADS * math.sqrt(float(steps**2 @ counts)))) + 1
    if seen >= window:
        return max(NEVER, 0.5 ** len(values))
    if seen <= -window:
        return 1.0
    length = 1 << (2 * window).bit_length()  # a power of two that holds -window .. window
    angles = 2 * np.pi / length * np.arange(length // 2 + 1)
    cosines = np.cos(np.outer(steps, angles))
    with np.errstate(divide="ignore"):  # powers by logarithms: four times as fast
        transform = np.exp(counts.astype(np.float64) @ np.log(np.abs(cosines)))
    transform *= np.prod(np.sign(cosines[counts % 2 == 1]), axis=0)
    chances = np.fft.irfft(transform, length)  # position s is the sum s, position length - s is -s
    tail = chances[seen:window].sum() if seen > 0 else 1 - chances[1 - seen : window].sum()
    return float(min(1.0, max(tail, NEVER, 0.5 ** len(values))))
