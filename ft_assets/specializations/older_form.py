"""A model line whose training is written in one of the two older forms, turned into today's keys."""

from typing import Any

from ft_assets.training.problem import Problem
from ft_assets.training.recipe_sources import ROOTS, SourceRecipe, recipe_from_source


def in_todays_form(raw: dict[Any, Any]) -> tuple[dict[Any, Any], SourceRecipe | None]:
    """The keys of a line with `fine_tuning` or `finetuning` replaced by what it says, and how it was read.

    None beside it for a line that has neither. What is wrong stands in the reading's `problems`.
    """
    older = {root: raw[root] for root in ROOTS if root in raw}
    if not older:
        return raw, None
    source = recipe_from_source(older)
    rest = {key: value for key, value in raw.items() if key not in ROOTS}
    for key in source.line:
        if key in rest:
            told = f"{key}: written in the line and under {source.root}; keep one, so that it is clear which counts"
            source.problems.append(Problem("said_twice", told, key=(key,)))
    return {**source.line, **rest}, source
