"""What speaks against a run before anything is loaded: the recipe against its rows, its steps and its base model.

Pure arithmetic, so it costs nothing in a check and in a launch. What needs a tokenizer (masks, truncation, packing) or
a model (memory, hours) is asked elsewhere in preflight. A check is a function that yields problems, and a line in
`CHECKS`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ft_assets.errors import BadConfiguration
from ft_assets.training.catalogue import BEHIND_AN_API, CATALOGUE, resolve
from ft_assets.training.distribution import accumulation_on
from ft_assets.training.intervals import MOST_WARMUP_FRACTION, evaluations_wanted
from ft_assets.training.problem import Problem
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_ranges import ADAPTER_RATE, BETWEEN_THE_METHODS, FULL_RATE, Objective
from ft_assets.training.recipe_sources import ROOTS, recipe_from_source
from ft_assets.training.recipe_words import problems_in

RECOMMENDED_ROWS = 1_000  # SPEC 4.8: of examples as of pairs; a warning, never a stop
KTO_BALANCE = (1.0, 4 / 3)  # weighted liked over weighted disliked answers; Ethayarajh et al. 2024, and trl warns so
UNITS: Mapping[Objective, str] = {"sft": "examples", "dpo": "preference pairs", "kto": "judged answers"}


@dataclass(frozen=True)
class RowCounts:
    """What there is to learn from. None for a validation side means that nobody has counted it yet.

    `steps` are the optimizer steps of a stage where packing has been tried; without them one row counts as one row of
    a batch, which is the most steps that a run can have.
    """

    examples: int = 0
    pairs: int = 0
    liked: int = 0
    disliked: int = 0
    validation_examples: int | None = None
    validation_pairs: int | None = None
    validation_judged: int | None = None
    least: Mapping[Objective, int] = field(default_factory=dict)  # the line's floors; below them it does not train
    steps: Mapping[Objective, int] = field(default_factory=dict)

    def train(self, objective: Objective) -> int:
        """Rows of the train side that a stage learns from."""
        return {"sft": self.examples, "dpo": self.pairs, "kto": self.liked + self.disliked}[objective]

    def validation(self, objective: Objective) -> int | None:
        """Rows of the validation side that a stage is stopped by."""
        sides = {"sft": self.validation_examples, "dpo": self.validation_pairs, "kto": self.validation_judged}
        return sides[objective]


@dataclass(frozen=True)
class Stage:
    """One stage of a run, with what it has to learn from and the optimizer steps that follow."""

    recipe: Recipe
    rows: RowCounts
    steps: int

    @property
    def objective(self) -> Objective:
        """What the stage minimises."""
        return self.recipe.objective

    @property
    def told(self) -> str:
        """`12 steps (100 examples, 32 at a time, 3 epochs)`."""
        count, unit = self.rows.train(self.objective), UNITS[self.objective]
        epochs = self.recipe.num_train_epochs
        batch = f"{count:,} {unit}, {self.recipe.effective_batch} at a time, {epochs} epoch{'s' if epochs > 1 else ''}"
        return f"{self.steps:,} step{'s' if self.steps != 1 else ''} ({batch})"


def recipe_problems(recipe: Recipe | Mapping[str, Any], rows: RowCounts | int, base_model: Any = None) -> list[Problem]:
    """Everything that speaks against training `recipe` on `rows`; empty when nothing does.

    `recipe` may be the mapping of an older file (`fine_tuning`, `finetuning`) or the knobs of one of ours; then what is
    wrong with its keys and values is among the problems, and all of them are told at once. `rows` as a number means so
    many examples, pairs and judged answers on the train side. Problems that refuse come before those that warn.
    """
    if isinstance(rows, int):
        rows = RowCounts(examples=rows, pairs=rows, liked=rows - rows // 2, disliked=rows // 2)
    usable, named_base, problems = _read(recipe)
    base_model = named_base if base_model is None else base_model
    if base_model is not None:
        problems += _about_base(base_model, usable)
    for part in usable.stages() if usable else ():
        objective = part.objective
        steps = rows.steps.get(objective, part.steps(rows.train(objective)))
        problems += [problem for check in CHECKS for problem in check(Stage(part, rows, steps))]
    return sorted(problems, key=lambda problem: not problem.refuses)


def divides_by_devices(stage: Recipe, devices: int) -> list[Problem]:
    """A step reads the same rows on any number of devices, so the accumulation of a stage is divided by it."""
    try:
        accumulation_on(stage, devices)
    except BadConfiguration as refusal:
        return [Problem("accumulation_not_divisible", str(refusal), key=("gradient_accumulation_steps",))]
    return []


def _read(given: Recipe | Mapping[str, Any]) -> tuple[Recipe | None, Any, list[Problem]]:
    """The recipe (None where its keys do not make one), the base that an older file names, and what is wrong."""
    if isinstance(given, Recipe):
        return given, None, []
    if any(root in given for root in ROOTS):
        source = recipe_from_source(given)
        recipe, problems = source.try_recipe()
        return recipe, source.line.get("base_model"), list(problems)
    try:
        return Recipe.model_validate(given), None, []
    except ValidationError as error:
        return None, None, problems_in(error, Recipe.model_fields)


def _about_base(base_model: Any, recipe: Recipe | None) -> Iterator[Problem]:
    try:
        spec = resolve(base_model)
    except (BadConfiguration, TypeError, ValueError) as refusal:
        yield Problem(_why_unusable(base_model), str(refusal), key=("base_model",))
        return
    context = spec.context_length
    if recipe is not None and context is not None and recipe.max_length > context:
        told = f"max_length is {recipe.max_length}, but {spec.id} reads {context:,} tokens at most. Lower max_length"
        yield Problem("max_length_over_context", told, key=("max_length",))


def _why_unusable(base_model: Any) -> str:
    if isinstance(base_model, str):
        if BEHIND_AN_API.match(base_model):
            return "base_model_not_trainable"
        return "base_model_not_pinned" if base_model in CATALOGUE else "base_model_unknown"
    is_hub = isinstance(base_model, Mapping) and "hub" in base_model
    return "base_model_not_pinned" if is_hub else "base_model_unknown"


# ---- rows ------------------------------------------------------------------------------------------------------------
def enough_rows(stage: Stage) -> Iterator[Problem]:
    """SPEC 4.8: a hard floor that the line sets, and a recommended minimum that only warns."""
    count, unit = stage.rows.train(stage.objective), UNITS[stage.objective]
    least = stage.rows.least.get(stage.objective, 0)
    if count < 1:
        yield Problem("no_rows", f"there are no {unit} on the train side, so {stage.objective} has nothing to learn")
    elif count < least:
        told = f"{count:,} {unit}, fewer than the {least:,} below which this line does not train. Curate more of them"
        yield Problem("rows_under_floor", told)
    if 0 < count < RECOMMENDED_ROWS:
        told = f"{count:,} {unit}, {RECOMMENDED_ROWS - count:,} fewer than the {RECOMMENDED_ROWS:,} recommended"
        yield Problem("rows_under_recommended", told, refuses=False)


def something_to_validate_on(stage: Stage) -> Iterator[Problem]:
    """Early stopping and the best checkpoint read the validation side."""
    if stage.rows.validation(stage.objective) == 0:
        unit = UNITS[stage.objective]
        told = f"there are no {unit} on the validation side, so no evaluation could choose a checkpoint or stop the run"
        yield Problem("no_validation_rows", f"{told}. Raise split.validation_fraction, or collect more")


def both_thumbs(stage: Stage) -> Iterator[Problem]:
    """KTO learns from the difference between liked and disliked answers, and wants their weights in balance."""
    if stage.objective != "kto" or stage.rows.train("kto") < 1:
        return
    liked, disliked = stage.rows.liked, stage.rows.disliked
    if not liked or not disliked:
        told = f"{liked:,} liked and {disliked:,} disliked answers; KTO needs both kinds"
        yield Problem("one_kind_of_thumb", f"{told}. For liked answers alone, sft is the objective")
        return
    recipe, (low, high) = stage.recipe, KTO_BALANCE
    balance = ((recipe.desirable_weight or 1) * liked) / ((recipe.undesirable_weight or 1) * disliked)
    if not round(low, 2) <= round(balance, 2) <= round(high, 2):
        wanted = (recipe.undesirable_weight or 1) * disliked * (low + high) / 2 / liked
        told = (
            f"{liked:,} liked and {disliked:,} disliked answers weigh {balance:.2f} to 1, recommended are {low:.2f} to "
            f"{high:.2f}; desirable_weight: {wanted:.2g} would do"
        )
        yield Problem("thumbs_out_of_balance", told, refuses=False, key=("desirable_weight",))


# ---- what would never happen -----------------------------------------------------------------------------------------
def warm_up_ends(stage: Stage) -> Iterator[Problem]:
    """SPEC 13: 500 steps of warm-up where 100 examples give a dozen steps; the learning rate never rises."""
    warmup, steps = stage.recipe.warmup_steps, stage.steps
    if not warmup or steps < 1:
        return
    told = f"warmup_steps is {warmup:,} and the run has {stage.told}"
    mend = "Write warmup_ratio: 0.05 instead, which fits runs of any length"
    if warmup >= steps:
        reached = f"would still be rising at the end, at {steps / warmup:.0%} of its peak"
        message = f"{told}, so the learning rate {reached}. {mend}"
        yield Problem("warmup_never_ends", message, key=("warmup_steps",))
    elif warmup > steps * MOST_WARMUP_FRACTION and "warmup_ratio" not in stage.recipe.outside_range:
        message = f"{told}: {warmup / steps:.0%} of it, where {MOST_WARMUP_FRACTION:.0%} is the most. {mend}"
        yield Problem("warmup_over_a_tenth", message, key=("warmup_steps",))


def evaluations_happen(stage: Stage) -> Iterator[Problem]:
    """SPEC 13: an interval of 100 steps never comes round in a run of 12."""
    recipe, steps = stage.recipe, stage.steps
    if steps < 1:
        return
    every = recipe.intervals(steps).eval_steps
    wanted = evaluations_wanted(recipe.num_train_epochs, recipe.early_stopping_patience)
    if every > steps:
        told = f"eval_steps is {every:,} and the run has {stage.told}, so it is never evaluated. Leave eval_steps out"
        yield Problem("evaluation_never_happens", told, key=("eval_steps",))
    elif steps // every < wanted:
        told = f"{steps // every} evaluations in {stage.told}, fewer than the {wanted} that early stopping wants"
        yield Problem("few_evaluations", told, refuses=False, key=("eval_steps",))


def checkpoints_happen(stage: Stage) -> Iterator[Problem]:
    """A run without a checkpoint loses everything when its machine dies, and has no best one to keep."""
    every = stage.recipe.save_steps  # left out, it follows the evaluations
    if every is not None and every > stage.steps >= 1:
        told = f"save_steps is {every:,} and the run has {stage.told}, so nothing is ever saved. Leave save_steps out"
        yield Problem("saving_never_happens", told, key=("save_steps",))


# ---- the rate --------------------------------------------------------------------------------------------------------
def rate_fits_method(stage: Stage) -> Iterator[Problem]:
    """SPEC 13: 2e-5 belongs to full fine-tuning; an adapter at that rate hardly moves."""
    recipe, rate = stage.recipe, stage.recipe.learning_rate
    if stage.objective != "sft" or "learning_rate" in recipe.outside_range:
        return
    default = FULL_RATE if recipe.method == "full" else ADAPTER_RATE
    if recipe.method == "full" and rate > BETWEEN_THE_METHODS:
        why = f"a rate of adapters; full fine-tuning above {BETWEEN_THE_METHODS:g} forgets what the base knows"
    elif recipe.method != "full" and rate < BETWEEN_THE_METHODS:
        why = "a rate of full fine-tuning; an adapter wants about ten times as much and would hardly move"
    else:
        return
    told = (
        f"learning_rate is {rate:g} under method {recipe.method}: {why}. Write {default:g} or leave it out; if it is "
        "meant, record why: outside_range: {learning_rate: <reason>}"
    )
    yield Problem("learning_rate_against_method", told, key=("learning_rate",))


CHECKS: tuple[Callable[[Stage], Iterator[Problem]], ...] = (
    enough_rows,
    something_to_validate_on,
    both_thumbs,
    warm_up_ends,
    evaluations_happen,
    checkpoints_happen,
    rate_fits_method,
)
