"""When a training is stopped for good: one rule per verdict, on numbers alone. No torch here.

The loss rules speak after `IN_A_ROW` entries of the log, about a twelfth of a run (intervals.py logs fifty times). One
entry never stops a training: a spike while the rate warms up, or a batch of odd rows, passes by itself and was clipped.
Bad entries are left out of the running medians that they are measured against.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

VerdictName = Literal[
    "non_finite",
    "exploding_gradients",
    "loss_at_zero",
    "loss_diverged",
    "throughput_collapsed",
    "validation_only_rises",
    "out_of_memory",
]

IN_A_ROW = 4  # three bad batches in a row happen by chance in small noisy runs; with four it is below 1 in 100 runs
WINDOW = 20  # entries of a running median: two fifths of a run, so that it follows the loss down
LEAST_ENTRIES = 5  # fewer have no steady median; until then the validation loss before the first step stands for it

# Losses of healthy runs stay below twice their median, but for noise; 1 nat more, so that a set learned by heart (a
# median near 0) and DPO late in its run (0.01) may meet a batch that they do not know.
DIVERGED_TIMES, DIVERGED_PLUS = 2.0, 1.0
# Odd batches reach ten times the usual norm, and are clipped. A norm below five times max_grad_norm is never called
# exploding: where a set is learned by heart the usual norm is near 0, and a ratio to it says nothing.
EXPLODED_TIMES, EXPLODED_OF_MAX_GRAD_NORM = 50.0, 5.0
# A loss of 1e-6 nats is a probability of 0.999999 for every token. Learned by heart, a set comes there by and by; cut
# off (no labels, a factor of 0) it falls by thousands from one entry to the next.
ZERO_LOSS, CLIFF_TIMES = 1e-6, 1000.0
NO_VALIDATION_ZERO = 0.01  # nats; a validation loss below it says that the task is learned
# A step ten times slower is a machine that swaps, throttles or waits for a dying disk. Minutes of it cost little, and
# less than a stop: so ten steps, and two minutes. A step at the usual pace takes back two slow ones.
SLOW_TIMES, SLOW_STEPS, SLOW_SECONDS = 10.0, 10, 120.0
FIRST_STEPS = 3  # not measured: kernels are chosen, memory is taken for the first time


@dataclass(frozen=True)
class Verdict:
    """Why a training is stopped: `found` says what with its numbers, `remedy` what to change."""

    name: VerdictName
    found: str
    remedy: str


class Verdicts:
    """Judges one stage, from the entries of its log in their order and the seconds of its steps.

    `patience` and `min_delta` are early stopping's. A loss that rises after it had fallen is no verdict: early stopping
    ends such a run and keeps its best checkpoint. `zero_is_reached` is for a loss that is 0 when all is well (hinge).
    """

    def __init__(
        self, patience: int = 3, min_delta: float = 0.01, max_grad_norm: float = 1.0, zero_is_reached: bool = False
    ):
        self._patience, self._min_delta, self._zero_is_reached = patience, min_delta, zero_is_reached
        self._losses = _Level()
        self._norms = _Level(floor=max_grad_norm * EXPLODED_OF_MAX_GRAD_NORM / EXPLODED_TIMES)
        self._evaluations: list[float] = []
        self._above_zero: float | None = None  # the last loss before it went to zero
        self._zeros = 0
        self._pace = _Pace()

    def recall(self, log_history: Iterable[Mapping[str, Any]]) -> None:
        """Takes in the log of an attempt before this one, which was not stopped there."""
        for entry in log_history:
            self.entry(entry)

    def entry(self, entry: Mapping[str, Any]) -> Verdict | None:
        """The verdict after one entry of the trainer's log: of training (`loss`) or of validation (`eval_loss`)."""
        if "eval_loss" in entry:
            return self._evaluated(float(entry["eval_loss"]))
        if "loss" not in entry:
            return None
        loss, norm = float(entry["loss"]), float(entry.get("grad_norm", 0.0))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return non_finite("the loss" if not math.isfinite(loss) else "the gradient's norm")
        found = (self._exploded(norm), self._at_zero(loss), self._diverged(loss))  # each has to see every entry
        return next((verdict for verdict in found if verdict), None)

    def end(self) -> Verdict | None:
        """The verdict on a training that is over: its best weights are worse than none.

        So it is where a run has fewer evaluations than `patience`, or came back from far above, but not far enough.
        """
        later = self._evaluations[1:]
        if not later or min(later) <= self._evaluations[0] + self._min_delta:
            return None
        return self._only_hurts(f"{min(later):.4g} at its best")

    def step(self, seconds: float) -> Verdict | None:
        """The verdict after one optimizer step, the loading of its rows included; looks and saves are no part of it.

        An attempt is measured against its own pace: another machine may be slower.
        """
        usual = self._pace.collapsed(seconds)
        if usual is None:
            return None
        return Verdict(
            "throughput_collapsed",
            f"steps take more than {SLOW_TIMES:.0f} times the usual {usual:.3g} s, at least {SLOW_STEPS} of them over "
            f"{SLOW_SECONDS:.0f} s and {seconds:.3g} s the last one",
            "Look at the machine: a GPU that throttles, memory that swaps, a disk or a network that the rows come "
            "from, another process. Then run again: it goes on from the newest checkpoint.",
        )

    def _exploded(self, norm: float) -> Verdict | None:
        usual = self._norms.left(norm, EXPLODED_TIMES)
        if usual is None:
            return None
        return Verdict(
            "exploding_gradients",
            f"the gradient's norm was above {EXPLODED_TIMES:.0f} times its usual {usual:.3g} in {IN_A_ROW} entries of "
            f"the log, {norm:.3g} in the last one",
            "Lower learning_rate, raise warmup_ratio, or look for rows of another kind in the snapshot.",
        )

    def _diverged(self, loss: float) -> Verdict | None:
        usual = self._losses.left(loss, DIVERGED_TIMES, DIVERGED_PLUS)
        if usual is None:
            return None
        return Verdict(
            "loss_diverged",
            f"the loss was above {DIVERGED_TIMES:g} times its running median {usual:.3g} plus {DIVERGED_PLUS:g} in "
            f"{IN_A_ROW} entries of the log, {loss:.3g} in the last one",
            "Lower learning_rate or raise warmup_ratio; if that changes nothing, look for rows that do not belong to "
            "the task.",
        )

    def _at_zero(self, loss: float) -> Verdict | None:
        if loss > ZERO_LOSS:
            self._above_zero, self._zeros = loss, 0
            return None
        self._zeros += 1
        fell_off = self._above_zero is None or self._above_zero > CLIFF_TIMES * ZERO_LOSS
        is_learned = bool(self._evaluations) and self._evaluations[-1] <= NO_VALIDATION_ZERO
        if self._zeros < IN_A_ROW or not fell_off or is_learned or self._zero_is_reached:
            return None
        before = "from the start" if self._above_zero is None else f"and {self._above_zero:.3g} just before"
        validation = f", while the validation loss is {self._evaluations[-1]:.3g}" if self._evaluations else ""
        return Verdict(
            "loss_at_zero",
            f"the loss was {loss:.3g} in {IN_A_ROW} entries of the log {before}{validation}: nothing is learned any "
            "more",
            "Look for rows whose answer is masked or also stands in the question, and at what was changed in the loss.",
        )

    def _evaluated(self, loss: float) -> Verdict | None:
        if not math.isfinite(loss):
            return non_finite("the validation loss")
        self._evaluations.append(loss)
        first, later = self._evaluations[0], self._evaluations[1:]
        self._losses.start(first)
        worse = [later_loss > first + self._min_delta for later_loss in later]
        improved = any(later_loss < first - self._min_delta for later_loss in later)
        window = later[-self._patience :]
        is_falling = loss < window[0] if window else False  # a bump of the warm-up, on its way back
        if improved or is_falling or len(later) < self._patience or not all(worse[-self._patience :]):
            return None
        return self._only_hurts(f"worse in the last {self._patience} evaluations, {loss:.4g} in the last one")

    def _only_hurts(self, how: str) -> Verdict:
        return Verdict(
            "validation_only_rises",
            f"the validation loss was {self._evaluations[0]:.4g} before the first step, was never better by "
            f"{self._min_delta:g}, and {how}: this training only hurts",
            "Lower learning_rate, and compare rows of the train and the validation side: they ask for different "
            "things.",
        )


def non_finite(what: str) -> Verdict:
    """The verdict on a number that is none."""
    return Verdict(
        "non_finite",
        f"{what} is not finite",
        "Lower learning_rate or raise warmup_ratio; running the same recipe again does the same.",
    )


class _Level:
    """The running median of a number that stays near it when all is well, and how often in a row it did not."""

    def __init__(self, floor: float = 0.0):
        self._floor = floor
        self._usual: deque[float] = deque(maxlen=WINDOW)
        self._start: float | None = None
        self._strikes = 0

    def start(self, value: float) -> None:
        """What is usual before there are entries; only the first one counts."""
        self._start = value if self._start is None else self._start

    def left(self, value: float, times: float, plus: float = 0.0) -> float | None:
        """The usual level, once `IN_A_ROW` values have lain above `times` it `plus` something; else None."""
        usual = self._level()
        if usual is None or value <= times * usual + plus:
            self._usual.append(value)
            self._strikes = 0
            return None
        self._strikes += 1
        return usual if self._strikes >= IN_A_ROW else None

    def _level(self) -> float | None:
        if len(self._usual) >= LEAST_ENTRIES:
            return max(median(self._usual), self._floor)
        return None if self._start is None else max(self._start, *self._usual, self._floor)


class _Pace:
    """The usual seconds of a step, and since when steps have been far slower."""

    def __init__(self) -> None:
        self._seen = 0
        self._usual: deque[float] = deque(maxlen=10 * WINDOW)
        self._slow: list[float] = []

    def collapsed(self, seconds: float) -> float | None:
        """The usual seconds, once steps have been too slow for too long; else None."""
        self._seen += 1
        if self._seen <= FIRST_STEPS:
            return None
        usual = median(self._usual) if len(self._usual) >= LEAST_ENTRIES else None
        if usual is None or seconds <= SLOW_TIMES * usual:
            self._usual.append(seconds)
            self._slow = self._slow[:-2]  # one fast step, such as an epoch's last, which loads nothing, proves little
            return None
        self._slow.append(seconds)
        return usual if len(self._slow) >= SLOW_STEPS and sum(self._slow) >= SLOW_SECONDS else None
