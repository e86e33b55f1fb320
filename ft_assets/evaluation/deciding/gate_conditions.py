"""One condition of the gate at a time: from two models' points to "holds", "does not hold" or "open", in a sentence.

Every figure is signed so that more is better for the candidate, also for tokens and seconds.
"""

import math
from statistics import NormalDist

import numpy as np

from ft_assets.evaluation.deciding.bootstrap_bounds import share_at_most
from ft_assets.evaluation.deciding.gate_evidence import Pair
from ft_assets.evaluation.deciding.gate_rules import GUARDRAIL_LEVEL, LOSS_LEVEL, SUPERIOR_LEVEL
from ft_assets.evaluation.deciding.paired_points import PairedPoints
from ft_assets.evaluation.deciding.sign_flip import sign_flip
from ft_assets.evaluation.deciding.verdict import Condition
from ft_assets.evaluation.statistics import (
    NOISE,
    POWER,
    Differences,
    differences,
    interval,
    rate_interval,
    relative_differences,
    standard_error,
    superiority_p_value,
    visible,
)

EVEN_ENOUGH = 1 / 3  # of what as many clusters of equal size weigh; sizes that only vary a little reach a half
ENOUGH_WEIGHT = 30  # clusters of equal size: with less weight than theirs a bootstrap follows the largest ones
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
    return condition.model_copy(update={"sentence": _superior_sentence(condition, _unit(data, pair, False))})


def not_worse(
    data: Differences,
    pair: Pair,
    margin: float,
    level: float = GUARDRAIL_LEVEL,
    relative: bool = False,
    blocks: bool = True,
    note: str = "",
) -> Condition:
    """The candidate is not worse by the margin: the lower one-sided bound of the gain lies above minus the margin.

    Where a few clusters hold most of the rows, a bootstrap takes what they did for what the model does. There more has
    to agree (`_more_than_a_few_clusters_doing`), and the bounds are moved to its side of the margin.
    """
    found = interval(data, level)
    passes = found.low > -margin and _more_than_a_few_clusters_doing(data, -margin, level)
    fails = found.high < -margin and _more_than_a_few_clusters_doing(data.reversed(), margin, level)
    holds = True if passes else False if fails else None
    condition = Condition(
        kind="guardrail",
        suite=pair.suite,
        metric=pair.metric,
        against=pair.against,
        estimate=found.estimate,
        low=found.low if passes else min(found.low, -margin),
        high=found.high if fails else max(found.high, -margin),
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
    sentence = _guardrail_sentence(condition, _unit(data, pair, relative), note)
    return condition.model_copy(update={"sentence": sentence})


def no_serious_loss(data: Differences, pair: Pair, tolerated: float, blocks: bool = True) -> Condition:
    """A guardrail that every gate has, on the primary metric: at a strict level, the candidate is not this much worse.

    It is what keeps models that are 3 points worse out of promotion in more than 99 % of cases; see LOSS_LEVEL. Its
    bound is estimate - z(0.999) x `standard_error`: rare losses that nobody saw are the superiority test's business,
    and at this level an added worst cluster would cost half of the power at 50 clusters. One cluster that outweighs all
    others can pull this bound down alone, which rejects nobody.
    """
    reach = NormalDist().inv_cdf(1 - LOSS_LEVEL) * (
        standard_error(data.gains, data.sizes) if len(data.gains) > 1 else 1
    )
    least, most = (data.worst, data.best) if is_rate(data) else (-math.inf, math.inf)
    low, high = max(data.estimate - reach, least), min(data.estimate + reach, most)
    fails = high < -tolerated and _more_than_a_few_clusters_doing(data.reversed(), tolerated, LOSS_LEVEL)
    holds = True if low > -tolerated else False if fails else None
    condition = Condition(
        kind="guardrail",
        suite=pair.suite,
        metric=pair.metric,
        against=pair.against,
        estimate=data.estimate,
        low=low,
        high=high if fails else max(high, -tolerated),
        limit=-tolerated,
        level=LOSS_LEVEL,
        test="cluster-robust normal bound",
        n_clusters=len(data.gains),
        n_differing=int(np.count_nonzero(np.abs(data.gains) > NOISE)),
        smallest_visible=visible(data, LOSS_LEVEL),
        more_clusters=more_clusters(data, -tolerated, LOSS_LEVEL) if holds is None else None,
        blocks=blocks,
        holds=holds,
    )
    return condition.model_copy(update={"sentence": _guardrail_sentence(condition, _unit(data, pair, False), "")})


def floor(points: PairedPoints, suite: str, metric: str, least: float) -> Condition:
    """The candidate's own rate reaches a floor. Missed by the figure but not by its bound, it is open."""
    found = rate_interval(points.candidate, points.possible, points.clusters, GUARDRAIL_LEVEL)
    reached = found.estimate >= least
    data = differences(points.candidate, np.zeros(len(np.asarray(points.candidate))), points.possible, points.clusters)
    missed = found.high < least and _more_than_a_few_clusters_doing(data.reversed(), -least, GUARDRAIL_LEVEL)
    holds = True if reached else False if missed else None
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

    n ((z(1 - level) + z(0.80)) SE / |estimate - limit|)^2 - n; None where no number would, or over a million, or where
    a few clusters outweigh all others, so that more of the usual size would change little.
    """
    count, distance = len(data.gains), abs(data.estimate - limit)
    if count < 2 or not distance > 0:
        return None
    normal = NormalDist()
    quantiles = normal.inv_cdf(1 - level) + normal.inv_cdf(POWER)
    # At least the spread of one cluster in all: where nothing varied, rarely anything does, not never.
    error = max(standard_error(data.gains, data.sizes), 1 / float(data.sizes.sum()))
    needed = count * (quantiles * error / distance) ** 2
    outweighed = needed <= count and weight(data) < EVEN_ENOUGH * count
    return None if outweighed or needed >= MOST_CLUSTERS else max(1, math.ceil(needed - count))


def weight(data: Differences) -> float:
    """How many clusters of equal size weigh as much: (sum n)^2 / sum n^2 (Kish 1965, "Survey Sampling")."""
    return float(data.sizes.sum() ** 2 / (data.sizes @ data.sizes))


def _more_than_a_few_clusters_doing(data: Differences, limit: float, level: float) -> bool:
    """Whether a gain above the limit, which a bound shows, does not hang on a few clusters that outweigh the others.

    Where clusters weigh less than a third of their number, the sign-flip test has to agree, and, of a rate, a bootstrap
    to which a cluster as large as that of a random row (sum n^2 / sum n) was added: it is the large ones that may yet
    fail. With sizes by Zipf's law and 200 clusters a guardrail of 5 % passed 22 % without this.
    """
    if weight(data) >= max(ENOUGH_WEIGHT, EVEN_ENOUGH * len(data.gains)):
        return True
    added_size = float(data.sizes @ data.sizes / data.sizes.sum()) if is_rate(data) else None
    shifted = data.gains - limit * data.sizes
    drawn = share_at_most(limit, data.gains, data.sizes, data.worst, added_size)
    return max(sign_flip(shifted), drawn) <= level


def is_rate(data: Differences) -> bool:
    """Whether the figure is a share of what was possible, so that it is told in percentage points."""
    return (data.worst, data.best) == (-1.0, 1.0)


def _unit(data: Differences, pair: Pair, relative: bool) -> str:
    """What a figure of this comparison is told in: " %", " points", or another unit as it stands."""
    if relative:
        return " %"
    return " points" if is_rate(data) else " nats a token" if pair.metric == "perplexity" else ""


def _superior_sentence(condition: Condition, unit: str) -> str:
    by = {True: "is better than", False: "falls short of", None: "is not shown to be better than"}[condition.holds]
    least = f" by more than {_amount(condition.limit, unit)}" if condition.limit else ""
    return (
        f"The candidate {by} {_side(condition.against)}{least}: {condition.metric} on {condition.suite} differs by "
        f"{_amount(condition.estimate, unit)} ({_amount(condition.low, unit)} to "
        f"{_amount(condition.high, unit)}) over {condition.n_clusters} independent questions"
        f"{_visible(condition, unit)}."
    )


def _guardrail_sentence(condition: Condition, unit: str, note: str) -> str:
    said = {
        True: "is not worse by more than the margin",
        False: "is worse by more than the margin",
        None: "may be worse by more than the margin",
    }[condition.holds]
    return (
        f"{condition.metric} on {condition.suite} {said} of {_amount(-(condition.limit or 0.0), unit, '')} "
        f"against {_side(condition.against)}: {_better(condition.estimate, unit)} "
        f"({_better(condition.low, unit)} to {_better(condition.high, unit)}) over "
        f"{condition.n_clusters} independent questions{_visible(condition, unit)}{'; ' + note if note else ''}."
    )


def _visible(condition: Condition, unit: str) -> str:
    seen = condition.smallest_visible
    return "" if seen is None else f", which would have shown {_amount(seen, unit, '')}"


def _amount(value: float | None, unit: str, sign: str = "+") -> str:
    if value is None:
        return "nothing"
    in_hundredths = unit in (" %", " points")
    return f"{100 * value:{sign}.1f}{unit}" if in_hundredths else f"{value:{sign}.3g}{unit}"


def _better(value: float | None, unit: str) -> str:
    return f"{_amount(abs(value or 0.0), unit, '')} {'worse' if value and value < 0 else 'better'}"


def _side(against: str | None) -> str:
    names = {"nearest_answer": "the nearest training answer", "base_with_examples": "the base with examples"}
    return names.get(against or "", f"the {against}")
