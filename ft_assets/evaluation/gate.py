"""The gate: may a candidate become the champion? Rules come from the specialization, evidence from the scored rows.

Promote when every condition holds, each at its own level: an intersection-union test, where no correction for their
number is due (Berger 1982, "Multiparameter hypothesis testing and acceptance sampling"). What it does to equal, worse
and better models is simulated in gate_simulation.py.
"""

from collections.abc import Iterable

import numpy as np

from ft_assets.evaluation.deciding.gate_conditions import floor, gains, no_serious_loss, not_worse, superior
from ft_assets.evaluation.deciding.gate_evidence import (
    NEAREST,
    Evidence,
    Pair,
    coverage,
    golden_set_of,
    lacking,
    new_part,
)
from ft_assets.evaluation.deciding.gate_rules import GUARDRAIL_LEVEL, SUPERIOR_LEVEL, GateRules, Guardrail
from ft_assets.evaluation.deciding.golden_budget import NEW_SHARE_NEEDED, GoldenStatus, cumulative_false_promotion_rate
from ft_assets.evaluation.deciding.paired_points import PairedPoints, paired_points
from ft_assets.evaluation.deciding.verdict import THIS_ARTIFACT, Condition, Outcome, Verdict
from ft_assets.evaluation.statistics import Differences, holm_levels, superiority_p_value

__all__ = [
    "THIS_ARTIFACT",
    "Evidence",
    "Pair",
    "PairedPoints",
    "decide",
    "new_part",
    "paired_points",
]


def decide(evidence: Evidence, rules: GateRules) -> Verdict:
    """The verdict on a candidate; its reasons end with THIS_ARTIFACT.

    not evaluated: an evaluation failed, answered less than 98 % of a suite, or lacks a comparison that the rules ask
    for. hold: the golden set is spent, or there are fewer than `minimum_clusters` clusters. reject: a bound shows the
    primary metric, a guardrail or a floor beyond its limit. promote: every blocking condition holds. hold: the rest.
    """
    decision = evidence.golden.decision if evidence.golden else None
    rate = None if decision is None else cumulative_false_promotion_rate(decision)
    if missing := lacking(evidence, rules):
        outcome, conditions, reasons = "not evaluated", coverage(evidence, rules), missing
    else:
        conditions = _conditions(evidence, rules)
        outcome, reasons = _outcome(conditions)
    return Verdict(
        outcome=outcome,
        reasons=[*reasons, THIS_ARTIFACT],
        conditions=conditions,
        decision=decision,
        cumulative_false_promotion_rate=rate,
    )


def _conditions(evidence: Evidence, rules: GateRules) -> list[Condition]:
    superior_ones = _superior(evidence, rules)
    return [
        *superior_ones,
        *(_guardrail(evidence, rail) for rail in rules.guardrails if _is_told(evidence, rail)),
        *_interference(evidence, rules),
        *(
            floor(evidence.pairs[Pair(evidence.suite, metric, evidence.incumbent)], evidence.suite, metric, least)
            for metric, least in sorted(rules.floors.items())
        ),
        _enough_clusters(superior_ones, rules),
        *_golden(evidence, rules),
        *coverage(evidence, rules),
    ]


def _outcome(conditions: Iterable[Condition]) -> tuple[Outcome, list[str]]:
    blocking = [condition for condition in conditions if condition.blocks]
    unfit = [c.sentence for c in blocking if c.kind in ("clusters", "golden budget") and c.holds is None]
    refuted = [condition.sentence for condition in blocking if condition.holds is False]
    still_open = [_open(condition) for condition in blocking if condition.holds is None]
    if unfit:
        return "hold", unfit
    if refuted:
        return "reject", refuted
    return ("hold", still_open) if still_open else ("promote", ["Every condition holds."])


def _open(condition: Condition) -> str:
    what = f"{condition.metric} on {condition.suite}"
    against = f" against {(condition.against or '').replace('_', ' ')}" if condition.against else ""
    if condition.estimate is None:
        return condition.sentence
    if condition.more_clusters is None:
        return f"{what}{against} is open, and more questions are not expected to decide it."
    return f"{what}{against} is open; about {condition.more_clusters} more independent questions would decide it."


def _superior(evidence: Evidence, rules: GateRules) -> list[Condition]:
    """The primary metric against the incumbent, and against the nearest training answer while there is no champion; and
    the guardrail that the candidate is not seriously worse. Of several primaries any may decide, hence Holm."""
    data = {
        pair: _gains(evidence, pair)
        for metric in rules.primaries
        for side in (evidence.incumbent, NEAREST)
        if evidence.has(pair := Pair(evidence.suite, metric, side))
    }
    limits = {pair: rules.min_effect if pair.against == "base" else 0.0 for pair in data}
    p_values = {pair: superiority_p_value(data[pair], limits[pair]) for pair in data}
    worst = [
        max(p for pair, p in p_values.items() if pair.metric == metric and _decides(evidence, pair))
        for metric in rules.primaries
    ]
    levels = holm_levels(worst, SUPERIOR_LEVEL)
    shown = [p <= level for p, level in zip(worst, levels, strict=True)]
    conditions = []
    for metric, level, is_shown in zip(rules.primaries, levels, shown, strict=True):
        counts = is_shown or not any(shown)  # where one metric is shown, the others only inform
        for pair in [pair for pair in data if pair.metric == metric]:
            blocks = counts and _decides(evidence, pair)
            conditions.append(superior(data[pair], pair, limits[pair], level, p_values[pair], blocks))
        pair = Pair(evidence.suite, metric, evidence.incumbent)
        conditions.append(no_serious_loss(data[pair], pair, rules.tolerated_loss, counts))
    return conditions


def _decides(evidence: Evidence, pair: Pair) -> bool:
    """The nearest training answer only informs once there is a champion: that one had to beat it."""
    return pair.against == evidence.incumbent or evidence.incumbent == "base"


def _is_told(evidence: Evidence, rail: Guardrail) -> bool:
    pair = Pair(evidence.suite_of(rail), rail.metric, evidence.incumbent)
    return evidence.lacks_champion(rail) or evidence.has(pair)


def _guardrail(evidence: Evidence, rail: Guardrail) -> Condition:
    pair = Pair(evidence.suite_of(rail), rail.metric, evidence.incumbent)
    if evidence.lacks_champion(rail):
        why = f"{pair.metric} on {pair.suite} is compared with a champion only, and there is none."
        return Condition(kind="guardrail", suite=pair.suite, metric=pair.metric, blocks=False, sentence=why)
    blocks = evidence.can_block(rail)
    if rail.relative and not np.sum(evidence.pairs[pair].other) > 0:
        why = f"{pair.metric} on {pair.suite} is 0 for the {pair.against}, of which nothing is a share, so whether the "
        why += "candidate is worse cannot be told. Set relative: false for this guardrail, with a margin in its unit."
        return Condition(
            kind="guardrail", suite=pair.suite, metric=pair.metric, against=pair.against, blocks=blocks, sentence=why
        )
    note = "" if blocks else f"it does not block: {_why_not(evidence, rail)}"
    data = _gains(evidence, pair, rail.relative)
    return not_worse(data, pair, rail.margin, GUARDRAIL_LEVEL, rail.relative, blocks, note)


def _why_not(evidence: Evidence, rail: Guardrail) -> str:
    return evidence.not_blocking.get(evidence.suite_of(rail), "the rules say so")


def _interference(evidence: Evidence, rules: GateRules) -> list[Condition]:
    """What the adapter would do in other lines' places; it blocks only where it serves there."""
    served = {golden_set_of(line) for line in rules.serves}
    found = []
    for suite in sorted(served | set(evidence.interference)):
        pair = Pair(suite, evidence.interference.get(suite, rules.primary_metric), evidence.incumbent)
        if evidence.has(pair):
            note = "" if suite in served else "it does not block: the adapter does not serve there"
            data, margin = _gains(evidence, pair), rules.serves_margin
            found.append(not_worse(data, pair, margin, GUARDRAIL_LEVEL, False, suite in served, note))
    return found


def _enough_clusters(superior_ones: Iterable[Condition], rules: GateRules) -> Condition:
    """Of several primaries each that decides needs enough: one that applies to few rows must not decide alone."""
    primary = min((c for c in superior_ones if c.kind == "superior" and c.blocks), key=lambda c: c.n_clusters)
    missing = rules.minimum_clusters - primary.n_clusters
    needed = f"{rules.minimum_clusters} are needed for a verdict"
    about = "" if primary.metric == rules.primary_metric else f" that {primary.metric} applies to"
    said = f"{missing} fewer than the {rules.minimum_clusters} required" if missing > 0 else needed
    return Condition(
        kind="clusters",
        suite=primary.suite,
        metric=primary.metric,
        estimate=primary.n_clusters,
        limit=rules.minimum_clusters,
        n_clusters=primary.n_clusters,
        n_differing=primary.n_differing,
        smallest_visible=primary.smallest_visible,
        more_clusters=missing if missing > 0 else None,
        holds=None if missing > 0 else True,
        sentence=f"{primary.suite} has {primary.n_clusters} independent questions{about}, {said}.",
    )


def _golden(evidence: Evidence, rules: GateRules) -> list[Condition]:
    """The budget of the golden set; and, once it was renewed, how the candidate does on the questions that are new."""
    if (status := evidence.golden) is None:
        return []
    budget = Condition(
        kind="golden budget",
        suite=evidence.suite,
        metric=rules.primary_metric,
        holds=None if status.spent else True,
        sentence=_budget_sentence(evidence.suite, status),
    )
    if status.spent or not status.renewals:
        return [budget]
    pair = Pair(new_part(evidence.suite), rules.primary_metric, evidence.incumbent)
    if not evidence.has(pair):
        told = f"{evidence.suite} was renewed: score candidate and {evidence.incumbent} on its {len(status.new_rows)} "
        told += "new questions alone, too; until then nobody is promoted."
        return [budget, budget.model_copy(update={"suite": pair.suite, "holds": None, "sentence": told})]
    data = _gains(evidence, pair)
    fresh = not_worse(data, pair, rules.tolerated_loss, GUARDRAIL_LEVEL)
    holds = superiority_p_value(data.reversed()) > GUARDRAIL_LEVEL  # 30 % of a set seldom proves a gain
    note = "These questions were new when the set was renewed; shown to be worse on them, it would be rejected. "
    return [
        budget,
        fresh.model_copy(update={"kind": "golden budget", "holds": holds, "sentence": note + fresh.sentence}),
    ]


def _budget_sentence(suite: str, status: GoldenStatus) -> str:
    if status.decision is None:
        return (
            f"{suite} has served for {status.budget} decisions, its budget. Nobody is promoted on it until at least "
            f"{100 * NEW_SHARE_NEEDED:.0f} % of its questions are new ({100 * status.share_new:.0f} % are); then "
            "winner and incumbent are scored again on the new part."
        )
    rate = 100 * cumulative_false_promotion_rate(status.decision)
    return (
        f"This is decision {status.decision} of {status.budget} on {suite}: had every model so far been only as good "
        f"as its incumbent, one of them would have been called better with a chance of at most {rate:.1f} %."
    )


def _gains(evidence: Evidence, pair: Pair, relative: bool = False) -> Differences:
    return gains(evidence.pairs[pair], pair.metric not in evidence.lower_is_better, relative)
