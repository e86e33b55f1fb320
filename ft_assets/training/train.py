"""One training from rows to an artifact: its stages one after the other, each resumed from its own checkpoints."""

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.chat import Chat
from ft_assets.compute import use_available_cores
from ft_assets.system_prompts import SystemPrompt
from ft_assets.training.checkpoint_ranks import from_first_process, is_first_process
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.out_of_memory import fitting_length, lowered_by, with_less_memory
from ft_assets.training.provenance import describe
from ft_assets.training.received import write_received
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_ranges import Objective
from ft_assets.training.reference import refuse_another_adapter
from ft_assets.training.result import StageResult, TrainingResult, result_of, write_records, write_weights
from ft_assets.training.stage import StageSetup
from ft_assets.training.stage_data import TrainingRows, data_of, tokens_in
from ft_assets.training.telemetry import flops_figures, telemetry
from ft_assets.training.trainable_model import (
    adapter_config,
    dtype_of_base,
    keep_adapter_in_float32,
    trainable_model,
)
from ft_assets.training.trainer_arguments import refuse_unusable_optimizer
from ft_assets.training.verdicts import Verdicts
from ft_assets.training.watchdog import watchdog

if TYPE_CHECKING:
    from transformers import Trainer, TrainerCallback

log = logging.getLogger(__name__)

# objective -> module and function that makes its sealed trainer from a StageSetup; imported when a stage needs it
TRAINERS: dict[Objective, tuple[str, str]] = {
    "sft": ("ft_assets.training.sft", "sft_trainer"),
    "dpo": ("ft_assets.training.dpo", "dpo_trainer"),
    "kto": ("ft_assets.training.kto", "kto_trainer"),
}


def train(
    base_dir: Path,
    rows: TrainingRows,
    recipe: Recipe,
    work_dir: Path,
    checkpoints: Callable[[str], CheckpointSaver],
    out_dir: Path,
    system_prompt: SystemPrompt,
    on_progress: Callable[[dict[str, Any]], None],
    provenance: Mapping[str, Any],
    callbacks: "Sequence[TrainerCallback]" = (),
    tokens_dir: Path | None = None,
    on_alert: Callable[[str], object] = log.error,
    lowerings: int = 0,
) -> TrainingResult:
    """Trains and writes the last stage's weights to `out_dir`, with training_log, provenance and received.json.

    `work_dir` is this training's own; `tokens_dir` is shared by all (by default it lies in `work_dir`).

    The checkpoint with the lowest validation loss is the one that is kept. `checkpoints` gives the saver of a stage by
    the name of its objective. A run that was cut off goes on from the newest valid checkpoint of each stage, and ends
    with the same bytes; a stage that had ended trains nothing. Random are the adapter's first weights, the order of
    rows and dropout, all from `recipe.seed`: the same machine, thread count and libraries give the same bytes.
    `provenance` names at least `snapshot`, `base_id` and `base_digest`. `on_progress` gets stage, step, steps and the
    losses of each log entry, `on_alert` one message when the training is stopped for good. A stage that runs out of
    memory is tried again in smaller pieces (out_of_memory.py), which its result tells; `lowerings` says how often the
    kernel killed earlier attempts for it, which could not do so themselves. Under torchrun every process
    calls this with the same arguments, and the first one writes.

    Raises:
        BadInput: a side is empty, a row is too long or holds no answer, or `provenance` lacks an id.
        BadConfiguration: the recipe asks for modules or a length that this base model does not have.
        TrainingDiverged: a verdict of watchdog.py; nothing was written to `out_dir`.
        TooLittleMemory: a stage fits in no form; the message names the `max_length` that would.
    """
    threads = use_available_cores()
    from torch import float32

    made_from = describe(provenance, recipe, system_prompt, threads)
    stages = recipe.stages()
    for stage in stages:
        refuse_unusable_optimizer(stage)
    chat = Chat(base_dir)
    tokens_dir = tokens_dir or work_dir / "tokens"
    given = _Given(
        base_dir,
        rows,
        chat,
        work_dir,
        checkpoints,
        system_prompt,
        on_progress,
        callbacks,
        tokens_dir,
        on_alert,
        lowerings,
    )
    former, results = None, []
    for number, stage in enumerate(stages, start=1):
        trainer, result = _within_memory(given, stage, former)
        results.append(result)
        is_last = number == len(stages)
        dtype = dtype_of_base(base_dir) if is_last else float32  # nothing is rounded between two stages
        written_to = out_dir if is_last else given.weights_dir(stage)
        write_weights(trainer, written_to, base_dir, made_from["base_id"], dtype)
        del trainer  # its optimizer and its model, before the next ones are made
        if former is not None:
            _remove(former)
        former = written_to
    training = TrainingResult(tuple(results))
    if is_first_process():
        lowered = {result.objective: result.lowered for result in results if result.lowered}
        write_records(out_dir, training, {**made_from, "lowered": lowered} if lowered else made_from)
        write_received(out_dir, rows)
    return training


@dataclass(frozen=True)
class _Given:
    """What all stages of one training have in common."""

    base_dir: Path
    rows: TrainingRows
    chat: Chat
    work_dir: Path
    checkpoints: Callable[[str], CheckpointSaver]
    system_prompt: SystemPrompt
    on_progress: Callable[[dict[str, Any]], None]
    callbacks: "Sequence[TrainerCallback]"
    tokens_dir: Path
    on_alert: Callable[[str], object]
    lowerings: int

    def weights_dir(self, stage: Recipe) -> Path:
        """Where a stage that is not the last leaves its weights for the next one; gone at the end."""
        return self.work_dir / stage.objective / "weights"


def _within_memory(given: _Given, stage: Recipe, former: Path | None) -> "tuple[Trainer, StageResult]":
    smaller, before = lowered_by(stage, given.lowerings)
    (trainer, result), _, told = with_less_memory(
        smaller,
        lambda recipe: _train_stage(given, recipe, former),
        lambda recipe: fitting_length(given.base_dir, recipe),
        given.on_alert,
    )
    return trainer, replace(result, lowered=[*before, *told])


def _train_stage(given: _Given, stage: Recipe, former: Path | None) -> "tuple[Trainer, StageResult]":
    from transformers import PrinterCallback

    started = time.monotonic()
    setup = _setup(given, stage, former)
    module, name = TRAINERS[stage.objective]
    trainer = getattr(import_module(module), name)(setup)
    if stage.method == "qlora":
        keep_adapter_in_float32(trainer.model, former)
    trainer.remove_callback(PrinterCallback)  # prints every log entry to stdout
    trainer.add_callback(_watchdog(given, stage, trainer))
    if former is not None and stage.objective != "sft":
        refuse_another_adapter(trainer.reference, former)
    outcome = trainer.train()
    seconds = trainer.seconds_before + time.monotonic() - started
    return trainer, result_of(trainer, setup, outcome.training_loss, seconds)


def _setup(given: _Given, stage: Recipe, former: Path | None) -> StageSetup:
    from transformers import EarlyStoppingCallback

    tokenise = data_of(stage.objective, given.tokens_dir)
    train_rows = tokenise(given.rows.train, "train", stage, given.chat, given.system_prompt)
    model = trainable_model(given.base_dir, stage, former)
    return StageSetup(
        recipe=stage,
        intervals=stage.intervals(stage.steps(len(train_rows))),
        chat=given.chat,
        model=model,
        peft_config=adapter_config(stage, model) if former is None else None,
        train=train_rows,
        validation=tokenise(given.rows.validation, "validation", stage, given.chat, given.system_prompt),
        work_dir=given.work_dir / stage.objective,
        saver=given.checkpoints(stage.objective),
        callbacks=[
            telemetry(
                lambda progress: given.on_progress({"stage": stage.objective, **progress}),
                tokens_in(train_rows),
                *flops_figures(given.base_dir, stage.method),
            ),
            EarlyStoppingCallback(stage.early_stopping_patience, stage.early_stopping_threshold),
            *given.callbacks,
        ],
    )


def _watchdog(given: _Given, stage: Recipe, trainer: "Trainer") -> "TrainerCallback":
    verdicts = Verdicts(
        stage.early_stopping_patience,
        stage.early_stopping_threshold,
        stage.max_grad_norm,
        zero_is_reached=stage.loss_type == "hinge",
    )
    return watchdog(trainer, verdicts, given.on_alert)


def _remove(weights: Path) -> None:
    from_first_process(lambda: shutil.rmtree(weights, ignore_errors=True))
