"""Knobs that one run changes in the launchpad, checked like the file that they change."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from ft_assets.errors import BadConfiguration
from ft_assets.training.problem import Problem
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_words import problems_in, shown, unknown_key

MERGED = ("dpo", "outside_range")  # key by key; every other knob is replaced
# What a model line is. The report, the gate and the registry name it, so one run may not be about something else.
NOT_FOR_ONE_RUN = {
    "base_model": "the snapshot was rendered and the champion was trained for the base that the line names",
    "approach": "it is what the line is: readiness, report and registry speak of the approach that the line names",
}
KNOBS = [key for key in Recipe.model_fields if key not in NOT_FOR_ONE_RUN]


def with_overrides(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe with the knobs of `overrides` in place of its own; null takes a knob back to its default.

    What the file left out follows the overrides: `{"method": "full"}` brings the learning rate of full fine-tuning.
    The keys under `dpo` and `outside_range` are added to those of the file.

    Raises:
        BadConfiguration: a key is unknown, not for one run to choose, or its value is not allowed; the message lists
            each with what was found and what is allowed. Launch again with other overrides.
    """
    problems = [problem for key in overrides if (problem := _not_a_knob(str(key)))]
    written = recipe.model_dump(exclude_unset=True)
    for key, value in overrides.items():
        if value is None:
            written.pop(key, None)
        elif key in MERGED and isinstance(value, Mapping):
            merged = {**written.get(key, {}), **value}
            written[key] = {inner: found for inner, found in merged.items() if found is not None}
        elif key in KNOBS:
            written[key] = value
    try:
        changed = Recipe.model_validate(written)
    except ValidationError as error:
        problems += problems_in(error, KNOBS)
    if problems:
        listed = "\n".join(f"  - {problem.message}" for problem in problems)
        found = shown(dict(overrides))
        raise BadConfiguration(f"The overrides {found} do not make a recipe:\n{listed}\nMend them and launch again.")
    return changed


def _not_a_knob(key: str) -> Problem | None:
    if key in NOT_FOR_ONE_RUN:
        told = f"{key}: cannot be overridden for one run: {NOT_FOR_ONE_RUN[key]}. Change the specialization instead"
        return Problem("not_for_one_run", told, key=(key,))
    return None if key in KNOBS else unknown_key((key,), KNOBS)
