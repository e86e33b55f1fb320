"""What watches a training while it runs, and stops it before it spoils anything.

| verdict | stopped |
|---|---|
| non_finite | before the optimizer step (a validation loss: when it is logged) |
| exploding_gradients, loss_at_zero, loss_diverged | with the fourth bad entry of the log in a row |
| throughput_collapsed | with the tenth step ten times too slow, but not before two minutes of them |
| validation_only_rises | with the `patience`-th evaluation that is worse, or when the training is over |

`verdicts.py` holds the rules, `out_of_memory.py` what is done about memory.
"""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ft_assets.errors import TrainingDiverged, TrainingSlowed
from ft_assets.training.verdicts import Verdict, Verdicts, non_finite

if TYPE_CHECKING:
    from transformers import Trainer, TrainerCallback

log = logging.getLogger(__name__)

OF_PREFERENCES = ("rewards/margins", "rewards/accuracies", "rewards/chosen", "rewards/rejected", "kl")
KEPT_IN_THE_LOG = {
    *("step", "epoch", "loss", "grad_norm", "learning_rate", "mean_token_accuracy", *OF_PREFERENCES),
    *("eval_loss", "eval_mean_token_accuracy", *(f"eval_{name}" for name in OF_PREFERENCES)),
}
Log = dict[str, float]


def kept_log(history: list[dict[str, Any]]) -> list[Log]:
    """The trainer's log without what a clock wrote, so that the same training writes the same bytes.

    One entry per logged step; `loss` and `eval_loss` are nats per answer token under SFT, the objective's own else.
    """
    entries = [{key: value for key, value in entry.items() if key in KEPT_IN_THE_LOG} for entry in history]
    return [entry for entry in entries if "loss" in entry or "eval_loss" in entry]


def watchdog(
    trainer: "Trainer | None" = None,
    verdicts: Verdicts | None = None,
    on_alert: Callable[[str], object] = log.error,
    clock: Callable[[], float] = time.monotonic,
) -> "TrainerCallback":
    """A callback that ends the training with the first verdict.

    Add it to `trainer` after its other callbacks, so that their time is not taken for a step's; without `trainer` a
    loss that is not finite is seen through its gradient only. `verdicts` are new ones, with the recipe's patience.
    After a resume they take in the log of the earlier attempts, so that they speak where an uninterrupted run's would.

    Raises (in training):
        TrainingDiverged, for a machine that became slow TrainingSlowed: with the verdict's name; `on_alert` got its
            message once, from the first process.
    """
    import torch
    from transformers import TrainerCallback

    rules = verdicts or Verdicts()

    class Watchdog(TrainerCallback):
        def __init__(self) -> None:
            self.since = clock()

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            rules.recall(state.log_history)
            self.since = clock()

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            gradients = [p.grad for p in kwargs["model"].parameters() if p.grad is not None]
            norm = torch.nn.utils.get_total_norm(gradients)
            norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # sharded: every process has its part
            loss = norm if trainer is None else trainer._tr_loss  # a sum since the last entry: no number once, never
            if not bool(torch.isfinite(norm).all() & torch.isfinite(loss).all()):
                is_loss = not bool(torch.isfinite(loss).all()) and trainer is not None
                self._stop(non_finite("the loss" if is_loss else "the gradient"), args, state)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            seconds = self._seconds()
            if state.is_world_process_zero:  # each process has its own clock: one of them decides
                self._heed(rules.step(seconds), args, state)

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            for entry in kept_log([kwargs["logs"]]):
                self._heed(rules.entry(entry), args, state)
            self._seconds()

        def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._seconds()

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._seconds()

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self._heed(rules.end(), args, state)

        def _seconds(self) -> float:
            before, self.since = self.since, clock()
            return self.since - before

        def _heed(self, verdict: Verdict | None, args: Any, state: Any) -> None:
            if verdict is not None:
                self._stop(verdict, args, state)

        def _stop(self, verdict: Verdict, args: Any, state: Any) -> None:
            message = (
                f"{verdict.name}: {verdict.found} at step {state.global_step} of {state.max_steps} "
                f"(peak learning rate {args.learning_rate:g}). Training stopped there and no adapter was saved. "
                f"{verdict.remedy}"
            )
            if state.is_world_process_zero:
                on_alert(message)
            raise (TrainingSlowed if verdict.name == "throughput_collapsed" else TrainingDiverged)(message)

    return Watchdog()
