"""When a run evaluates, saves and logs, and how long it warms up, from the number of its optimizer steps."""

import math
from dataclasses import dataclass

EVALUATIONS_PER_PATIENCE = 3
MOST_WARMUP_FRACTION = 0.10


@dataclass(frozen=True)
class Intervals:
    """When a run evaluates, saves and logs, and how long it warms up: all in optimizer steps."""

    eval_steps: int
    save_steps: int
    logging_steps: int
    warmup_steps: int


def evaluations_wanted(epochs: int, patience: int) -> int:
    """Evaluations that let early stopping act and the best checkpoint be a choice (SPEC 13)."""
    return max(epochs, EVALUATIONS_PER_PATIENCE * patience)


def derive_intervals(
    steps: int,
    epochs: int,
    patience: int,
    warmup_ratio: float = 0.05,
    *,
    warmup_steps: int | None = None,
    eval_steps: int | None = None,
    save_steps: int | None = None,
    logging_steps: int | None = None,
) -> Intervals:
    """Intervals that fire on small data too: at least max(epochs, 3 x patience) evaluations, a checkpoint at each.

    `steps` counts optimizer steps of the whole run. A run with fewer steps than evaluations evaluates at every step.
    Rounding never lifts the warm-up above a tenth of the steps, so under ten steps there is none. A number that is
    given is taken as it is (preflight refuses one that never fires); `save_steps` alone makes `eval_steps` a divisor of
    it, because transformers keeps the best checkpoint only where a save falls on an evaluation.

    Raises:
        ValueError: `steps` is below 1; there is nothing to train.
    """
    if steps < 1:
        raise ValueError(f"a run of {steps} optimizer steps trains nothing; give it at least one row and one epoch")
    derived = max(1, steps // evaluations_wanted(epochs, patience))
    if eval_steps is None:
        eval_steps = derived if save_steps is None else _largest_divisor(save_steps, derived)
    if warmup_steps is None:
        most = int(steps * max(warmup_ratio, MOST_WARMUP_FRACTION))  # a larger ratio has its recorded reason
        warmup_steps = min(math.ceil(steps * warmup_ratio), most)
    return Intervals(
        eval_steps=eval_steps,
        save_steps=save_steps or eval_steps,
        logging_steps=logging_steps or max(1, min(eval_steps, steps // 50)),
        warmup_steps=warmup_steps,
    )


def _largest_divisor(number: int, at_most: int) -> int:
    return next(divisor for divisor in range(min(at_most, number), 0, -1) if number % divisor == 0)
