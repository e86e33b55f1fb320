"""Before anything is trained: would an equally good model get past the guardrails at all?

Pure sums over the rules and the sizes of the suites. Read when definitions load: no numpy here.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from statistics import NormalDist

from ft_assets.evaluation.deciding.gate_rules import GUARDRAIL_LEVEL, JUDGED, GateRules
from ft_assets.evaluation.deciding.verdict import Condition

NEEDED_CHANCE = 0.80
USUAL_DISCORDANCE = 0.1  # where no report has measured it: two versions of a model differ on one question in ten
MOST_CLUSTERS = 10_000_000
POWER = 0.80

NORMAL = NormalDist()


@dataclass(frozen=True)
class Passing:
    """One blocking guardrail: its clusters, and the chance that an equal model passes it. `needed` is the number of
    clusters with which every guardrail together would be passed by 80 % of equal models, if all had such a chance."""

    guardrail: str
    suite: str
    clusters: int
    margin: float
    discordance: float
    chance: float
    needed: int


def guardrail_chances(
    rules: GateRules,
    clusters_by_suite: Mapping[str, int],
    discordance: Mapping[str, float] | None = None,
    unevenness: Mapping[str, float] | None = None,
) -> list[Passing]:
    """The chance of an equal model at every guardrail that blocks.

    `clusters_by_suite` counts independent clusters; the key "judged suite" is that of the primary metric.
    `discordance` is by "metric on suite": the variance of a cluster's difference, which for one 0/1 row a cluster is
    the share of clusters on which the two differ; `observed_discordance` reads it from a report. Default 0.1, times the
    `unevenness` of the suite: rows of a cluster are taken to rise and fall together, and then a few large clusters
    carry the mean (K sum n^2 / (sum n)^2 for K clusters of n rows, Kish 1965, "Survey Sampling"; 1 if all are equal).
    With K in its place a line of 300 clusters of 1 to 15 rows was told 81 %, and 64 % of equal models passed.
    """
    rails = [(rail.suite, rail.metric, rail.margin) for rail in rules.guardrails if rail.blocks]
    rails += [(f"golden set of {line}", rules.primary_metric, rules.serves_margin) for line in rules.serves]
    each = NEEDED_CHANCE ** (1 / len(rails)) if rails else 1.0
    found = []
    for suite, metric, margin in rails:
        name = f"{metric} on {suite}"
        spread = (discordance or {}).get(name, USUAL_DISCORDANCE * (unevenness or {}).get(suite, 1.0))
        clusters = clusters_by_suite[suite]
        chance = chance_of_equal(clusters, margin, spread)
        found.append(Passing(name, suite, clusters, margin, spread, chance, clusters_needed(each, margin, spread)))
    return found


def chance_of_equal(clusters: int, margin: float, discordance: float) -> float:
    """The chance that an equal model's lower one-sided 95 % bound lies above minus the margin.

    Phi((margin - 1 / (n + 1)) / SE - z(0.95)), SE = sqrt(discordance / n + 1 / (n + 1)^2): the normal approximation of
    the bootstrap bound, whose added worst cluster moves its centre by 1 / (n + 1). Within 4 points of 4,000 simulated
    gates a cell (test_gate_power.py).
    """
    if clusters < 2:
        return 0.0
    error = math.sqrt(discordance / clusters + 1 / (clusters + 1) ** 2)
    sampled = math.sqrt(max(discordance, 1e-12) / clusters)
    room = margin - 1 / (clusters + 1) - NORMAL.inv_cdf(1 - GUARDRAIL_LEVEL) * error
    return NORMAL.cdf(room / sampled)


def clusters_needed(chance: float, margin: float, discordance: float) -> int:
    """The fewest clusters with which an equal model passes one guardrail with at least this chance."""
    low, high = 2, 4
    while chance_of_equal(high, margin, discordance) < chance and high < MOST_CLUSTERS:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance_of_equal(middle, margin, discordance) >= chance else (middle, high)
    return high


def unevenness_of(rows_by_cluster: Collection[int]) -> float:
    """How much more the clusters' figures scatter than as many of equal size; 1 if all are equal or none is there."""
    rows = sum(rows_by_cluster)
    return len(rows_by_cluster) * sum(count**2 for count in rows_by_cluster) / rows**2 if rows else 1.0


def power_problem(
    rules: GateRules,
    clusters_by_suite: Mapping[str, int],
    discordance: Mapping[str, float] | None = None,
    unevenness: Mapping[str, float] | None = None,
) -> str | None:
    """Why these rules must not be used with suites of these sizes, naming the sizes they need; None where they may.

    An equal model has to pass all blocking guardrails together with a chance of 80 % (the product of the chances:
    guardrails rise and fall together, if at all, so the true chance is not smaller). A suite that is not named is a
    problem, too; for the judged suite `minimum_clusters` stands in, the least that a verdict rests on.
    """
    sizes = {JUDGED: rules.minimum_clusters, **clusters_by_suite}
    asked = {rail.suite for rail in rules.guardrails if rail.blocks} | {
        f"golden set of {line}" for line in rules.serves
    }
    if unknown := sorted(asked - set(sizes)):
        return (
            f"The gate blocks on the suite {unknown[0]!r}; the line is asked {', '.join(sorted(sizes))}. A guardrail "
            "that nobody measures can never be passed. Add the suite, take it out of serves, or set blocks: false"
        )
    passing = guardrail_chances(rules, sizes, discordance, unevenness)
    chance = math.prod(rail.chance for rail in passing)
    if chance >= NEEDED_CHANCE:
        return None
    short = [_told(rail) for rail in passing if rail.clusters < rail.needed]
    return (
        f"A model exactly as good as the incumbent would pass all guardrails in {100 * chance:.0f} % of cases, and "
        f"{100 * NEEDED_CHANCE:.0f} % are needed, or the gate stops improvements for no fault of theirs. "
        f"{'; '.join(short)}. Add questions, widen a margin, or set blocks: false"
    )


def observed_discordance(condition: Condition) -> float | None:
    """The variance of a cluster's difference as a report saw it, from the smallest difference that it could have seen;
    None where it holds none."""
    if condition.smallest_visible is None or condition.level is None or condition.n_clusters < 2:
        return None
    error = condition.smallest_visible / (NORMAL.inv_cdf(1 - condition.level) + NORMAL.inv_cdf(POWER))
    return error**2 * condition.n_clusters


def _told(rail: Passing) -> str:
    return (
        f"{rail.guardrail}: {rail.clusters} independent clusters pass it in {100 * rail.chance:.0f} % of cases (margin "
        f"{rail.margin:g}, discordance {rail.discordance:.3g}); {rail.needed} clusters are needed"
    )
