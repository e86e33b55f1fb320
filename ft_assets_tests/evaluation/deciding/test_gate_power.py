import math

import numpy as np
import pytest

from ft_assets.evaluation.deciding.gate_conditions import gains, not_worse
from ft_assets.evaluation.deciding.gate_evidence import Pair
from ft_assets.evaluation.deciding.gate_power import (
    chance_of_equal,
    clusters_needed,
    guardrail_chances,
    observed_discordance,
    power_problem,
    unevenness_of,
)
from ft_assets.evaluation.deciding.gate_rules import FORGETTING, LENGTH, GateRules, Guardrail
from ft_assets.evaluation.deciding.gate_simulation import BUSINESS, EQUAL, RULES, Cell, drawn_pairs
from ft_assets.evaluation.deciding.paired_points import PairedPoints

ONE = Guardrail(suite="general ability", metric="exact_match", margin=0.05, relative=False, blocks=True)
RAIL = Pair("general ability", "exact_match", "champion")


@pytest.mark.parametrize(
    ("clusters", "margin", "discordance"), [(200, 0.05, 0.1), (400, 0.05, 0.1), (100, 0.1, 0.1), (300, 0.1, 0.4)]
)
def test_the_chance_is_what_simulated_equal_models_have(clusters: int, margin: float, discordance: float):
    generator, runs = np.random.default_rng(clusters), 150
    passed = sum(
        not_worse(gains(drawn_pairs(Cell(clusters, discordance, 1, EQUAL), generator), True), RAIL, margin).holds
        is True
        for _ in range(runs)
    )
    chance = chance_of_equal(clusters, margin, discordance)
    assert passed / runs == pytest.approx(chance, abs=0.04 + 2.6 * math.sqrt(0.25 / runs) * 0.8)


def test_too_few_questions_are_refused_and_the_number_that_is_needed_is_named_and_is_enough():
    rules = GateRules(guardrails=(ONE,))
    problem = power_problem(rules, {"general ability": 100})
    assert problem is not None
    assert "exact_match on general ability: 100 independent clusters pass it in" in problem
    needed = clusters_needed(0.8, 0.05, 0.1)
    assert f"{needed} clusters are needed" in problem
    assert power_problem(rules, {"general ability": needed}) is None
    assert power_problem(rules, {"general ability": needed - 1}) is not None
    assert 240 < needed < 300  # (1.645 + 0.842)^2 x 0.1 / 0.05^2 = 247, and a little for the cluster that is added


def test_guardrails_are_passed_together_or_not_at_all():
    rails = tuple(ONE.model_copy(update={"suite": f"suite {i}"}) for i in range(3))
    sizes = {f"suite {i}": 300 for i in range(3)}
    assert power_problem(GateRules(guardrails=rails[:1]), sizes) is None
    problem = power_problem(GateRules(guardrails=rails), sizes)
    assert problem is not None
    needed = clusters_needed(0.8 ** (1 / 3), 0.05, 0.1)
    assert power_problem(GateRules(guardrails=rails), dict.fromkeys(sizes, needed)) is None


def test_the_discordance_that_was_observed_replaces_the_usual_one():
    rules = GateRules(guardrails=(ONE,))
    assert power_problem(rules, {"general ability": 300}) is None
    assert power_problem(rules, {"general ability": 300}, {"exact_match on general ability": 0.4}) is not None
    cell = Cell(2_000, 0.2, 1, EQUAL)
    seen = observed_discordance(not_worse(gains(drawn_pairs(cell, np.random.default_rng(1)), True), RAIL, 0.05))
    assert seen == pytest.approx(0.2, abs=0.03)


def test_uneven_clusters_are_not_taken_for_as_many_equal_ones():
    rows = np.random.default_rng(7).geometric(0.3, 300)
    uneven = unevenness_of(rows.tolist())
    assert 1.5 < uneven < 2.0 and unevenness_of([4] * 50) == 1.0 and unevenness_of([]) == 1.0
    runs = 150
    passed = sum(_passes(rows, np.random.default_rng(run)) for run in range(runs))
    told = chance_of_equal(300, 0.05, 0.1 * uneven)
    assert passed / runs == pytest.approx(told, abs=0.04 + 2.6 * math.sqrt(0.25 / runs) * 0.8)
    assert chance_of_equal(300, 0.05, 0.1) > told + 0.15, "what the number of clusters alone would promise"
    rules, sizes = GateRules(guardrails=(ONE,)), {"general ability": 300}
    assert power_problem(rules, sizes) is None
    assert "300 independent clusters pass it" in str(power_problem(rules, sizes, None, {"general ability": uneven}))


def _passes(rows: np.ndarray, generator: np.random.Generator) -> bool:
    """Whether a model that wins and loses whole clusters alike passes the guardrail."""
    drawn = generator.random(len(rows))
    won = np.where(drawn < 0.95, rows, 0).astype(float)
    other = np.where((drawn < 0.90) | (drawn >= 0.95), rows, 0).astype(float)
    points = PairedPoints(np.arange(len(rows)), won, other, rows.astype(float))
    return not_worse(gains(points, True), RAIL, 0.05).holds is True


def test_guardrails_that_only_inform_need_nothing():
    quiet = ONE.model_copy(update={"blocks": False})
    assert power_problem(GateRules(guardrails=(quiet,)), {}) is None


def test_a_guardrail_on_a_suite_that_nobody_asks_is_refused():
    problem = power_problem(GateRules(guardrails=(ONE,)), {"golden set": 500})
    assert problem is not None
    assert "'general ability'; the line is asked golden set, judged suite" in problem


def test_the_judged_suite_counts_with_the_fewest_clusters_that_a_verdict_may_rest_on():
    rules = GateRules(guardrails=(LENGTH,), minimum_clusters=50)
    assert guardrail_chances(rules, {"judged suite": 50})[0].chance > 0.95
    assert power_problem(rules, {}) is None
    tight = GateRules(guardrails=(LENGTH.model_copy(update={"margin": 0.02}),))
    assert power_problem(tight, {}) is not None


def test_the_golden_sets_of_served_lines_count():
    rules = GateRules(guardrails=(), serves=("qa-engineer",))
    assert power_problem(rules, {"golden set of qa-engineer": 50}) is not None
    assert power_problem(rules, {"golden set of qa-engineer": 400}) is None


def test_the_simulated_gate_is_one_that_may_start():
    seen = {"json_matches_schema on judged suite": 0.02}
    assert BUSINESS in RULES.guardrails and FORGETTING in RULES.guardrails
    assert power_problem(RULES, {"general ability": 800, "judged suite": 50}, seen) is None


def test_the_default_guardrails_can_be_passed_with_the_bundled_suite():
    passing = guardrail_chances(GateRules(), {"general ability": 250, "judged suite": 50})
    assert power_problem(GateRules(), {"general ability": 250}) is None
    assert passing[0].chance == pytest.approx(0.95, abs=0.01)
