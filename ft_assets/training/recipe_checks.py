"""What the knobs of a recipe owe to each other: ranges and their reasons, meaning, and no contradictions.

Everything here needs the recipe alone. What needs rows and steps as well is asked by `preflight_recipe.py`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ft_assets.training.problem import Problem
from ft_assets.training.recipe_ranges import LOSSES, ONE_FOR_BOTH_STAGES, ranges_for, why_without_effect
from ft_assets.training.recipe_sweep import sweep_problems
from ft_assets.training.recipe_words import problems_in

if TYPE_CHECKING:
    from ft_assets.training.recipe import Recipe


def problems_of(recipe: "Recipe") -> list[Problem]:
    """What is wrong with the knobs as such; empty for a recipe that can be used with enough rows."""
    problems = [
        *_unusable_reasons(recipe),
        *_unexplained_values(recipe),
        *_without_effect(recipe),
        *_contradictions(recipe),
    ]
    if not problems and recipe.approach == "sft+dpo":
        problems = _problems_of_second_stage(recipe)
    return problems or sweep_problems(recipe)


def _unusable_reasons(recipe: "Recipe") -> Iterator[Problem]:
    ranges = ranges_for(recipe.approach, recipe.method)
    for key, reason in sorted(recipe.outside_range.items()):
        if key not in ranges:
            told = f"outside_range names '{key}', which has no range (known: {', '.join(ranges)})"
            yield Problem("reason_unusable", told, key=("outside_range", key))
        elif not reason.strip():
            told = f"outside_range.{key} is empty; write the reason, it goes into the decision log"
            yield Problem("reason_unusable", told, key=("outside_range", key))


def _unexplained_values(recipe: "Recipe") -> Iterator[Problem]:
    for key, (low, high) in ranges_for(recipe.approach, recipe.method).items():
        value = getattr(recipe, key)
        if not low <= value <= high and key not in recipe.outside_range:
            told = (
                f"{key} is {value:g}, allowed {low:g} to {high:g}; "
                f"if that is meant, record why: outside_range: {{{key}: <reason>}}"
            )
            yield Problem("outside_range", told, key=(key,))


def _without_effect(recipe: "Recipe") -> Iterator[Problem]:
    """Knobs that somebody set and nothing reads. At its default a knob may stand, so that a full dump reads back."""
    for key, field in type(recipe).model_fields.items():
        is_set = key in recipe.model_fields_set and getattr(recipe, key) not in (field.default, {})
        if is_set and (why := why_without_effect(key, recipe.approach, recipe.method)):
            yield Problem("no_effect", why, key=(key,))


def _contradictions(recipe: "Recipe") -> Iterator[Problem]:
    losses = LOSSES[recipe.objective]
    if recipe.warmup_steps is not None and recipe.warmup_ratio != type(recipe).model_fields["warmup_ratio"].default:
        yield _contradiction(
            "warmup_steps",
            f"warmup_steps is {recipe.warmup_steps} and warmup_ratio is {recipe.warmup_ratio:g}; keep one, "
            "the ratio fits runs of any length",
        )
    if recipe.eval_steps and recipe.save_steps and recipe.save_steps % recipe.eval_steps:
        yield _contradiction(
            "save_steps",
            f"save_steps is {recipe.save_steps}, no multiple of eval_steps {recipe.eval_steps}, so the best evaluation "
            "could have no checkpoint; leave save_steps out",
        )
    if losses and recipe.loss_type not in losses:
        yield _contradiction(
            "loss_type", f"loss_type is {recipe.loss_type}, allowed under {recipe.approach}: {', '.join(losses)}"
        )
    if recipe.label_smoothing and recipe.loss_type != "robust":
        yield _contradiction(
            "label_smoothing",
            f"label_smoothing is {recipe.label_smoothing:g}, which trl reads under loss_type robust only",
        )
    if recipe.loss_type == "kto" and recipe.per_device_train_batch_size < 2:
        yield _contradiction(
            "per_device_train_batch_size",
            "per_device_train_batch_size is 1; KTO estimates its KL term from the other answers of a forward, so it "
            "needs 2 or more",
        )


def _contradiction(key: str, message: str) -> Problem:
    return Problem("contradiction", message, key=(key,))


def _problems_of_second_stage(recipe: "Recipe") -> list[Problem]:
    fixed = [key for key in ONE_FOR_BOTH_STAGES if key in recipe.dpo]
    if fixed:
        told = f"dpo.{fixed[0]}: both stages train the same weights, so it stands beside the knobs of SFT"
        return [Problem("stages_disagree", told, key=("dpo", fixed[0]))]
    try:
        recipe.stages()
    except ValidationError as error:
        return problems_in(error, type(recipe).model_fields, ("dpo",))
    return []
