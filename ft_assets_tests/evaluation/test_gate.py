import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from ft_assets.errors import EvaluationIncomplete
from ft_assets.evaluation.gate import GateRules, compare, decide, evaluation_problems
from ft_assets_tests.evaluation.samples import item, prediction, row, rows

RULES = GateRules()


def noisy(seed: int, mean: float, count: int = 100) -> list[float]:
    return list(np.clip(np.random.default_rng(seed).normal(mean, 0.2, count), 0, 1))


def test_a_candidate_that_beats_base_and_champion_is_promoted():
    verdict = decide(rows(noisy(1, 0.8)), rows(noisy(2, 0.3)), rows(noisy(3, 0.6)), RULES)
    assert verdict.outcome == "promote"
    assert [comparison.against for comparison in verdict.comparisons] == ["base", "champion"]
    assert verdict.summary.startswith("promote: +0.")
    assert "rouge_l against base; +0." in verdict.summary


def test_a_candidate_that_beats_the_base_but_not_visibly_the_champion_is_held():
    verdict = decide(rows(noisy(1, 0.6)), rows(noisy(2, 0.3)), rows(noisy(3, 0.6)), RULES)
    assert verdict.outcome == "hold"
    assert verdict.reasons == ["rouge_l against champion is not shown to be above 0"]
    assert "could have seen 0." in verdict.summary


@pytest.mark.parametrize(("base", "champion"), [(0.6, None), (0.1, 0.6)])
def test_a_candidate_that_is_surely_worse_than_either_is_rejected(base: float, champion: float | None):
    incumbent = rows(noisy(3, champion)) if champion else None
    verdict = decide(rows(noisy(1, 0.3)), rows(noisy(2, base)), incumbent, RULES)
    assert verdict.outcome == "reject"
    assert verdict.reasons == [f"rouge_l against {'champion' if champion else 'base'} is worse"]


def test_too_few_clusters_can_only_be_held_and_the_missing_ones_are_counted():
    verdict = decide(rows([1.0] * 43), rows([0.0] * 43), None, RULES)
    assert verdict.outcome == "hold"
    assert verdict.reasons == ["43 independent eval clusters, 7 fewer than the 50 required"]
    assert "7 fewer" in verdict.summary


def test_rows_of_one_cluster_count_once():
    def clustered(value: float):
        return [row(f"r{i}", value, cluster_id=f"c{i % 10}") for i in range(100)]

    assert decide(clustered(1.0), clustered(0.0), None, RULES).outcome == "hold"


def test_a_gain_below_the_smallest_effect_is_held():
    candidate, base = rows([0.55] * 60), rows([0.5] * 60)
    assert decide(candidate, base, None, GateRules(min_effect=0.04)).outcome == "promote"
    held = decide(candidate, base, None, GateRules(min_effect=0.06))
    assert (held.outcome, held.reasons) == ("hold", ["rouge_l against base is not shown to be above 0.06"])


def test_five_wins_without_a_loss_are_no_proof_and_six_are():
    def wins(count: int):
        return decide(rows([1.0] * count + [0.0] * (100 - count)), rows([0.0] * 100), None, RULES)

    assert wins(5).outcome == "hold"
    assert "5 clusters that differ" in wins(5).reasons[0]
    assert wins(6).outcome == "promote"


def test_a_floor_missed_surely_rejects_and_missed_within_the_interval_holds():
    candidate, base = rows(noisy(1, 0.7)), rows(noisy(2, 0.1))
    assert decide(candidate, base, None, GateRules(floors={"rouge_l": 0.6})).outcome == "promote"
    assert decide(candidate, base, None, GateRules(floors={"rouge_l": 0.9})).outcome == "reject"
    reached = compare(candidate, rows([0.0] * 100), "base", "rouge_l").difference
    held = decide(candidate, base, None, GateRules(floors={"rouge_l": round(reached + 0.01, 3)}))
    assert held.outcome == "hold"
    assert "below its floor" in held.reasons[0]


def test_another_metric_can_lead():
    candidate = [row(f"r{i}", 0.0, answer_tokens_right=4) for i in range(60)]
    base = [row(f"r{i}", 1.0, answer_tokens_right=1) for i in range(60)]
    assert decide(candidate, base, None, GateRules(primary_metric="token_accuracy")).outcome == "promote"
    assert decide(candidate, base, None, RULES).outcome == "reject"


def test_an_answer_set_that_differs_nowhere_is_held_and_says_that_it_has_no_spread():
    verdict = decide(rows([0.5] * 60), rows([0.5] * 60), None, RULES)
    assert verdict.outcome == "hold"
    assert "without any spread" in verdict.summary


def test_models_scored_on_different_rows_are_not_compared():
    with pytest.raises(EvaluationIncomplete, match="r0059"):
        decide(rows([1.0] * 60), rows([1.0] * 59), None, RULES)


@pytest.mark.slow
@pytest.mark.parametrize("n_clusters", [50, 90])
def test_equal_models_are_promoted_in_less_than_one_case_in_twenty(n_clusters: int):
    generator, tries, promoted = np.random.default_rng(20), 240, 0
    for attempt in range(tries):
        share_that_differs = (0.06, 0.3, 1.0)[attempt % 3]
        spread = generator.normal(0, 0.2, n_clusters) * (generator.random(n_clusters) < share_that_differs)
        candidate, base = rows(0.5 + spread / 2), rows(0.5 - spread / 2)
        promoted += decide(candidate, base, None, RULES).outcome == "promote"
    assert promoted / tries <= 0.05


def test_a_whole_evaluation_has_no_problems():
    items = [item("a"), item("b")]
    answers = [prediction("a"), prediction("b")]
    assert evaluation_problems({"candidate": answers, "base": answers}, items) == []


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([prediction("a")], "1 items are not answered (first: b)"),
        ([prediction("a"), prediction("b"), prediction("z")], "1 answers belong to no item (first: z)"),
        ([prediction("a"), prediction("b"), prediction("b")], "1 answers are doubled (first: b)"),
        ([prediction("a"), prediction("b", answer_nll=float("nan"))], "impossible numbers (first: b)"),
        ([prediction("a"), prediction("b", answer_tokens=0)], "impossible numbers (first: b)"),
        ([prediction("a"), prediction("b", suite_digest="other")], "different prompts"),
        ([prediction("a"), prediction("b", answer_tokens=7)], "different reference tokens"),
    ],
)
def test_what_makes_an_evaluation_unfit_is_named(answers, problem: str):
    whole = [prediction("a"), prediction("b")]
    problems = evaluation_problems({"base": whole, "candidate": answers}, [item("a"), item("b")])
    assert any(problem in found for found in problems), problems


def test_an_empty_suite_is_a_problem():
    assert evaluation_problems({"base": [], "candidate": []}, []) != []


def test_rules_refuse_unknown_metrics_and_keys():
    with pytest.raises(ValidationError, match="primary_metric"):
        GateRules(primary_metric="perplexity")
    with pytest.raises(ValidationError, match="floors"):
        GateRules(floors={"bleu": 0.5})
    with pytest.raises(ValidationError, match="minimum_cluster"):
        GateRules.model_validate({"minimum_cluster": 50})


def test_reading_the_rules_loads_nothing_heavy():
    heavy = "{'numpy', 'torch', 'polars', 'matplotlib', 'rouge_score', 'transformers', 'mlflow'}"
    code = f"import sys, ft_assets.evaluation.gate; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
