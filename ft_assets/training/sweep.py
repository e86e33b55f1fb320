"""Successive halving: how far each trial of a sweep is trained, who goes on, and what it costs. No torch, no files.

Jamieson & Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization". How boldly trials
are dropped is one of the brackets of Hyperband (Li et al. 2018): here the most careful one that the budget pays for.
Costs are shares of one full training. A trial goes on from its checkpoint, so a rung costs only its new steps.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf

from ft_assets.errors import BadConfiguration, NoTrialLeft

WARMUPS = 2  # a rung ends after so many times the warm-up
EXACT_STEPS = 10**9  # a training so long that rounding to checkpoints costs nothing


@dataclass(frozen=True)
class Trial:
    """One trial's full training: its number from 1, its optimizer steps, those between two checkpoints, its warm-up."""

    number: int
    steps: int
    save_steps: int
    warmup_steps: int = 0

    def stop(self, share: Fraction) -> int:
        """The step at which that share of the training ends: at a checkpoint, before the share is used up.

        The least is the first checkpoint, because an evaluation is needed to choose by, and one that comes when
        twice the warm-up is over: in it every learning rate is low, and its losses say nothing.
        """
        if share >= 1:
            return self.steps
        after_warmup = -(-WARMUPS * self.warmup_steps // self.save_steps)
        checkpoints = max(1, after_warmup, int(share * self.steps) // self.save_steps)
        return min(self.steps, checkpoints * self.save_steps)


@dataclass(frozen=True)
class Rung:
    """So many trials are trained until `share` of their full training; the best of them reach the next rung."""

    trials: int
    share: Fraction


@dataclass(frozen=True)
class Reached:
    """What a trial reached at a rung. `loss` is its lowest validation loss until `steps`; None where it failed.

    `steps` below `stop`: it ended by itself. `told` is why it failed. `seconds` and `tokens` are of all its rungs.
    """

    rung: int
    trial: int
    stop: int
    steps: int
    loss: float | None
    told: str = ""
    seconds: float = 0.0
    tokens: int = 0


def brackets(trials: int, eta: int) -> Iterator[tuple[Rung, ...]]:
    """The rungs that decide something, from the most careful way (all trials to their end) to the boldest one."""
    rounds = 0
    while True:
        rungs = (Rung(max(1, trials // eta**k), Fraction(1, eta ** (rounds - k))) for k in range(rounds + 1))
        yield tuple(rung for rung in rungs if rung.trials > 1)
        if eta**rounds >= trials:
            return
        rounds += 1


def highest_cost(rungs: Sequence[Rung], trials: Sequence[Trial]) -> Fraction:
    """What the rungs and the winner's way to its end cost at most, in full trainings, whoever goes on."""
    cost, before = Fraction(0), {trial.number: 0 for trial in trials}
    for rung in (*rungs, Rung(1, Fraction(1))):
        until = {trial.number: trial.stop(rung.share) for trial in trials}
        added = [Fraction(until[trial.number] - before[trial.number], trial.steps) for trial in trials]
        cost += sum(sorted(added, reverse=True)[: rung.trials])
        before = until
    return cost


def least_cost(trials: int, eta: int) -> Fraction:
    """The cost of the boldest way through so many trials, in full trainings, before anything is rounded."""
    exact = [Trial(number, EXACT_STEPS, 1) for number in range(1, trials + 1)]
    return min(highest_cost(rungs, exact) for rungs in brackets(trials, eta))


def plan(trials: Sequence[Trial], eta: int, budget_trainings: float) -> tuple[Rung, ...]:
    """The rungs of the most careful way that costs at most `budget_trainings` full trainings, the winner's included.

    Raises:
        BadConfiguration: the boldest way costs more too, because trials can only stop at their checkpoints. Evaluate
            more often, raise the budget or try fewer trials.
    """
    for rungs in brackets(len(trials), eta):
        if (cost := highest_cost(rungs, trials)) <= budget_trainings:
            return rungs
    first = min(trials, key=lambda trial: trial.steps / trial.save_steps)
    raise BadConfiguration(
        f"sweep.budget_trainings is {budget_trainings:g}, and its {len(trials)} trials cost {float(cost):.2f} full "
        "trainings at least: they can stop at a checkpoint only, and after twice the warm-up. Trial "
        f"{first.number} saves every {first.save_steps:,} of its {first.steps:,} steps. Leave eval_steps and "
        "save_steps out, raise the budget, or try fewer trials."
    )


def race(
    trials: Sequence[Trial], rungs: Sequence[Rung], reach: Callable[[int, Trial, int], Reached]
) -> tuple[Trial, list[Reached]]:
    """The trial with the lowest loss at the last rung, and what every trial reached, in the order in which it ran.

    `reach(rung, trial, stop)` trains a trial until step `stop`; it is not asked where nothing would be trained, after
    a trial had ended by itself. Of equal losses the lower number wins. Nothing is random.

    Raises:
        NoTrialLeft: all trials of a rung failed.
    """
    last: dict[int, Reached] = {}
    reached: list[Reached] = []
    alive = list(trials)
    for number, rung in enumerate(rungs):
        for trial in sorted(alive[: rung.trials], key=lambda each: each.number):
            stop, before = trial.stop(rung.share), last.get(trial.number)
            if before and (before.steps < before.stop or before.stop == stop):
                last[trial.number] = replace(before, rung=number, stop=stop)
            else:
                last[trial.number] = reach(number, trial, stop)
            reached.append(last[trial.number])
        alive = _ranked([trial for trial in alive[: rung.trials] if last[trial.number].loss is not None], last)
        if not alive:
            told = "; ".join(f"trial {each.trial}: {each.told}" for each in reached if each.rung == number)
            raise NoTrialLeft(f"Every trial of the sweep failed, so there is no winner. {told}")
    return alive[0], reached


def _ranked(trials: list[Trial], last: dict[int, Reached]) -> list[Trial]:
    def order(trial: Trial) -> tuple[float, int]:
        loss = last[trial.number].loss
        return (inf if loss is None else loss, trial.number)

    return sorted(trials, key=order)
