"""Successive halving by simulation: trials are curves, nothing is trained."""

import itertools
import math
import random
from fractions import Fraction

import pytest

from ft_assets.errors import BadConfiguration, NoTrialLeft
from ft_assets.training.sweep import Reached, Rung, Trial, brackets, highest_cost, least_cost, plan, race


def trials(count: int, steps: int = 270, save_steps: int = 5) -> list[Trial]:
    return [Trial(number, steps, save_steps) for number in range(1, count + 1)]


class Curves:
    """Trials whose loss falls to `1 + floor`, the number of a trial being its place; counts the steps it is asked."""

    def __init__(self, order: list[int], noise: float = 0.0):
        self.order, self.noise = order, noise
        self.at: dict[int, int] = {}
        self.asked: list[tuple[int, int]] = []

    def __call__(self, rung: int, trial: Trial, stop: int) -> Reached:
        self.asked.append((trial.number, stop))
        self.at[trial.number] = stop
        floor = self.order.index(trial.number) * 0.1
        wobble = self.noise * random.Random(f"{trial.number}-{stop}").random()
        return Reached(rung, trial.number, stop, stop, 1 + floor + 2 * math.exp(-5 * stop / trial.steps) + wobble)


def test_nine_trials_become_three_and_then_one_with_three_times_the_steps_each_time() -> None:
    rungs = plan(trials(9), 3, 2.4)
    assert rungs == (Rung(9, Fraction(1, 9)), Rung(3, Fraction(1, 3)))
    assert [trials(1)[0].stop(rung.share) for rung in rungs] == [30, 90]
    assert highest_cost(rungs, trials(9)) == Fraction(7, 3)


def test_a_larger_budget_drops_trials_later_and_a_large_one_none() -> None:
    by_budget = {budget: plan(trials(9), 3, budget)[0].share for budget in (2.4, 5, 9, 100)}
    assert by_budget == {2.4: Fraction(1, 9), 5: Fraction(1, 3), 9: 1, 100: 1}


@pytest.mark.parametrize("count", [2, 3, 4, 8, 10, 27, 64])
@pytest.mark.parametrize("eta", [2, 3, 4])
def test_every_bracket_starts_all_trials_and_keeps_one_of_eta(count: int, eta: int) -> None:
    found = list(brackets(count, eta))
    assert found[0] == (Rung(count, Fraction(1)),)
    for rungs in found:
        assert rungs[0].trials == count
        assert all(later.share == earlier.share * eta for earlier, later in itertools.pairwise(rungs))
        assert all(later.trials == count // eta**number for number, later in enumerate(rungs[1:], start=1))
    costs = [highest_cost(rungs, trials(count, eta**6, 1)) for rungs in found]
    assert costs == sorted(costs, reverse=True) and costs[-1] == pytest.approx(float(least_cost(count, eta)), abs=0.01)


def test_the_budget_is_never_exceeded_whatever_the_trials_and_whoever_goes_on() -> None:
    rng = random.Random(5)
    planned = 0
    for _ in range(150):
        several = []
        for number in range(1, rng.randint(2, 20) + 1):
            steps = rng.randint(1, 300)
            several.append(Trial(number, steps, rng.randint(1, max(1, steps // 4)), rng.randint(0, steps // 10)))
        budget = rng.uniform(1, 12)
        try:
            rungs = plan(several, rng.randint(2, 5), budget)
        except BadConfiguration:
            continue
        planned += 1
        curves = Curves(rng.sample(range(1, len(several) + 1), len(several)), noise=1.0)
        winner, _ = race(several, rungs, curves)
        curves.at[winner.number] = winner.steps
        assert sum(Fraction(stop, several[number - 1].steps) for number, stop in curves.at.items()) <= budget
        stops = {(number, stop) for number, stop in curves.asked if stop < several[number - 1].steps}
        assert all(stop % several[number - 1].save_steps == 0 for number, stop in stops)
        assert all(stop >= 2 * several[number - 1].warmup_steps for number, stop in stops)
        assert len(set(curves.asked)) == len(curves.asked), "no rung is trained twice"
    assert planned > 50


@pytest.mark.parametrize("seed", range(8))
def test_the_best_of_known_curves_is_found_and_the_better_ones_survive(seed: int) -> None:
    order = random.Random(seed).sample(range(1, 28), 27)
    curves = Curves(order)
    winner, reached = race(trials(27), plan(trials(27), 3, 7), curves)
    assert winner.number == order[0]
    by_rung = [{each.trial for each in reached if each.rung == rung} for rung in range(3)]
    assert by_rung == [set(range(1, 28)), set(order[:9]), set(order[:3])]


def test_the_same_trials_give_the_same_race_and_of_equal_losses_the_first_wins() -> None:
    rungs = plan(trials(9), 3, 3)
    races = [race(trials(9), rungs, Curves(list(range(9, 0, -1)), noise=0.3)) for _ in range(2)]
    assert races[0] == races[1]
    winner, _ = race(trials(4), plan(trials(4), 2, 2), lambda rung, t, stop: Reached(rung, t.number, stop, stop, 1.0))
    assert winner.number == 1


def test_a_trial_that_failed_is_out_and_one_that_ended_by_itself_is_not_trained_again() -> None:
    asked = []

    def reach(rung: int, trial: Trial, stop: int) -> Reached:
        asked.append((rung, trial.number))
        if trial.number == 1:
            return Reached(rung, 1, stop, stop, None, "non_finite")
        return Reached(rung, trial.number, stop, 20 if trial.number == 2 else stop, float(trial.number))

    winner, reached = race(trials(9), plan(trials(9), 3, 2.4), reach)
    assert winner.number == 2
    assert [each.trial for each in reached if each.rung == 1] == [2, 3, 4]
    assert (1, 2) not in asked and (1, 3) in asked


def test_a_sweep_whose_trials_all_fail_says_why() -> None:
    with pytest.raises(NoTrialLeft, match="trial 2: loss_diverged"):
        race(
            trials(2), plan(trials(2), 2, 2), lambda rung, t, stop: Reached(rung, t.number, 1, 1, None, "loss_diverged")
        )


def test_a_budget_that_rounding_to_checkpoints_exceeds_is_refused_with_the_way_out() -> None:
    with pytest.raises(BadConfiguration, match=r"cost 2\.\d\d full trainings at least.*saves every 100 of its 270"):
        plan(trials(4, save_steps=100), 4, 1.8)
