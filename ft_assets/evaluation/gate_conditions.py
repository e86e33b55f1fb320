"""One condition of the gate at a time: from two models' points to "holds", "does not hold" or "open", in a sentence.

Every figure is signed so that more is better for the candidate, also for tokens and seconds.
"""

import math
from statistics import NormalDist

import numpy as np

from ft_assets.evaluation.gate_evidence import Pair
from ft_assets.evaluation.gate_rules import GUARDRAIL_LEVEL, LOSS_LEVEL, SUPERIOR_LEVEL
from ft_assets.evaluation.paired_points import PairedPoints
from ft_assets.evaluation.statistics import (
    POWER,
    Differences,
    differences,
    interval,
    rate_interval,
    relative_differences,
    smallest_visible,
    standard_error,
    superiority_p_value,
)
from ft_assets.evaluation.verdict import Condition

MOST_CLUSTERS = 1_000_000  # a number of questions above this decides nothing for anybody


def gains(points: PairedPoints, higher_is_better: bool, relative: bool = False) -> Differences:
    """Candidate minus other by cluster, positive where the candidate is better; `relative`: as a share of the other."""
    compute = relative_differences if relative else differences
    data = compute(points.candidate, points.other, points.possible, points.clusters)
    return data if higher_is_better else data.reversed()


def superior(
    data: Differences, pair: Pair, limit: float, level: float, p_value: float, blocks: bool = True
) -> Condition:
    """The candidate is more than `limit` better, at a one-sided level; `p_value` is of `superiority_p_value`.

    The bounds say what the test says: where it is exact McNemar they are moved to its side of the limit (they are the
    same but for the third digit of the p-value), elsewhere test and bound have to agree.
    """
    shown = p_value <= level
    worse = data.estimate < limit and superiority_p_value(data.reversed(), -limit) <= level
    exact = limit == 0 and data.is_paired_binary
    found = interval(data, level)
    if not exact:
        shown, worse = shown and found.low > limit, worse and found.high < limit
    above, below = math.nextafter(limit, math.inf), math.nextafter(limit, -math.inf)
    condition = Condition(
        kind="superior",
        suite=pair.suite,
        metric=pair.metric,
        against=pair.against,
        estimate=found.estimate,
        low=max(found.low, above) if shown else min(found.low, limit),
        high=min(found.high, below) if worse else max(found.high, limit),
        limit=limit,
        level=level,
        test="exact McNemar" if exact else "cluster sign-flip and cluster bootstrap",
        n_clusters=found.n_clusters,
        n_differing=found.n_differing,
        smallest_visible=found.smallest_visible,
        more_clusters=None if shown or worse else more_clusters(data, limit, level),
        blocks=blocks,
        holds=True if shown else False if worse else None,
    )
    return condition.model_copy(update={"sentence": _superior_sentence(condition, is_rate(data))})


def not_worse(
    data: Differences,
    pair: Pair,
    margin: float,
    level: float = GUARDRAIL_LEVEL,
    relative: bool = False,
    blocks: bool = True,
    note: str = "",
) -> Condition:
    """The candidate is not worse by the margin: the lower one-sided bound of the gain lies above minus the margin."""
    found = interval(data, level)
    enough = found.n_clusters > 1  # one cluster has no spread, so its bounds would be its own figure
    holds = True if enough and found.low > -margin else False if enough and found.high < -margin else None
    condition = Condition(
        kind="guardrail",
        suite=pair.suite,
        metric=pair.metric,
        against=pair.against,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        limit=-margin,
        relative=relative,
        level=level,
        test="cluster bootstrap",
        n_clusters=found.n_clusters,
        n_differing=found.n_differing,
        smallest_visible=found.smallest_visible,
        more_clusters=more_clusters(data, -margin, level) if holds is None else None,
        blocks=blocks,
        holds=holds,
    )
    return condition.model_copy(update={"sentence": _guardrail_sentence(condition, is_rate(data), note)})


def no_serious_loss(data: Differences, pair: Pair, tolerated: float, blocks: bool = True) -> Condition:
    """A guardrail that every gate has, on the primary metric: at a strict level, the candidate is not this much worse.

    It is what keeps models that are 3 points worse out of promotion in more than 99 % of cases; see LOSS_LEVEL. Its
    bound is estimate - z(0.999) x `standard_error`: rare losses that nobody saw are the superiority test's business,
    and at this level an added worst cluster would cost half of the power at 50 clusters.
    """
    reach = NormalDist().inv_cdf(1 - LOSS_LEVEL) * (
        standard_error(data.gains, data.sizes) if len(data.gains) > 1 else 1
    )
    low, high = data.estimate - reach, data.estimate + reach
    holds = True if low > -tolerated else False if high < -tolerated else None
    condition = Condition(
        kind="guardrail",
        suite=pair.suite,
        metric=pair.metric,
        against=pair.against,
        estimate=data.estimate,
        low=low,
        high=high,
        limit=-tolerated,
        level=LOSS_LEVEL,
        test="cluster-robust normal bound",
        n_clusters=len(data.gains),
        n_differing=int(np.count_nonzero(data.gains)),
        smallest_visible=smallest_visible(data.gains, data.sizes, LOSS_LEVEL),
        more_clusters=more_clusters(data, -tolerated, LOSS_LEVEL) if holds is None else None,
        blocks=blocks,
        holds=holds,
    )
    return condition.model_copy(update={"sentence": _guardrail_sentence(condition, is_rate(data), "")})


def floor(points: PairedPoints, suite: str, metric: str, least: float) -> Condition:
    """The candidate's own rate reaches a floor. Missed by the figure but not by its bound, it is open."""
    found = rate_interval(points.candidate, points.possible, points.clusters, GUARDRAIL_LEVEL)
    reached = found.estimate >= least
    holds = True if reached else False if found.high < least else None
    data = differences(points.candidate, np.zeros(len(np.asarray(points.candidate))), points.possible, points.clusters)
    said = "reaches" if reached else "is surely below" if holds is False else "is below, though not surely,"
    return Condition(
        kind="floor",
        suite=suite,
        metric=metric,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        limit=least,
        level=GUARDRAIL_LEVEL,
        test="cluster bootstrap",
        n_clusters=found.n_clusters,
        n_differing=found.n_differing,
        smallest_visible=found.smallest_visible,
        more_clusters=more_clusters(data, least, GUARDRAIL_LEVEL) if holds is None else None,
        holds=holds,
        sentence=f"{metric} on {suite} is {found.estimate:.3f} ({found.low:.3f} to {found.high:.3f}) and {said} its "
        f"floor {least:g}.",
    )


def more_clusters(data: Differences, limit: float, level: float = SUPERIOR_LEVEL) -> int | None:
    """About how many more clusters would decide with 80 % power, if the true difference is the one that was seen.

    n ((z(1 - level) + z(0.80)) SE / |estimate - limit|)^2 - n; None where no number would, or over a million.
    """
    count, distance = len(data.gains), abs(data.estimate - limit)
    if count < 2 or not distance > 0:
        return None
    normal = NormalDist()
    quantiles = normal.inv_cdf(1 - level) + normal.inv_cdf(POWER)
    # At least the spread of one cluster in all: where nothing varied, rarely anything does, not never.
    error = max(standard_error(data.gains, data.sizes), 1 / float(data.sizes.sum()))
    needed = count * (quantiles * error / distance) ** 2
    return max(1, math.ceil(needed - count)) if needed < MOST_CLUSTERS else None


def is_rate(data: Differences) -> bool:
    """Whether the figure is a share of what was possible, so that it is told in percentage points."""
    return (data.worst, data.best) == (-1.0, 1.0)


def _superior_sentence(condition: Condition, rate: bool) -> str:
    by = {True: "is better than", False: "falls short of", None: "is not shown to be better than"}[condition.holds]
    least = f" by more than {_amount(condition.limit or 0.0, rate, False)}" if condition.limit else ""
    return (
        f"The candidate {by} {_side(condition.against)}{least}: {condition.metric} on {condition.suite} differs by "
        f"{_amount(condition.estimate, rate, False)} ({_amount(condition.low, rate, False)} to "
        f"{_amount(condition.high, rate, False)}) over {condition.n_clusters} independent questions"
        f"{_visible(condition, rate)}."
    )


def _guardrail_sentence(condition: Condition, rate: bool, note: str) -> str:
    said = {
        True: "is not worse by more than the margin",
        False: "is worse by more than the margin",
        None: "may be worse by more than the margin",
    }[condition.holds]
    relative = condition.relative
    return (
        f"{condition.metric} on {condition.suite} {said} of {_amount(-(condition.limit or 0.0), rate, relative, '')} "
        f"against {_side(condition.against)}: {_better(condition.estimate, rate, relative)} "
        f"({_better(condition.low, rate, relative)} to {_better(condition.high, rate, relative)}) over "
        f"{condition.n_clusters} independent questions{_visible(condition, rate)}{'; ' + note if note else ''}."
    )


def _visible(condition: Condition, rate: bool) -> str:
    seen = condition.smallest_visible
    return "" if seen is None else f", which would have shown {_amount(seen, rate, condition.relative, '')}"


def _amount(value: float | None, rate: bool, relative: bool, sign: str = "+") -> str:
    if value is None:
        return "nothing"
    if relative:
        return f"{100 * value:{sign}.1f} %"
    return f"{100 * value:{sign}.1f} points" if rate else f"{value:{sign}.3g}"


def _better(value: float | None, rate: bool, relative: bool) -> str:
    return f"{_amount(abs(value or 0.0), rate, relative, '')} {'worse' if value and value < 0 else 'better'}"


def _side(against: str | None) -> str:
    names = {"nearest_answer": "the nearest training answer", "base_with_examples": "the base with examples"}
    return names.get(against or "", f"the {against}")
