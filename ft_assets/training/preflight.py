"""Whether a training can succeed: one function, on a CPU, in seconds, before anything expensive is asked for.

Joins what can be told from the recipe (preflight_recipe), from the chat template (preflight_template), from the rows as
tokens (preflight_tokens) and from the model's shape on a device (estimate).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.chat import Chat
from ft_assets.errors import BadConfiguration, BadInput, UnknownShape
from ft_assets.system_prompts import SystemPrompt
from ft_assets.training.preflight_recipe import RowCounts, divides_by_devices, recipe_problems
from ft_assets.training.preflight_template import template_problems
from ft_assets.training.preflight_tokens import (
    SideTokens,
    conversations,
    packed_count,
    side_tokens,
    token_problems,
    unrenderable,
)
from ft_assets.training.preflight_tools import lost_text
from ft_assets.training.problem import Problem
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_ranges import Objective
from ft_assets.training.recipe_sweep import trial_recipes
from ft_assets.training.stage_data import SideRows, TrainingRows

if TYPE_CHECKING:
    from ft_assets.training.estimate import RunEstimate
    from ft_assets.training.training_device import TrainingDevice

NO_FLOORS: Mapping[Objective, int] = {}


@dataclass(frozen=True)
class Preflight:
    """What was found. `sides` are the rows as tokens, by objective and side; empty where no tokenizer was there.

    `expected` is what the run will take; None where the device or the model's shape is not known.
    """

    problems: tuple[Problem, ...]
    rows: RowCounts
    sides: tuple[SideTokens, ...] = ()
    expected: "RunEstimate | None" = None

    @property
    def refusing(self) -> list[Problem]:
        """The problems that stop the run."""
        return [problem for problem in self.problems if problem.refuses]

    @property
    def warnings(self) -> list[Problem]:
        """Those that are said and stop nothing."""
        return [problem for problem in self.problems if not problem.refuses]

    def refuse(self) -> list[str]:
        """The warnings as sentences.

        Raises:
            BadConfiguration: something stops the run; every reason with its name and what to change.
        """
        if self.refusing:
            raise BadConfiguration(f"Training would fail, so it was not started. {' '.join(told(self.refusing))}")
        return told(self.warnings)

    def facts(self) -> dict[str, Any]:
        """Figures for metadata: rows, tokens, trainable share and longest row of each side, and steps."""
        by_side: dict[str, Any] = {
            f"{each.objective}_{each.side}": {
                "rows": len(each.names),
                "tokens": each.tokens,
                "trainable_share": round(each.trainable_share, 4),
                "longest_row_tokens": max(each.lengths, default=0),
            }
            for each in self.sides
        }
        expected = self.expected.as_metadata() if self.expected else {}
        return {**by_side, "steps": dict(self.rows.steps), **expected}


def preflight(
    recipe: Recipe,
    rows: TrainingRows,
    chat: Chat | None,
    system_prompt: SystemPrompt,
    tokens_dir: Path,
    base_model: Any = None,
    least: Mapping[Objective, int] = NO_FLOORS,
    device: "TrainingDevice | None" = None,
) -> Preflight:
    """Everything that speaks against training `recipe` on `rows`, what refuses first.

    Without `chat` only what the recipe and the numbers of rows tell. `tokens_dir` is where the training itself reads
    its tokens, so they are made once. `least` are the line's floors, rows by objective. `device` is what it will train
    on; without it nothing is said about memory and hours. Nothing is random.
    """
    counts, problems = counted(rows, least), list[Problem]()
    sides: list[SideTokens] = []
    expected, devices = None, device.count if device else 1
    trials = trial_recipes(recipe) if recipe.sweep else []
    if chat is not None:
        try:
            problems += template_problems(chat)
            for side, given, part in _read(recipe, rows):
                problems += lost_text(conversations(given, part.objective), side, chat)
            sides = _all_tokens(recipe, rows, chat, system_prompt, tokens_dir)
        except (BadInput, BadConfiguration) as error:
            problems.append(unrenderable(error))
        for tokens in sides:
            stage = next(part for part in recipe.stages() if part.objective == tokens.objective)
            problems += token_problems(tokens, stage)
        counts = replace(counts, steps=_steps(recipe, sides))
        expected, about_device = _expected(recipe, sides, chat, device)
        problems += about_device
        for trial in trials:  # a knob may cost memory
            problems += _expected(trial, sides, chat, device)[1]
    for part in (part for each in (recipe, *trials) for part in each.stages()):
        problems += divides_by_devices(part, devices)
    problems = [*recipe_problems(recipe, counts, base_model), *problems]
    in_order = sorted(problems, key=lambda problem: not problem.refuses)
    return Preflight(tuple(dict.fromkeys(in_order)), counts, tuple(sides), expected)


def told(problems: Sequence[Problem]) -> list[str]:
    """Each problem as a sentence, its name first."""
    return [f"{problem.code}: {problem.message.rstrip('.')}." for problem in problems]


def counted(rows: TrainingRows, least: Mapping[Objective, int] = NO_FLOORS) -> RowCounts:
    """How many rows of each kind there are."""
    liked = sum(row.liked for row in rows.train.judged)
    return RowCounts(
        examples=len(rows.train.examples),
        pairs=len(rows.train.pairs),
        liked=liked,
        disliked=len(rows.train.judged) - liked,
        validation_examples=len(rows.validation.examples),
        validation_pairs=len(rows.validation.pairs),
        validation_judged=len(rows.validation.judged),
        least=least,
    )


def _all_tokens(
    recipe: Recipe, rows: TrainingRows, chat: Chat, system_prompt: SystemPrompt, tokens_dir: Path
) -> list[SideTokens]:
    return [
        side_tokens(conversations(given, part.objective), side, part.objective, chat, system_prompt, tokens_dir)
        for side, given, part in _read(recipe, rows)
    ]


def _read(recipe: Recipe, rows: TrainingRows) -> list[tuple[str, SideRows, Recipe]]:
    """Each stage with each of the sides that it reads."""
    sides: tuple[tuple[str, SideRows], ...] = (("train", rows.train), ("validation", rows.validation))
    return [(side, given, part) for part in recipe.stages() for side, given in sides]


def _steps(recipe: Recipe, sides: Sequence[SideTokens]) -> dict[Objective, int]:
    """Optimizer steps of the stages whose rows are packed; the others' follow from the numbers of rows."""
    stages = {part.objective: part for part in recipe.stages()}
    return {
        each.objective: stages[each.objective].steps(_trainer_rows(each, stages[each.objective]))
        for each in sides
        if each.side == "train" and each.objective == "sft" and each.names
    }


def _trainer_rows(tokens: SideTokens, stage: Recipe) -> int:
    """Rows as the trainer sees them: packed ones, pairs, or judged answers."""
    if tokens.objective == "sft":
        return packed_count(tokens.lengths, stage.max_length)
    return len(tokens.names) // (2 if tokens.objective == "dpo" else 1)


def _expected(
    recipe: Recipe, sides: Sequence[SideTokens], chat: Chat, device: "TrainingDevice | None"
) -> "tuple[RunEstimate | None, list[Problem]]":
    """What the run will take on the device, and whether it fits."""
    from ft_assets.training.estimate import StageTokens, estimate, estimate_problems
    from ft_assets.training.model_shape import model_shape

    config = chat.directory / "config.json"
    stages = {part.objective: part for part in recipe.stages()}
    train, validation = ({each.objective: each for each in sides if each.side == s} for s in ("train", "validation"))
    if device is None or not config.is_file() or any(not each.names for each in train.values()) or not train:
        return None, []
    tokens = {
        name: StageTokens(_trainer_rows(each, stages[name]), each.tokens, validation[name].tokens, each.learned)
        for name, each in train.items()
    }
    try:
        found = estimate(recipe, model_shape(json.loads(config.read_text(encoding="utf-8"))), tokens, device)
    except UnknownShape as error:
        return None, [Problem("memory_and_hours_unknown", str(error), refuses=False)]
    return found, list(estimate_problems(found))
