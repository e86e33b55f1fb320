"""The rows of a snapshot that a recipe learns from: for whoever trains, and whoever trains once more."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ft_assets.records import Side

if TYPE_CHECKING:
    from ft_assets.training.recipe import Recipe
    from ft_assets.training.recipe_ranges import Objective
    from ft_assets.training.stage_data import SideRows, TrainingRows


def training_rows(snapshot: Path, recipe: "Recipe") -> "TrainingRows":
    """The rows of both sides that the recipe's stages learn from; the others are not read."""
    from ft_assets.training.stage_data import TrainingRows

    objectives = [stage.objective for stage in recipe.stages()]
    return TrainingRows(_side_rows(snapshot, "train", objectives), _side_rows(snapshot, "validation", objectives))


def _side_rows(snapshot: Path, side: Side, objectives: "Sequence[Objective]") -> "SideRows":
    from ft_assets.dataset.judged_rows import read_judged
    from ft_assets.dataset.preference_rows import read_preferences
    from ft_assets.dataset.rows import read_side
    from ft_assets.training.stage_data import SideRows

    return SideRows(
        examples=read_side(snapshot, side) if "sft" in objectives else (),
        pairs=read_preferences(snapshot, side) if "dpo" in objectives else (),
        judged=read_judged(snapshot, side) if "kto" in objectives else (),
    )
