"""What one stage of a training is made of: everything that the trainer of an objective needs, and nothing more."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ft_assets.chat import Chat
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.intervals import Intervals
from ft_assets.training.recipe import Recipe

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel, TrainerCallback


@dataclass(frozen=True)
class StageSetup:
    """One stage, ready for the trainer of its objective.

    `recipe` has one objective. `model` has the former stage's adapter on it where there was one, to be trained on;
    otherwise `peft_config` says which adapter the trainer puts on, and is None under method full. `train` and
    `validation` are tokenised as the objective needs it. `work_dir` is the stage's own.
    """

    recipe: Recipe
    intervals: Intervals
    chat: Chat
    model: "PreTrainedModel | PeftModel"
    peft_config: "LoraConfig | None"
    train: "Dataset"
    validation: "Dataset"
    work_dir: Path
    saver: CheckpointSaver
    callbacks: "Sequence[TrainerCallback]"
