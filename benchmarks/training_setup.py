"""A stage of this project for a benchmark: the real trainer, with one evaluation and one save, both at the end."""

from pathlib import Path
from typing import Any

from ft_assets.chat import Chat
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets.training.dpo import dpo_trainer
from ft_assets.training.intervals import Intervals
from ft_assets.training.recipe import Recipe
from ft_assets.training.sft import sft_trainer
from ft_assets.training.stage import StageSetup
from ft_assets.training.stage_data import SideRows, data_of, tokens_in
from ft_assets.training.telemetry import flops_figures, telemetry
from ft_assets.training.trainable_model import adapter_config, trainable_model
from ft_assets.training.watchdog import watchdog

TRAINERS = {"sft": sft_trainer, "dpo": dpo_trainer}


def trainer_of(
    base: Path, recipe: Recipe, rows: SideRows, validation: SideRows, folder: Path, log_each_step: bool = False
) -> Any:
    """The sealed trainer that a run would make of these rows; only evaluating and saving wait for the last step."""
    chat, tokenise = Chat(base), data_of(recipe.objective)
    train = tokenise(rows, "train", recipe, chat, None)
    steps = recipe.steps(len(train))
    derived = recipe.intervals(steps)
    model = trainable_model(base, recipe)
    setup = StageSetup(
        recipe=recipe,
        intervals=Intervals(steps, steps, 1 if log_each_step else derived.logging_steps, derived.warmup_steps),
        chat=chat,
        model=model,
        peft_config=adapter_config(recipe, model),
        train=train,
        validation=tokenise(validation, "validation", recipe, chat, None),
        work_dir=folder,
        saver=CheckpointSaver(LocalCheckpoints(folder, "7" * 64)),
        callbacks=[telemetry(lambda progress: None, tokens_in(train), *flops_figures(base, recipe.method))],
    )
    trainer = TRAINERS[recipe.objective](setup)
    trainer.add_callback(watchdog(trainer))
    return trainer
