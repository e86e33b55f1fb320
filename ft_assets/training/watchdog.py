"""What watches a training while it runs: progress for whoever looks, and a stop before a broken number spreads."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ft_assets.errors import NotRerunnable

if TYPE_CHECKING:
    from transformers import TrainerCallback

KEPT_IN_THE_LOG = {
    *("step", "epoch", "loss", "grad_norm", "learning_rate", "mean_token_accuracy"),
    *("eval_loss", "eval_mean_token_accuracy"),
}
Log = dict[str, float]


class TrainingDiverged(NotRerunnable):
    """The loss or the gradient is no longer a number. The same recipe on the same rows does it again."""


def kept_log(history: list[dict[str, Any]]) -> list[Log]:
    """The trainer's log without what a clock wrote, so that the same training writes the same bytes.

    One entry per logged step; `loss` and `eval_loss` are nats per answer token.
    """
    entries = [{key: value for key, value in entry.items() if key in KEPT_IN_THE_LOG} for entry in history]
    return [entry for entry in entries if "loss" in entry or "eval_loss" in entry]


def watchdog(on_progress: Callable[[dict[str, Any]], None]) -> "TrainerCallback":
    """A callback that reports each log entry, and stops on a non-finite number before it reaches the weights."""
    import torch
    from transformers import TrainerCallback

    class Watchdog(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            # a loss that is not finite leaves no finite gradient, so this one look covers both
            gradients = [p.grad for p in kwargs["model"].parameters() if p.grad is not None]
            if not torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
                raise _diverged("the gradient", args, state)

        def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if not math.isfinite(kwargs["metrics"].get("eval_loss", 0.0)):
                raise _diverged("the validation loss", args, state)

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            for entry in kept_log([kwargs["logs"]]):
                on_progress({"step": state.global_step, "steps": state.max_steps, **entry})

    return Watchdog()


def _diverged(what: str, args: Any, state: Any) -> TrainingDiverged:
    return TrainingDiverged(
        f"{what} is not finite at step {state.global_step} of {state.max_steps} "
        f"(peak learning rate {args.learning_rate:g}), so training stopped before it reached the weights and no "
        "adapter was saved. Lower learning_rate or raise warmup_ratio; running the same recipe again does the same."
    )
