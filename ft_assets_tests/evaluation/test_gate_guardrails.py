"""Guardrails, floors, and clusters that hold most of the rows."""

from dataclasses import replace

import numpy as np
import pytest

from ft_assets.evaluation.deciding.gate_conditions import gains, not_worse
from ft_assets.evaluation.deciding.gate_rules import GateRules
from ft_assets.evaluation.deciding.verdict import Verdict
from ft_assets.evaluation.gate import (
    Evidence,
    Pair,
    PairedPoints,
    decide,
)
from ft_assets_tests.evaluation.gate_evidence import (
    GUARDED,
    LENGTH,
    METRIC,
    PLAIN,
    RAIL,
    SUITE,
    against_champion,
    condition,
    graded,
    pairs,
    tokens,
)


def test_a_guardrail_that_surely_breaks_rejects_and_one_that_may_holds():
    better = pairs(30, 5, 165)
    whole = against_champion(better, general=pairs(20, 20, 560), length=tokens(1.0))
    assert decide(whole, GUARDED).outcome == "promote"
    broken = decide(against_champion(better, general=pairs(5, 90, 505), length=tokens(1.0)), GUARDED)
    assert broken.outcome == "reject"
    assert "accuracy on general ability is worse by more than the margin of 5.0 points" in broken.reasons[0]
    unsure = decide(against_champion(better, general=pairs(4, 8, 88), length=tokens(1.0)), GUARDED)
    assert unsure.outcome == "hold"
    assert "accuracy on general ability against champion is open; about" in unsure.reasons[0]


@pytest.mark.parametrize(("factor", "outcome"), [(0.6, "promote"), (1.1, "promote"), (1.2, "hold"), (1.4, "reject")])
def test_answers_may_grow_by_a_share_of_the_champions_length(factor: float, outcome: str):
    evidence = against_champion(pairs(30, 5, 165), general=pairs(20, 20, 560), length=tokens(factor))
    verdict = decide(evidence, GUARDED)
    assert verdict.outcome == outcome
    length = condition(verdict, "guardrail", "tokens_per_answer")
    assert length.estimate == pytest.approx(1 - factor, abs=0.03)  # more is better for the candidate, here too
    assert "% worse" in length.sentence or factor < 1


def test_forgetting_of_a_tiny_base_is_reported_and_does_not_block():
    evidence = against_champion(pairs(30, 5, 165), general=pairs(5, 90, 505), length=tokens(1.0))
    quiet = replace(evidence, not_blocking={"general ability": "the tiny base never had any"})
    verdict = decide(quiet, GUARDED)
    assert verdict.outcome == "promote"
    told = condition(verdict, "guardrail", "accuracy")
    assert (told.blocks, told.holds) == (False, False)
    assert told.sentence.endswith("it does not block: the tiny base never had any.")


def test_interference_is_reported_and_blocks_where_the_adapter_serves():
    suite = "golden set of qa-engineer"
    evidence = against_champion(pairs(30, 5, 165))
    ruined = {**evidence.pairs, Pair(suite, METRIC, "champion"): pairs(5, 90, 205)}
    evidence = replace(evidence, pairs=ruined, interference={suite: METRIC})
    told = decide(evidence, PLAIN)
    assert told.outcome == "promote"
    assert [c.holds for c in told.conditions if c.suite == suite] == [False]
    assert decide(evidence, PLAIN.model_copy(update={"serves": ("qa-engineer",)})).outcome == "reject"


@pytest.mark.parametrize(("least", "outcome"), [(0.5, "promote"), (0.655, "hold"), (0.9, "reject")])
def test_a_floor_missed_surely_rejects_and_missed_within_the_bound_holds(least: float, outcome: str):
    points = pairs(130, 40, 0)
    points = graded(np.r_[points.candidate, np.zeros(30)], np.r_[points.other, np.zeros(30)])  # 130 of 200 are right
    verdict = decide(against_champion(points), PLAIN.model_copy(update={"floors": {METRIC: least}}))
    assert verdict.outcome == outcome
    assert "exact_match on golden set is 0.650" in condition(verdict, "floor").sentence


def test_a_model_three_points_worse_needs_more_than_luck_on_few_questions():
    """17 wins to 6 losses of 50 is significant, and a model that is 3 points worse gets there, too."""
    verdict = decide(against_champion(pairs(17, 6, 27)), PLAIN)
    assert condition(verdict, "superior").holds is True
    assert condition(verdict, "guardrail").level == 0.001
    assert verdict.outcome == "hold"
    assert decide(against_champion(pairs(60, 20, 120)), PLAIN).outcome == "promote"


@pytest.mark.parametrize("champion_tokens", [0.0, 5.0])
def test_a_share_of_nothing_is_told_and_never_passed(champion_tokens: float):
    """A champion that says nothing at all has a length of 0, and 20 % of it is no limit."""
    silent = graded(np.full(100, 5.0), np.full(100, champion_tokens))
    evidence, rules = (
        against_champion(pairs(30, 5, 65), length=silent),
        GateRules(primary_metric=METRIC, guardrails=(LENGTH,)),
    )
    verdict = decide(evidence, rules)
    if champion_tokens:
        assert verdict.outcome == "promote"
        return
    assert verdict.outcome == "hold"
    assert "of which nothing is a share" in verdict.reasons[0] and "relative: false" in verdict.reasons[0]
    quiet = rules.model_copy(update={"guardrails": (LENGTH.model_copy(update={"blocks": False}),)})
    assert decide(evidence, quiet).outcome == "promote"


def giant(first: tuple[float, float], others: tuple[float, float], clusters: int = 80) -> PairedPoints:
    """One cluster of 2,000 rows and many of one row: (candidate, other) of the first and of the rest."""
    names = np.r_[np.zeros(2_000, int), np.arange(1, clusters)]
    sizes = (2_000, clusters - 1)
    return PairedPoints(
        names, np.repeat([first[0], others[0]], sizes), np.repeat([first[1], others[1]], sizes), np.ones(len(names))
    )


@pytest.mark.parametrize(
    "points",
    [giant((1, 0), (1, 1)), giant((1, 0), (0, 1)), giant((0, 1), (1, 0)), giant((0, 1), (1, 1))],
    ids=["won, others alike", "won, others lost", "lost, others won", "lost, others alike"],
)
def test_one_giant_cluster_decides_nothing(points: PairedPoints):
    verdict = decide(against_champion(points), PLAIN)
    assert verdict.outcome == "hold"
    assert "more questions are not expected to decide it" in verdict.reasons[0]  # not of this size


def test_one_giant_cluster_neither_passes_nor_breaks_a_guardrail_nor_a_floor():
    better = pairs(30, 5, 165)
    for points in (giant((1, 0), (0, 1)), giant((0, 1), (1, 0))):
        told = condition(
            decide(against_champion(better, general=points, length=tokens(1.0)), GUARDED), "guardrail", RAIL.metric
        )
        assert told.holds is None
        assert told.low is not None and told.high is not None and told.low <= -RAIL.margin <= told.high
    floors = PLAIN.model_copy(update={"floors": {METRIC: 0.5}})
    assert condition(decide(against_champion(giant((0, 0), (1, 1))), floors), "floor").holds is None


def test_a_few_large_clusters_do_not_carry_a_model_past_a_guardrail_that_it_breaks():
    """Truly worse by the margin it may pass 1 time in 20. With sizes by Zipf's law a bootstrap let 1 in 5 through."""
    generator, passed, runs = np.random.default_rng(4), 0, 150
    for _ in range(runs):
        sizes = np.minimum(generator.zipf(1.6, 200), 300)
        names = np.repeat(np.arange(200), sizes)
        drawn = generator.random(200)[names]
        points = PairedPoints(
            names, drawn >= 0.075, 1.0 * (drawn < 0.975), np.ones(len(names))
        )  # 2.5 % won, 7.5 % lost
        passed += not_worse(gains(points, True), Pair(SUITE, METRIC, "champion"), 0.05).holds is True
    assert passed <= 0.1 * runs


def test_bounds_of_a_rate_stay_within_what_is_possible():
    verdict = decide(against_champion(pairs(3, 2, 0)), PLAIN.model_copy(update={"minimum_clusters": 2}))
    for told in (c for c in verdict.conditions if c.kind in ("superior", "guardrail")):
        assert told.low is not None and told.high is not None and -1 <= told.low <= told.high <= 1
        assert told.smallest_visible is None  # five questions show no difference that two rates can have
        assert "would have shown" not in told.sentence


def test_perplexity_may_decide_and_is_told_in_nats():
    rules = PLAIN.model_copy(update={"primary_metric": "perplexity"})
    generator = np.random.default_rng(8)
    reference_tokens = generator.integers(5, 50, 150) * 1.0
    nll = reference_tokens * generator.gamma(4, 0.3, 150)

    def of(factor: float) -> Verdict:
        ours = nll * factor * generator.normal(1, 0.05, 150)
        points = PairedPoints(np.arange(150), ours, nll, reference_tokens)
        return decide(Evidence(SUITE, "champion", {Pair(SUITE, "perplexity", "champion"): points}), rules)

    assert [of(factor).outcome for factor in (0.8, 1.0, 1.2)] == ["promote", "hold", "reject"]
    told = condition(of(0.8), "superior", "perplexity")
    assert told.estimate is not None and told.estimate > 0  # more is better for the candidate, here too
    assert " nats a token" in told.sentence
