"""Evidence for tests of the gate: points of two models, made by hand."""

import numpy as np

from ft_assets.evaluation.deciding.gate_rules import GateRules, Guardrail
from ft_assets.evaluation.deciding.verdict import Condition, Verdict
from ft_assets.evaluation.gate import (
    Evidence,
    Pair,
    PairedPoints,
)

SUITE, METRIC = "golden set", "exact_match"
PLAIN = GateRules(primary_metric=METRIC, guardrails=())
RAIL = Guardrail(suite="general ability", metric="accuracy", margin=0.05, relative=False, blocks=True)
LENGTH = Guardrail(metric="tokens_per_answer", margin=0.2, relative=True, blocks=True)
GUARDED = GateRules(primary_metric=METRIC, guardrails=(RAIL, LENGTH))


def pairs(wins: int, losses: int, ties: int, repeat: int = 1) -> PairedPoints:
    """0/1 points of both models, in clusters of `repeat` equal rows."""
    candidate = np.repeat([1.0] * wins + [0.0] * losses + [1.0] * ties, repeat)
    other = np.repeat([0.0] * wins + [1.0] * losses + [1.0] * ties, repeat)
    return PairedPoints(
        np.repeat(np.arange(wins + losses + ties), repeat), candidate, other, np.ones(len(other)), unpaired=0
    )


def graded(candidate, other) -> PairedPoints:
    return PairedPoints(np.arange(len(candidate)), np.asarray(candidate), np.asarray(other), np.ones(len(candidate)))


def tokens(factor: float, clusters: int = 100) -> PairedPoints:
    other = np.random.default_rng(3).integers(40, 80, clusters) * 1.0
    noise = np.random.default_rng(4).normal(1.0, 0.1, clusters)
    return graded(np.round(other * factor * noise), other)


def against_champion(primary: PairedPoints, **more: PairedPoints) -> Evidence:
    found = {Pair(SUITE, METRIC, "champion"): primary}
    found |= {Pair(RAIL.suite, RAIL.metric, "champion"): more[name] for name in more if name == "general"}
    found |= {Pair(SUITE, LENGTH.metric, "champion"): more[name] for name in more if name == "length"}
    return Evidence(SUITE, "champion", found)


def against_base(primary: PairedPoints, nearest: PairedPoints) -> Evidence:
    found = {Pair(SUITE, METRIC, "base"): primary, Pair(SUITE, METRIC, "nearest_answer"): nearest}
    return Evidence(SUITE, "base", found)


def condition(verdict: Verdict, kind: str, metric: str = METRIC, place: int = 0) -> Condition:
    return [c for c in verdict.conditions if c.kind == kind and c.metric == metric][place]
