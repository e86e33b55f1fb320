"""What a training says while it runs, as a line for a person and as metrics for MLflow. No torch here."""

import math
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

SHOWN = (
    "loss",
    "eval_loss",
    "rewards/margins",
    "rewards/accuracies",
    "eval_rewards/margins",
    "eval_rewards/accuracies",
)
KEPT_FOR_THE_END = ("tokens_per_second", "mfu", "peak_memory_bytes")
NO_METRIC = ("stage", "step", "steps", "earlier", "epoch", "eta_seconds")


class ProgressReports:
    """Takes what `telemetry` gives: a line for the step's log, and the metrics of a step for MLflow.

    Steps of an attempt before this one get no line; their metrics go to `log_metrics`, which knows what it has. Of
    several stages each metric is named `sft/loss`, `dpo/loss`, as in `TrainingResult.log_history`.
    """

    def __init__(
        self,
        log_line: Callable[[str], object],
        log_metrics: Callable[[int, Mapping[str, float]], object],
        several_stages: bool = False,
    ):
        self._log_line = log_line
        self._log_metrics = log_metrics
        self._several_stages = several_stages
        self._measured: dict[str, list[float]] = {
            name: [] for name in ("tokens_per_second", "mfu", "peak_memory_bytes")
        }

    def __call__(self, progress: Mapping[str, Any]) -> None:
        """One entry of the log."""
        for name, values in self._measured.items():
            if name in progress:
                values.append(progress[name])
        self._log_metrics(progress["step"], metrics_of(progress, self._several_stages))
        if not progress.get("earlier"):
            self._log_line(progress_line(progress))

    def figures(self) -> dict[str, float]:
        """Of this attempt: median tokens_per_second and mfu, largest peak_memory_bytes; none that was not seen."""
        take = {"peak_memory_bytes": max}
        return {name: take.get(name, median)(values) for name, values in self._measured.items() if values}


def progress_line(progress: Mapping[str, Any]) -> str:
    """One readable line, such as `sft step 40 of 120: loss 1.23, 5,210 tokens/s, MFU 31 %, 4 min left`."""
    parts = [f"{name} {progress[name]:.3g}" for name in SHOWN if name in progress]
    parts += [f"{name} {progress[name]:.3g}" for name in ("learning_rate", "grad_norm") if name in progress]
    if "tokens_per_second" in progress:
        parts.append(f"{progress['tokens_per_second']:,.0f} tokens/s")
    if "mfu" in progress:
        parts.append(f"MFU {progress['mfu']:.0%}".replace("%", " %"))
    if progress.get("eta_seconds"):
        parts.append(f"{in_words(progress['eta_seconds'])} left")
    stage = f"{progress['stage']} " if progress.get("stage") else ""
    return f"{stage}step {progress['step']} of {progress['steps']}: {', '.join(parts)}"


def metrics_of(progress: Mapping[str, Any], several_stages: bool = False) -> dict[str, float]:
    """The metrics in one report, by the names that MLflow gets."""
    prefix = f"{progress['stage']}/" if several_stages else ""
    return {prefix + name: value for name, value in progress.items() if name not in NO_METRIC}


def in_words(seconds: float) -> str:
    """40 s, 4 min, 2 h 5 min, 3 d 2 h: rounded up, so that nothing is ready later than was said by rounding."""
    if seconds < 60:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def spent(
    seconds: float, tokens: int, devices: int, dollars_per_hour: float | None, is_gpu: bool = False
) -> dict[str, Any]:
    """What a training took, for the asset's metadata and for MLflow. `cost_dollars` only where somebody has set
    the price of an hour of one device.

    `seconds` are of the steps that made these weights, over all attempts: the steps that a killed attempt did after
    its last checkpoint are in nobody's record.
    """
    device_seconds = seconds * devices
    return {
        "tokens": tokens,
        "device_seconds": round(device_seconds, 1),
        "gpu_seconds": round(device_seconds, 1) if is_gpu else 0.0,
        **({} if dollars_per_hour is None else {"cost_dollars": round(device_seconds / 3600 * dollars_per_hour, 4)}),
    }
