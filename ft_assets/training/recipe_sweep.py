"""What a recipe may sweep: some knobs, the values of each, and a budget. Light, because every recipe may hold one.

A sweep keeps the trial with the lowest validation loss. So a knob that changes what this loss measures, how often it is
looked at, or nothing but luck cannot be swept.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from ft_assets.training.problem import Problem
from ft_assets.training.recipe_ranges import ADAPTER_KNOBS, ONE_FOR_BOTH_STAGES, QUANTISATION_KNOBS, why_without_effect
from ft_assets.training.recipe_words import problems_in, unknown_key
from ft_assets.training.sweep import least_cost

if TYPE_CHECKING:
    from ft_assets.training.recipe import Recipe

MOST_TRIALS = 64  # with more, the luckiest on a small validation side wins, not the best
DRAWS_PER_TRIAL = 20  # a space of few values runs out of new draws
SECOND_STAGE = "dpo."
SWEPT = (
    *("learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps", "lr_scheduler_type"),
    *("warmup_ratio", "optim", "weight_decay", "max_grad_norm", "disable_dropout"),
    *ADAPTER_KNOBS,
    *QUANTISATION_KNOBS,
)
_OTHER_LOSS = "it changes what the validation loss measures, so the losses of two trials could not be compared"
_OTHER_LOOKS = "it changes when the validation loss is looked at, and who looks more often finds a lower one"
_OTHER_TRAINING = "it is another training, not a knob of this one. Write a line for each"
WHY_NOT_SWEPT: dict[str, str] = {
    **dict.fromkeys(("beta", "loss_type", "label_smoothing", "ld_alpha", "max_length"), _OTHER_LOSS),
    **dict.fromkeys(("desirable_weight", "undesirable_weight"), _OTHER_LOSS),
    **dict.fromkeys(("eval_steps", "save_steps", "early_stopping_patience", "early_stopping_threshold"), _OTHER_LOOKS),
    **dict.fromkeys(("approach", "method"), _OTHER_TRAINING),
    **dict.fromkeys(("logging_steps", "gradient_checkpointing", "precompute_ref_log_probs"), "it changes no weights"),
    "num_train_epochs": "the length of a training is what the budget shares out, and early stopping chooses it",
    "warmup_steps": "sweep warmup_ratio, which fits trainings of any length",
    "seed": "the best of several seeds is luck, not a better recipe",
}


class Span(BaseModel):
    """Values from `low` to `high`, both included. Two whole numbers give whole numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    low: int | float
    high: int | float
    scale: Literal["log", "linear"] = "log"

    def draw(self, rng: random.Random) -> int | float:
        """One value, with three significant digits, so that a person can read and repeat it."""
        drawn = rng.uniform(math.log(self.low), math.log(self.high)) if self.scale == "log" else None
        value = rng.uniform(self.low, self.high) if drawn is None else math.exp(drawn)
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        return min(self.high, max(self.low, round(value) if whole else float(f"{value:.3g}")))


def _form(written: object) -> str:
    return "span" if isinstance(written, Mapping | Span) else "values"


# told apart before they are read, so that an error speaks of one of them
Space = Annotated[Annotated[list[Any], Tag("values")] | Annotated[Span, Tag("span")], Discriminator(_form)]


class Sweep(BaseModel):
    """A small grid, or a random search, with successive halving (sweep.py). No knob of it is drawn from a clock."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    search: Literal["grid", "random"] = Field(
        "random", description="grid: every combination of values; random: one value of each knob per trial."
    )
    knobs: dict[str, Space] = Field(
        min_length=1, description="Knob to its values, or under random to {low, high, scale}; dpo.<knob> under sft+dpo."
    )
    trials: int = Field(ge=2, le=MOST_TRIALS, description="Trainings that are begun; a grid may have fewer.")
    budget_trainings: float = Field(
        gt=1, description="Optimizer steps of all trials and the winner, in full trainings of their own length."
    )
    eta: int = Field(3, ge=2, le=8, description="One of eta trials goes on, to eta times its steps.")
    seed: int = Field(0, ge=0, description="Of the draws under random.")


def trial_recipes(recipe: "Recipe") -> "tuple[Recipe, ...]":
    """The recipe of each trial, without the sweep: a grid in the order it is written, draws in that of `sweep.seed`.

    The same recipe written by hand has the same training id, so finished steps of either are not repeated.
    Raises ValidationError where a trial is no recipe; a recipe that could be made has none of these.
    """
    sweep = recipe.swept()
    return tuple(_with(recipe, knobs) for knobs in _trials(sweep)) if sweep else (recipe,)


def swept_values(recipe: "Recipe", trial: "Recipe") -> dict[str, Any]:
    """The swept knobs of the recipe, with the values that a trial has."""
    sweep, last = recipe.swept(), trial.stages()[-1]
    return {key: getattr(last, key.removeprefix(SECOND_STAGE)) for key in sweep.knobs} if sweep else {}


def sweep_problems(recipe: "Recipe") -> list[Problem]:
    """What is wrong with the sweep of a recipe whose other knobs are right: its knobs, values, trials, budget."""
    try:
        sweep = recipe.swept()
    except ValidationError as error:
        return problems_in(error, [*Sweep.model_fields, *Span.model_fields], ("sweep",))
    if sweep is None:
        return []
    for problems in (_about_knobs, _about_spaces, _about_values, _about_trials, _about_budget):
        if found := list(problems(recipe, sweep)):  # one kind at a time: the later ones build on the earlier
            return found
    return []


def _trials(sweep: Sweep) -> list[dict[str, Any]]:
    if sweep.search == "grid":
        values = [space for space in sweep.knobs.values() if isinstance(space, list)]
        return [dict(zip(sweep.knobs, each, strict=True)) for each in itertools.product(*values)]
    rng, found = random.Random(sweep.seed), dict[str, dict[str, Any]]()
    for _ in range(sweep.trials * DRAWS_PER_TRIAL):
        drawn = {key: space.draw(rng) if isinstance(space, Span) else rng.choice(space) for key, space in _in(sweep)}
        found.setdefault(repr(drawn), drawn)
        if len(found) == sweep.trials:
            break
    return list(found.values())


def _in(sweep: Sweep) -> "list[tuple[str, list[Any] | Span]]":
    return list(sweep.knobs.items())


def _with(recipe: "Recipe", knobs: Mapping[str, Any]) -> "Recipe":
    written = recipe.model_dump(exclude_unset=True, exclude={"sweep"})
    own = {key: value for key, value in knobs.items() if not key.startswith(SECOND_STAGE)}
    second = {key.removeprefix(SECOND_STAGE): value for key, value in knobs.items() if key.startswith(SECOND_STAGE)}
    if second:
        own["dpo"] = {**recipe.dpo, **second}
    return type(recipe).model_validate({**written, **own})


def _about_knobs(recipe: "Recipe", sweep: Sweep) -> Iterator[Problem]:
    two_stages = recipe.approach == "sft+dpo"
    for written in sweep.knobs:
        place, key = ("sweep", "knobs", written), written.removeprefix(SECOND_STAGE)
        if key not in type(recipe).model_fields or (key != written and not two_stages):
            yield unknown_key(place, SWEPT)
        elif key in WHY_NOT_SWEPT or key not in SWEPT:
            yield _problem("not_swept", place, WHY_NOT_SWEPT.get(key, f"it is no knob. Known: {', '.join(SWEPT)}"))
        elif recipe.approach == "kto" and key == "per_device_train_batch_size":
            why = f"KTO estimates its KL term from the other answers of a forward, so {_OTHER_LOSS}"
            yield _problem("not_swept", place, why)
        elif two_stages and key in ONE_FOR_BOTH_STAGES:
            why = "both stages train the same adapter, and the loss of the first chooses nothing. Sweep it under sft"
            yield _problem("not_swept", place, why)
        elif two_stages and key == written:
            why = f"under sft+dpo the loss of the second stage chooses. Write dpo.{key}, or sweep {key} under sft"
            yield _problem("not_swept", place, why)
        elif why_not := why_without_effect(key, "dpo" if two_stages else recipe.approach, recipe.method):
            yield _problem("no_effect", place, why_not)


def _about_spaces(recipe: "Recipe", sweep: Sweep) -> Iterator[Problem]:
    for key, space in _in(sweep):
        place = ("sweep", "knobs", key)
        if isinstance(space, list):
            if not space:
                yield _problem("value_not_allowed", place, "found no value, allowed: a list of one or more")
        elif sweep.search == "grid":
            yield _problem("value_not_allowed", place, "found low and high, allowed under grid: a list of values")
        elif not space.low < space.high:
            found = f"found low {space.low:g} and high {space.high:g}, allowed: low below high"
            yield _problem("value_not_allowed", place, found)
        elif space.scale == "log" and space.low <= 0:
            found = f"found low {space.low:g} on a log scale, allowed: above 0. Write scale: linear"
            yield _problem("value_not_allowed", place, found)


def _about_values(recipe: "Recipe", sweep: Sweep) -> Iterator[Problem]:
    """Each value beside the recipe's own, but for the batch, whose two knobs are a range together."""
    for key, space in _in(sweep):
        for value in space if isinstance(space, list) else (space.low, space.high):
            found = _refusal(recipe, {key: value}, ("sweep", "knobs", key))
            yield from (problem for problem in found if "effective_batch is" not in problem.message)


def _about_trials(recipe: "Recipe", sweep: Sweep) -> Iterator[Problem]:
    combinations = math.prod(len(space) if isinstance(space, list) else MOST_TRIALS for space in sweep.knobs.values())
    least = 2 if sweep.search == "grid" else sweep.trials
    most = sweep.trials if sweep.search == "grid" else combinations
    if not least <= combinations <= most:
        told = f"the knobs have {combinations:,} combinations, allowed: {least} to {max(least, most)}"
        mend = "Raise trials, take values out, or write search: random" if combinations > most else "Lower trials"
        mend = "Add values" if combinations < 2 else mend
        yield Problem("trials_do_not_fit", f"sweep.trials: {told}. {mend}", key=("sweep", "trials"))
        return
    digests: dict[str, int] = {}
    for number, knobs in enumerate(_trials(sweep), start=1):
        found = list(_refusal(recipe, knobs, ("sweep", "knobs")))
        yield from found
        if not found:
            first = digests.setdefault(_with(recipe, knobs).digest(), number)
            if first != number:
                told = f"sweep.knobs: trials {first} and {number} are the same training. Write each value once"
                yield Problem("trials_alike", told, key=("sweep", "knobs"))


def _about_budget(recipe: "Recipe", sweep: Sweep) -> Iterator[Problem]:
    least = least_cost(len(_trials(sweep)), sweep.eta)
    if sweep.budget_trainings < least:
        told = (
            f"sweep.budget_trainings is {sweep.budget_trainings:g}, and {len(_trials(sweep))} trials that are cut to "
            f"one of {sweep.eta} cost {float(least):.2f} full trainings at least, the winner's included. "
            "Raise it, try fewer trials, or raise eta"
        )
        yield Problem("budget_too_small", told, key=("sweep", "budget_trainings"))


def _refusal(recipe: "Recipe", knobs: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[Problem]:
    """Why the recipe cannot be made with those values, said at the sweep."""
    try:
        _with(recipe, knobs)
    except ValidationError as error:
        shown = ", ".join(f"{key}: {value!r}" for key, value in knobs.items())
        for problem in problems_in(error, type(recipe).model_fields):
            told = f"{'.'.join(place)}: with {shown}: {problem.message}"
            yield Problem(problem.code, told, problem.refuses, place)


def _problem(code: str, place: tuple[str, ...], told: str) -> Problem:
    return Problem(code, f"{'.'.join(place)}: {told}", key=place)
