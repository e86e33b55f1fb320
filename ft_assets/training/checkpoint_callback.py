"""Any transformers Trainer, made to save and resume through a CheckpointSaver: sealed checkpoints, and only those."""

import json
import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.errors import IncompleteArtifact, Rerunnable
from ft_assets.training.checkpoint import BEST_FOLDER, TRAINER_STATE
from ft_assets.training.checkpoint_ranks import everywhere, from_first_process, is_first_process
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.distribution import keep_sums_in_float32

if TYPE_CHECKING:
    from transformers import TrainerCallback

log = logging.getLogger(__name__)

BY_THE_SAVER = "known to the checkpoint saver"  # in the place of a path that would be another one on another machine


class SaveFailed(Rerunnable):
    """Some process could not write its part of a checkpoint; the next save tries again."""


def sealing(trainer_class: type) -> Any:
    """A subclass of that Trainer (SFTTrainer, DPOTrainer) with one more argument, `saver: CheckpointSaver`.

    `train()` goes on from the newest valid checkpoint by itself, to the same weights, log and mean loss as a run that
    was never cut off. Its arguments need `restore_callback_states_from_checkpoint=True` for early stopping to go on
    too, `save_steps` equal to `eval_steps`, and `save_total_limit=None`: the saver prunes.

    A save that fails is logged and training goes on; if it was the best one so far, its weights stay in memory and go
    into the next checkpoint, under `best/`. Several processes: rank 0 seals, the others write their part and wait.

    `train()` raises, beside what the Trainer raises:
        IncompleteArtifact: the best weights are lost; they are loaded from verified bytes or not at all.
        TrainingInterrupted: SIGTERM came; what fitted was saved. Run again.
    """

    class SealingTrainer(trainer_class):
        def __init__(self, *args: Any, saver: CheckpointSaver, **kwargs: Any):
            keep_sums_in_float32(kwargs.get("args"))
            super().__init__(*args, **kwargs)
            self.saver = saver
            self._staged: Path | None = None
            self._model_error: Exception | None = None
            self._best_in_memory: tuple[int, dict[str, Any]] | None = None
            self._resumed: dict[str, Any] = {}
            self._started = 0.0
            self.add_callback(_signals(self))

        def train(self, **kwargs: Any) -> Any:
            found = from_first_process(self.saver.resume)
            if found is not None:
                log.warning("Training goes on from step %d, %s.", found.step, found.path)
                self.saver.newest, self.saver.best = found, found.best
                self._resumed = dict(found.trainer)
                self.args.eval_on_start = False  # one more look would spend early stopping's patience
            self._started = time.monotonic()
            with self.saver.termination.heard():
                return super().train(resume_from_checkpoint=str(found.path) if found else None, **kwargs)

        @property
        def seconds_before(self) -> float:
            """Seconds that earlier attempts spent on the steps that this one does not repeat."""
            return float(self._resumed.get("seconds", 0.0))

        def create_model_card(self, *args: Any, **kwargs: Any) -> None:
            """TRL writes one into the working directory at every save. Nobody reads it there."""

        def go_on(self) -> None:
            """Restores what transformers forgets, so that log and mean loss are those of one uninterrupted run."""
            if self._resumed:
                self._tr_loss.fill_(self._resumed["loss_since_last_log"])
                self._total_loss_scalar = self._resumed["total_loss"]
                self._globalstep_last_logged = self._resumed["last_logged_step"]
                self._initial_global_step = 0
                self.control.should_training_stop = self._resumed["stopped"]
                if self._resumed["metrics"] is not None:
                    self._metrics["train"].update(self._resumed["metrics"])
                    self._total_train_tokens = self._resumed["tokens"]
                self._load_best_at_the_end()

        def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
            if not self.control.should_training_stop:  # early stopping had ended it before it was cut off
                super()._run_epoch(*args, **kwargs)

        def _get_output_dir(self, trial: Any) -> str:
            return str(self._staged) if self._staged else super()._get_output_dir(trial)

        def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
            try:
                super().save_model(output_dir, _internal_call)
            except _write_errors() as error:
                if self._staged is None:
                    raise
                self._model_error = error  # raised once every process has passed the barrier that follows

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            step, best_step = self.state.global_step, self.state.best_global_step
            if is_first_process():
                self.saver.save(
                    step,
                    best_step,
                    lambda stage: self._write(stage, model, trial),
                    self._to_go_on,
                    processes=self.args.world_size,
                    is_last=self.control.should_training_stop,
                )
            else:
                with suppress(SaveFailed):  # rank 0 reports it
                    self._write(None, model, trial)
            self.saver.best = from_first_process(lambda: self.saver.best)
            if self.saver.has_best(best_step):
                self._best_in_memory = None
            elif step == best_step and not self.is_fsdp_enabled:  # no process has all of a sharded model
                self._best_in_memory = step, self._weights()
            self._load_best_at_the_end()

        def _write(self, stage: Path | None, model: Any, trial: Any) -> None:
            stage = from_first_process(lambda: stage)
            self._staged, self._model_error = stage.parent, None
            try:
                super()._save_checkpoint(model, trial)
            except _write_errors() as error:
                self._model_error = self._model_error or error
            finally:
                self._staged = None
            try:
                if is_first_process() and self._model_error is None:
                    self._finish(stage)
            except _write_errors() as error:
                self._model_error = error
            if not everywhere(self._model_error is None):
                raise SaveFailed(str(self._model_error or "another process could not write its part"))

        def _finish(self, stage: Path) -> None:
            """Takes this machine's paths out of the state, and adds the best weights if no checkpoint has them yet."""
            state = json.loads((stage / TRAINER_STATE).read_text())
            (stage / TRAINER_STATE).write_text(json.dumps({**state, "best_model_checkpoint": None}, indent=2))
            best_step = self.state.best_global_step
            if self._best_in_memory and self._best_in_memory[0] == best_step != self.state.global_step:
                self._save(str(stage / BEST_FOLDER), state_dict=self._best_in_memory[1])

        def _to_go_on(self) -> dict[str, Any]:
            return {
                "loss_since_last_log": self._tr_loss.item(),
                "total_loss": float(self._total_loss_scalar),
                "last_logged_step": self._globalstep_last_logged,
                "stopped": self.control.should_training_stop,
                "seconds": self.seconds_before + time.monotonic() - self._started,
                "metrics": dict(self._metrics["train"]) if hasattr(self, "_metrics") else None,  # TRL's own averages
                "tokens": getattr(self, "_total_train_tokens", 0),
            }

        def _weights(self) -> dict[str, Any]:
            """A copy in main memory of what training changes: the adapter, or the whole model without one."""
            state = self.accelerator.unwrap_model(self.model).state_dict()
            trained = {name for name, parameter in self.model.named_parameters() if parameter.requires_grad}
            only = trained if hasattr(self.model, "peft_config") else set(state)
            return {name: value.detach().to("cpu", copy=True) for name, value in state.items() if name in only}

        def _load_best_at_the_end(self) -> None:
            """transformers calls `_load_best_model` only where the state names a place, whatever is there."""
            if self.state.best_global_step:
                self.state.best_model_checkpoint = BY_THE_SAVER

        def _load_best_model(self) -> None:
            step, best = self.state.best_global_step, self.saver.best
            if self._best_in_memory:
                log.warning("The best weights, of step %s, could not be saved; they are taken from memory.", step)
                self.model.load_state_dict(self._best_in_memory[1], strict=False)
                return
            if best is None or best.step != step:
                raise IncompleteArtifact(
                    f"The best weights, of step {step}, were never saved, and others must not be taken for them. "
                    "Let save_steps equal eval_steps, and run again."
                )
            self.state.best_model_checkpoint = str(self.saver.store.best_path(best))
            super()._load_best_model()

    return SealingTrainer


def _signals(trainer: Any) -> "TrainerCallback":
    """Saves after a SIGTERM if that fits into the grace period, and ends the training either way."""
    from transformers import TrainerCallback

    class Signals(TrainerCallback):
        def __init__(self) -> None:
            self.leaving = False
            self.evaluation_seconds = 0.0
            self.step_ended = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            trainer.go_on()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.step_ended = time.monotonic()
            termination = trainer.saver.termination
            if everywhere(not termination.asked):
                return
            # an evaluation that is due is not left out: the resumed run would miss it and choose another best
            seconds = trainer.saver.last_save_seconds + self.evaluation_seconds * control.should_evaluate
            if not everywhere(termination.fits(seconds)):
                termination.leave(f"saving step {state.global_step} would not have fitted, an earlier step was saved")
            self.leaving = control.should_save = True

        def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.evaluation_seconds = time.monotonic() - self.step_ended if self.step_ended else 0.0

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if self.leaving:
                newest = trainer.saver.newest
                trainer.saver.termination.leave(f"step {newest.step} is saved" if newest else "nothing could be saved")

    return Signals()


def _write_errors() -> tuple[type[Exception], ...]:
    """What a full or broken disk raises: torch turns it into RuntimeError, safetensors into its own."""
    from safetensors import SafetensorError

    return OSError, RuntimeError, SafetensorError
