from dataclasses import replace

import numpy as np
import pytest

from ft_assets.errors import EvaluationIncomplete
from ft_assets.evaluation.deciding.golden_budget import GoldenStatus
from ft_assets.evaluation.deciding.verdict import Verdict
from ft_assets.evaluation.deciding.worse_slices import worse_slices
from ft_assets.evaluation.gate import (
    THIS_ARTIFACT,
    Evidence,
    Pair,
    PairedPoints,
    decide,
    new_part,
    paired_points,
)
from ft_assets.evaluation.metric import Points
from ft_assets_tests.evaluation.gate_evidence import (
    GUARDED,
    LENGTH,
    METRIC,
    PLAIN,
    SUITE,
    against_base,
    against_champion,
    condition,
    pairs,
    tokens,
)
from ft_assets_tests.evaluation.samples import row, rows


def test_a_candidate_that_beats_the_champion_is_promoted_and_told_with_its_numbers():
    verdict = decide(against_champion(pairs(30, 5, 165)), PLAIN)
    assert verdict.outcome == "promote"
    primary = condition(verdict, "superior")
    assert (primary.estimate, primary.n_clusters, primary.n_differing) == (0.125, 200, 35)
    assert primary.low is not None and primary.high is not None and 0 < primary.low < 0.125 < primary.high
    assert primary.test == "exact McNemar"
    assert verdict.summary.startswith("promote: The candidate is better than the champion: exact_match on golden set")
    assert "differs by +12.5 points" in verdict.summary
    assert verdict.reasons == ["Every condition holds.", THIS_ARTIFACT]


@pytest.mark.parametrize(("wins", "losses", "outcome"), [(6, 0, "promote"), (5, 0, "hold"), (0, 6, "reject")])
def test_five_wins_without_a_loss_are_no_proof_and_six_are(wins: int, losses: int, outcome: str):
    assert decide(against_champion(pairs(wins, losses, 194)), PLAIN).outcome == outcome


def test_the_bounds_always_say_what_the_test_says():
    generator = np.random.default_rng(6)
    for _ in range(25):
        wins, losses = generator.integers(0, 25, 2)
        found = condition(decide(against_champion(pairs(wins, losses, 100)), PLAIN), "superior")
        assert found.low is not None and found.high is not None and found.limit == 0
        assert (found.holds is True) == (found.low > 0)
        assert (found.holds is False) == (found.high < 0)


def test_ten_equal_rows_in_each_cluster_prove_no_more_than_one():
    one, ten = (condition(decide(against_champion(pairs(14, 4, 82, n)), PLAIN), "superior") for n in (1, 10))
    assert (one.n_clusters, ten.n_clusters) == (100, 100)
    assert one.holds is ten.holds is True
    assert ten.low == pytest.approx(one.low, abs=0.002)
    assert ten.test == "cluster sign-flip and cluster bootstrap"
    assert decide(against_champion(pairs(2, 0, 98, 10)), PLAIN).outcome == "hold"


def test_what_is_not_shown_is_held_with_the_number_of_questions_that_would_decide():
    verdict = decide(against_champion(pairs(14, 8, 178)), PLAIN)
    assert verdict.outcome == "hold"
    more = condition(verdict, "superior").more_clusters
    assert more is not None and 500 < more < 1_000  # ((1.96 + 0.84) 0.33 / 0.03)^2 - 200
    assert (
        f"{METRIC} on {SUITE} against champion is open; about {more} more independent questions" in verdict.reasons[0]
    )
    assert "which would have shown " in verdict.summary


def test_a_model_that_differs_nowhere_is_held_and_says_what_it_could_have_seen():
    verdict = decide(against_champion(pairs(0, 0, 100)), PLAIN)
    assert verdict.outcome == "hold"
    found = condition(verdict, "superior")
    assert found.smallest_visible == pytest.approx(0.079, abs=0.001)
    assert found.more_clusters is None
    assert "more questions are not expected to decide it" in verdict.reasons[0]


def test_a_candidate_that_is_surely_worse_is_rejected():
    verdict = decide(against_champion(pairs(5, 30, 165)), PLAIN)
    assert verdict.outcome == "reject"
    assert "falls short of the champion" in verdict.reasons[0]


def test_too_few_clusters_can_only_be_held_and_the_missing_ones_are_counted():
    for found in (pairs(43, 0, 0), pairs(0, 43, 0)):
        verdict = decide(against_champion(found), PLAIN)
        assert verdict.outcome == "hold"
        assert "43 independent questions, 7 fewer than the 50 required" in verdict.reasons[0]
        assert condition(verdict, "clusters").more_clusters == 7


def test_every_condition_with_a_figure_says_what_it_could_have_seen():
    evidence = against_champion(pairs(30, 5, 165), general=pairs(3, 3, 600), length=tokens(1.0))
    verdict = decide(evidence, GUARDED.model_copy(update={"floors": {METRIC: 0.5}}))
    told = [c for c in verdict.conditions if c.kind in ("superior", "guardrail", "floor")]
    assert len(told) == 5
    assert all(c.smallest_visible and c.smallest_visible > 0 for c in told)


# ---- without a champion ----------------------------------------------------------------------------------------------
def test_without_a_champion_the_base_and_the_nearest_training_answer_have_to_be_beaten():
    strong, weak = pairs(60, 5, 135), pairs(12, 10, 178)
    assert decide(against_base(strong, strong), PLAIN).outcome == "promote"
    held = decide(against_base(strong, weak), PLAIN)
    assert held.outcome == "hold"
    assert "against nearest answer is open" in held.reasons[0]
    assert decide(against_base(weak, strong), PLAIN).outcome == "hold"


def test_the_base_has_to_be_beaten_by_the_smallest_effect_and_the_nearest_answer_only_beaten():
    evidence = against_base(pairs(60, 5, 135), pairs(60, 5, 135))
    assert decide(evidence, PLAIN.model_copy(update={"min_effect": 0.15})).outcome == "promote"
    held = decide(evidence, PLAIN.model_copy(update={"min_effect": 0.25}))
    assert (held.outcome, condition(held, "superior").limit) == ("hold", 0.25)
    assert condition(held, "superior", place=1).limit == 0
    assert decide(evidence, PLAIN.model_copy(update={"min_effect": 0.5})).outcome == "reject"


def test_the_nearest_answer_only_informs_once_there_is_a_champion():
    evidence = against_champion(pairs(30, 5, 165))
    weak = {**evidence.pairs, Pair(SUITE, METRIC, "nearest_answer"): pairs(5, 30, 165)}
    verdict = decide(replace(evidence, pairs=weak), PLAIN)
    assert verdict.outcome == "promote"
    assert condition(verdict, "superior", place=1).blocks is False


def test_length_is_compared_with_a_champion_only():
    evidence = against_base(pairs(60, 5, 135), pairs(60, 5, 135))
    longer = {**evidence.pairs, Pair(SUITE, LENGTH.metric, "base"): tokens(3.0)}
    verdict = decide(replace(evidence, pairs=longer), PLAIN.model_copy(update={"guardrails": (LENGTH,)}))
    assert verdict.outcome == "promote"
    assert "with a champion only" in condition(verdict, "guardrail", "tokens_per_answer").sentence


# ---- several primaries, slices ---------------------------------------------------------------------------------------
def test_any_of_several_primaries_may_decide_but_needs_more():
    rules = PLAIN.model_copy(update={"alternative_primaries": ("rouge_l",)})
    clear, weak, none = pairs(30, 5, 165), pairs(14, 4, 182), pairs(10, 9, 181)

    def of(first: PairedPoints, second: PairedPoints) -> Verdict:
        evidence = against_champion(first)
        return decide(replace(evidence, pairs={**evidence.pairs, Pair(SUITE, "rouge_l", "champion"): second}), rules)

    assert of(none, clear).outcome == "promote"
    assert of(clear, none).outcome == "promote"
    assert decide(against_champion(weak), PLAIN).outcome == "promote"  # p = 0.015: enough for one, not for one of two
    assert of(weak, none).outcome == "hold"
    assert [c.holds for c in of(weak, clear).conditions if c.kind == "superior"] == [True, True]  # Holm's second step


def test_a_primary_that_applies_to_few_questions_does_not_decide_alone():
    rules = PLAIN.model_copy(update={"alternative_primaries": ("accuracy",)})
    evidence = against_champion(pairs(0, 0, 100))
    few = {**evidence.pairs, Pair(SUITE, "accuracy", "champion"): pairs(8, 0, 0)}
    verdict = decide(replace(evidence, pairs=few), rules)
    assert verdict.outcome == "hold"
    assert "8 independent questions that accuracy applies to, 42 fewer than the 50" in verdict.reasons[0]


def test_slices_are_called_worse_only_by_holm():
    bad, unlucky = pairs(2, 30, 68), pairs(2, 9, 89)
    assert worse_slices({"debugging": unlucky}) == ["debugging"]
    many = {f"slice {i}": pairs(10, 10, 80) for i in range(20)}
    assert worse_slices({**many, "debugging": unlucky}) == []
    assert worse_slices({**many, "debugging": unlucky, "review": bad}) == ["review"]


# ---- what was not measured -------------------------------------------------------------------------------------------
def test_what_was_not_measured_is_never_a_pass():
    better = pairs(30, 5, 165)
    cases = {
        "on general ability against champion was not measured": (against_champion(better, length=tokens(1.0)), GUARDED),
        "out of memory": (replace(against_champion(better), problems=("golden set: out of memory.",)), PLAIN),
        "97.9 % of golden set was answered": (replace(against_champion(better), coverage={SUITE: 0.979}), PLAIN),
        "only 95.2 % of the rows": (against_champion(replace(better, unpaired=10)), PLAIN),
        "against nearest answer was not measured": (
            Evidence(SUITE, "base", {Pair(SUITE, METRIC, "base"): better}),
            PLAIN,
        ),
    }
    for reason, (evidence, rules) in cases.items():
        verdict = decide(evidence, rules)
        assert verdict.outcome == "not evaluated", reason
        assert reason in verdict.reasons[0]
        assert verdict.reasons[-1] == THIS_ARTIFACT
    assert (
        decide(replace(against_champion(better), coverage={SUITE: 0.98, "own file": 0.5}), PLAIN).outcome == "promote"
    )


# ---- the golden set --------------------------------------------------------------------------------------------------
def test_a_spent_golden_set_holds_whatever_was_seen():
    for found in (pairs(30, 5, 165), pairs(5, 30, 165)):
        verdict = decide(replace(against_champion(found), golden=GoldenStatus(None, 20, share_new=0.1)), PLAIN)
        assert verdict.outcome == "hold"
        assert "at least 30 % of its questions are new (10 % are)" in verdict.reasons[0]
        assert verdict.decision is None


def test_the_decision_and_the_cumulative_rate_are_told():
    verdict = decide(replace(against_champion(pairs(30, 5, 165)), golden=GoldenStatus(4, 20)), PLAIN)
    assert (verdict.outcome, verdict.decision) == ("promote", 4)
    assert verdict.cumulative_false_promotion_rate == pytest.approx(1 - 0.975**4)
    assert "decision 4 of 20" in condition(verdict, "golden budget").sentence


def test_a_renewed_set_wants_both_models_scored_on_its_new_part():
    renewed = GoldenStatus(1, 20, renewals=1, share_new=0.3, new_rows=frozenset({"r1"}))
    evidence = replace(against_champion(pairs(30, 5, 165)), golden=renewed)
    held = decide(evidence, PLAIN)
    assert held.outcome == "hold"
    assert "new questions alone" in held.reasons[0]
    fresh = Pair(new_part(SUITE), METRIC, "champion")
    for found, outcome in ((pairs(8, 5, 47), "promote"), (pairs(2, 20, 38), "reject")):
        assert decide(replace(evidence, pairs={**evidence.pairs, fresh: found}), PLAIN).outcome == outcome


# ---- from rows and answers -------------------------------------------------------------------------------------------
def test_rows_are_paired_by_their_id_and_unanswered_ones_are_counted():
    found = paired_points(rows([0.5, 0.6, 0.7]), list(reversed(rows([0.1, 0.2]))), "rouge_l")
    assert (list(found.candidate), list(found.other), found.unpaired) == ([0.5, 0.6], [0.1, 0.2], 1)
    assert len(list(paired_points(rows([0.5]), rows([0.5]), "accuracy").clusters)) == 0


def test_rows_that_count_different_points_or_stand_twice_are_refused():
    ours = [row("a", 1.0, {"token_accuracy": Points(3, 4)})]
    theirs = [row("a", 1.0, {"token_accuracy": Points(3, 5)})]
    with pytest.raises(EvaluationIncomplete, match="same tokenizer"):
        paired_points(ours, theirs, "token_accuracy")
    with pytest.raises(EvaluationIncomplete, match=r"in cluster a .* in other"):
        paired_points([row("a", 1.0)], [row("a", 1.0, cluster_id="other")], "rouge_l")
    with pytest.raises(EvaluationIncomplete, match="stands twice"):
        paired_points([row("a", 1.0), row("a", 1.0)], [row("a", 1.0)], "rouge_l")


def test_a_metric_with_several_points_a_row_goes_the_same_way():
    generator = np.random.default_rng(2)
    ours = [row(f"r{i}", 0.0, {"token_accuracy": Points(int(generator.binomial(20, 0.8)), 20)}) for i in range(80)]
    theirs = [row(f"r{i}", 0.0, {"token_accuracy": Points(int(generator.binomial(20, 0.5)), 20)}) for i in range(80)]
    evidence = Evidence(
        SUITE, "champion", {Pair(SUITE, "token_accuracy", "champion"): paired_points(ours, theirs, "token_accuracy")}
    )
    verdict = decide(evidence, PLAIN.model_copy(update={"primary_metric": "token_accuracy"}))
    assert verdict.outcome == "promote"
    assert condition(verdict, "superior", "token_accuracy").estimate == pytest.approx(0.3, abs=0.05)
