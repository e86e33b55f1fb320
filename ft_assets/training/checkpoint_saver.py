"""When a checkpoint is saved, what a failed save means, and what SIGTERM does. No torch here."""

import logging
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ft_assets.errors import FtAssetsError, LeaseLost, Rerunnable
from ft_assets.training.checkpoint import Best, Checkpoint
from ft_assets.training.checkpoint_store import Checkpoints

log = logging.getLogger(__name__)

SPARE_FRACTION = 0.25  # a save may take that much longer than the last one did


class TrainingInterrupted(Rerunnable):
    """SIGTERM came. Run again: training goes on from the newest valid checkpoint, to the same weights."""


class Termination:
    """Remembers a SIGTERM instead of dying of it, so that the step under way can end and be saved."""

    def __init__(self, grace_seconds: float, clock: Callable[[], float] = time.monotonic):
        self.grace_seconds = grace_seconds
        self._clock = clock
        self._asked_at: float | None = None
        self._before: Any = None

    @property
    def asked(self) -> bool:
        """Whether SIGTERM came."""
        return self._asked_at is not None

    def fits(self, seconds: float) -> bool:
        """Whether something that takes so long ends before the grace period does."""
        waited = 0.0 if self._asked_at is None else self._clock() - self._asked_at
        return waited + seconds * (1 + SPARE_FRACTION) <= self.grace_seconds

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listens for SIGTERM; outside of the main thread, where Python forbids that, nothing changes."""
        try:
            self._before = signal.signal(signal.SIGTERM, self._ask)
        except ValueError:
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, self._before)

    def leave(self, what_was_saved: str) -> None:
        """Passes the signal on to whoever listened before (Dagster, for one), and ends the training in any case."""
        if callable(self._before):
            self._before(signal.SIGTERM, None)
        raise TrainingInterrupted(f"SIGTERM came; {what_was_saved}. Run again: training goes on from there.")

    def _ask(self, number: int, frame: Any) -> None:
        if self._asked_at is None:
            self._asked_at = self._clock()


class CheckpointSaver:
    """Saves checkpoints into a store, and counts the saves that failed. Training goes on without them.

    `may_commit` is asked before a checkpoint is shown, and raises LeaseLost when another trainer took over: that ends
    the training. After `alert_after` failures in a row `on_alert` gets one message. Nothing is deleted to make room.
    """

    def __init__(
        self,
        store: Checkpoints,
        keep_last: int = 2,
        grace_seconds: float = 25.0,
        alert_after: int = 3,
        on_alert: Callable[[str], object] = log.error,
        clock: Callable[[], float] = time.monotonic,
        may_commit: Callable[[], object] = bool,
    ):
        self.store = store
        self.keep_last = keep_last
        self.alert_after = alert_after
        self.termination = Termination(grace_seconds, clock)
        self.last_save_seconds = 0.0
        self.failures_in_a_row = 0
        self.newest: Checkpoint | None = None
        self.best: Best | None = None
        self._on_alert = on_alert
        self._clock = clock
        self._may_commit = may_commit

    def resume(self) -> Checkpoint | None:
        """The newest valid checkpoint, with its best weights verified; None when there is nothing to go on from.

        Raises:
            IncompleteArtifact: the best weights that it rests on are lost.
        """
        self.store.sweep()
        self.newest = self.store.newest_valid()
        self.best = self.newest.best if self.newest else None
        if self.best is not None:
            self.store.best_path(self.best)
        return self.newest

    def save(
        self,
        step: int,
        best_step: int | None,
        write: Callable[[Path], object],
        trainer: Callable[[], Mapping[str, Any]] = dict,
        processes: int = 1,
        is_last: bool = False,
    ) -> Checkpoint | None:
        """Lets `write` fill a staged directory and seals it; None when that failed, which is logged and not raised.

        `best_step` is the step with the best validation loss so far; `trainer()` is asked after `write`. With `is_last`
        no save follows, so the store waits for nothing before it copies.

        Raises:
            LeaseLost: another trainer took over; nothing is shown.
        """
        started = self._clock()
        stage = self.store.stage(step)
        sealed = None
        try:
            write(stage)
            best = self.best if self.has_best(best_step) else None
            self._may_commit()
            sealed = self.store.seal(stage, step, best_step, best, trainer(), processes)
            self.newest, self.best = sealed, sealed.best or self.best
            if self.store.retain(sealed, self.keep_last, urgent=is_last or self.termination.asked):
                self.failures_in_a_row = 0
        except LeaseLost:
            raise
        except (OSError, FtAssetsError) as error:
            self._failed(step, sealed, error)
        finally:
            shutil.rmtree(stage.parent, ignore_errors=True)
        self.last_save_seconds = self._clock() - started
        return sealed

    def has_best(self, best_step: int | None) -> bool:
        """Whether the weights of that step, the best so far, are in the store."""
        return self.best is not None and self.best.step == best_step

    def _failed(self, step: int, sealed: Checkpoint | None, error: Exception) -> None:
        self.failures_in_a_row += 1
        done = "is on this node's disk only" if sealed else "was not saved"
        message = (
            f"Checkpoint {step} {done}: {error}. Earlier ones are untouched, training goes on, and the next save tries "
            f"again ({self.failures_in_a_row} in a row failed). Look at the disk's free space and at the bucket."
        )
        log.warning(message)
        if self.failures_in_a_row == self.alert_after:
            self._on_alert(message)
