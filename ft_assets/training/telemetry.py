"""How fast a training goes and when it will end, measured while it runs. Draws nothing random, changes nothing."""

import json
import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.training.recipe_ranges import Method

if TYPE_CHECKING:
    from transformers import TrainerCallback

RECENT_STEPS = 50
# what a trainer logs beside its measurements: clocks of its own, and counts that hold padding
NOT_REPORTED = ("_runtime", "_per_second", "num_tokens", "total_flos", "epoch")


def telemetry(
    on_progress: Callable[[dict[str, Any]], None],
    tokens_per_epoch: int,
    flops_per_token: float | None = None,
    peak_flops: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> "TrainerCallback":
    """A callback that gives each log entry to `on_progress`, with throughput and the time that is left.

    An entry holds `step`, `steps`, what the trainer measured (`loss`, `eval_loss`, `grad_norm`, `learning_rate`,
    `rewards/margins` and so on) and, after a training step:
        tokens: read so far by all devices, earlier attempts included, padding left out
        tokens_per_second: since the last entry, of all devices; evaluating and saving are not training
        mfu: model FLOPs used, 0 to 1: flops_per_token x tokens_per_second over the peak of all devices
        eta_seconds: median of this attempt's last 50 steps x steps left, and the evaluations and saves to come
        peak_memory_bytes: of this process: the allocator's on a GPU, resident memory on a CPU

    Tokens are `tokens_per_epoch`, the rows' real lengths, times the share of the epoch that was done: right on average
    over an epoch, while rows of one window may be longer or shorter. A resumed training first repeats the entries of
    the attempts before it, marked `earlier`, without these figures. `flops_per_token` and the `peak_flops` of one
    device may be None where nobody knows them; then no `mfu` is given. Under torchrun the first process reports.
    """
    from transformers import TrainerCallback

    pace = Pace(clock)

    class Telemetry(TrainerCallback):
        def __init__(self) -> None:
            self.epoch_told = 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.epoch_told = state.epoch or 0.0
            if state.is_world_process_zero:
                for entry in state.log_history:
                    self._tell(entry["step"], state, entry, {"earlier": True})

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            pace.step_begins()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            pace.step_ends()

        def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            pace.looked()

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            pace.looked()

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if not state.is_world_process_zero:
                return
            after_steps = "loss" in kwargs["logs"]
            self._tell(state.global_step, state, kwargs["logs"], self._figures(args, state) if after_steps else {})

        def _figures(self, args: Any, state: Any) -> dict[str, float]:
            seconds = pace.seconds_of_new_steps()
            figures = {"tokens": round(state.epoch * tokens_per_epoch), "peak_memory_bytes": peak_memory_bytes()}
            if seconds:
                done = (state.epoch - self.epoch_told) * tokens_per_epoch
                figures["tokens_per_second"] = done / seconds
                if flops_per_token and peak_flops:
                    figures["mfu"] = flops_per_token * done / seconds / (peak_flops * args.world_size)
                figures["eta_seconds"] = pace.seconds_left(state.max_steps - state.global_step, args.eval_steps)
            self.epoch_told = state.epoch
            return figures

        def _tell(self, step: int, state: Any, entry: dict[str, Any], figures: dict[str, Any]) -> None:
            if measured := measured_in(entry):
                on_progress({"step": step, "steps": state.max_steps, **measured, **figures})

    return Telemetry()


class Pace:
    """Durations of the steps of this attempt, and of what stands between them."""

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._from: float | None = None  # where the step under way began, the loading of its rows included
        self._looked = False
        self._steps: deque[float] = deque(maxlen=RECENT_STEPS)
        self._looks: deque[float] = deque(maxlen=RECENT_STEPS)
        self._new_seconds = 0.0

    def step_begins(self) -> None:
        """The first micro-batch of a step goes in."""
        now = self._clock()
        if self._looked and self._from is not None:
            self._looks.append(now - self._from)
        if self._looked or self._from is None:
            self._from = now
        self._looked = False

    def step_ends(self) -> None:
        """The optimizer has stepped."""
        now = self._clock()
        if self._from is not None:
            self._steps.append(now - self._from)
            self._new_seconds += now - self._from
        self._from = now

    def looked(self) -> None:
        """An evaluation or a save has ended; the time until the next step begins is none of that step's."""
        self._looked = True

    def seconds_of_new_steps(self) -> float:
        """Seconds of training since this was last asked."""
        seconds, self._new_seconds = self._new_seconds, 0.0
        return seconds

    def seconds_left(self, steps: int, eval_steps: float | None) -> float:
        """For so many steps more, and the looks that fall among them."""
        looks = steps // max(1, int(eval_steps or steps or 1))
        pauses = looks * statistics.median(self._looks) if self._looks else 0.0
        return max(0.0, steps * statistics.median(self._steps) + pauses) if self._steps else 0.0


def measured_in(entry: dict[str, Any]) -> dict[str, float]:
    """The finite measurements in an entry of a trainer's log; its closing summary holds none."""
    if "train_runtime" in entry:
        return {}
    return {
        name: float(value)
        for name, value in entry.items()
        if name != "step"
        and isinstance(value, (int, float))
        and math.isfinite(value)
        and not name.endswith(NOT_REPORTED)
    }


def flops_figures(base_dir: Path, method: Method) -> tuple[float | None, float | None]:
    """FLOPs per token and the peak of a device, for `telemetry`; None for a base or a device that nobody has figures
    of."""
    from ft_assets.errors import UnknownShape
    from ft_assets.training.device_peaks import peak_flops_here
    from ft_assets.training.model_shape import flops_per_token

    try:
        flops = flops_per_token(json.loads((base_dir / "config.json").read_text()), method)
    except UnknownShape:
        return None, None
    return flops, peak_flops_here()


def peak_memory_bytes() -> int:
    """The most memory that this process has held: the allocator's on a GPU, resident memory on a CPU."""
    import resource

    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # KiB on Linux
