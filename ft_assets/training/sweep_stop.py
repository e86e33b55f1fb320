"""The end of a rung inside a training: stopped after a checkpoint, so that the next rung goes on from there."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import TrainerCallback


def stops(stop_after_steps: int | None, objective: str) -> "list[TrainerCallback]":
    """A callback that stops the stage of that objective after that step, a multiple of its save_steps; none for None.

    Plan and learning rate stay those of the full training. The checkpoint does not say that training had stopped, as
    it would after early stopping: it is complete when the callback speaks. A stage that is resumed at or after that
    step trains nothing.
    """
    if stop_after_steps is None:
        return []
    from transformers import TrainerCallback

    class StopAtRung(TrainerCallback):
        def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._stop_if_reached(args, state, control)

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._stop_if_reached(args, state, control)

        def _stop_if_reached(self, args: Any, state: Any, control: Any) -> None:
            # each stage works in a directory of its objective's name (StageSetup.work_dir)
            if Path(args.output_dir).name == objective and state.global_step >= stop_after_steps:
                control.should_training_stop = True

    return [StopAtRung()]
