"""An MLflow run that fills while a training runs: the training writes lines, a thread sends them in batches."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from ft_assets.errors import Rerunnable
from ft_assets.tracking import Tracking
from ft_assets.tracking_delivery import Delivery
from ft_assets.tracking_journal import Journal, end_line, header_line
from ft_assets.tracking_machine import MachineMetrics

log = logging.getLogger(__name__)

SEND_SECONDS, LONGEST_PAUSE_SECONDS = 10.0, 300.0
FAREWELL_SECONDS = 15.0  # how long the end of a training waits for MLflow
MOST_IN_MEMORY = 20_000  # entries between two batches; what would not fit is in the journal, sent at the end


class RunStream:
    """One MLflow run, streamed: RUNNING at the start, metrics as they come, FINISHED, FAILED or KILLED at the end.

    `key` names the training: an attempt that goes on after a kill goes on in the same MLflow run, and a metric has one
    value at a step, the first that was written. No method raises for a server or a disk that is down, none waits for
    either but `finish` (15 s at most), and nothing here draws random numbers: a training ends with the same bytes
    whether MLflow listens or not. What the server did not get stays in the spool; `Tracking.deliver` sends it.

    As a context manager it finishes by itself: FAILED after an error that a rerun would meet again, KILLED after one
    that it would not (`Rerunnable`) and after an interruption.
    """

    def __init__(
        self,
        tracking: Tracking,
        key: str,
        experiment: str,
        run_name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        send_seconds: float = SEND_SECONDS,
    ):
        self.tracking = tracking
        self.run_id: str | None = None
        at_ms = _now_ms()
        self._header = header_line(key, experiment, run_name, params, tags, at_ms)
        self._journal = Journal(tracking.journal_path(key, at_ms))
        self._journal.write(self._header)
        self._unsent: deque[dict[str, Any]] = deque(maxlen=MOST_IN_MEMORY)
        self._tags: dict[str, str] = {}
        self._artifacts: dict[str, bytes] = {}
        self._delivery: Delivery | None = None
        self._only_in_the_journal = False
        self._ending, self._tried = threading.Event(), threading.Event()
        self._arrived = False
        self._send_seconds = self._pause_seconds = send_seconds
        self._writing = threading.Lock()
        threading.Thread(target=self._work, name="mlflow-stream", daemon=True).start()

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Metrics of one step. What is no finite number is left out."""
        if not self._ending.is_set():
            self._write(step, metrics)

    def attach(self, tags: Mapping[str, str] | None = None, artifacts: Mapping[str, bytes] | None = None) -> None:
        """What the run gets when it ends: tags, and files by name."""
        self._tags.update(tags or {})
        self._artifacts.update(artifacts or {})

    def finish(self, status: str = "FINISHED", wait_seconds: float = FAREWELL_SECONDS) -> str | None:
        """Ends the run. Its id when the server has all of it; None when some of it waits in the spool."""
        if not self._ending.is_set():
            with self._writing:
                self._journal.write(end_line(status, self._tags, self._artifacts))
            self._ending.set()
        self._tried.wait(wait_seconds)
        if self._arrived:
            return self.run_id
        log.warning("MLflow has not all of this run; the rest waits in %s for the next delivery.", self._journal.path)
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            goes_on = issubclass(kind, Rerunnable) or not issubclass(kind, Exception)
            self.finish("KILLED" if goes_on else "FAILED")

    def _write(self, step: int, metrics: Mapping[str, Any]) -> None:
        numbers = {name: float(value) for name, value in metrics.items() if _is_finite(value)}
        entry = {"step": int(step), "at_ms": _now_ms(), "metrics": numbers}
        if numbers:
            with self._writing:
                self._journal.write(entry)
                self._unsent.append(entry)

    def _work(self) -> None:
        machine = MachineMetrics()
        self._safely(self._send)
        while not self._ending.wait(self._pause_seconds):
            self._write(int(time.time()), machine.sample())  # a step of its own: two attempts share no second
            self._safely(self._send)
        self._write(int(time.time()), machine.sample())
        self._safely(self._send_the_end)
        self._journal.close()
        self._tried.set()
        if self._arrived:
            self._safely(self.tracking.deliver)  # what other trainings left behind

    def _safely(self, act: Callable[[], object]) -> None:
        """Whatever happens to the mirror stays in here; a server that is down is asked less and less often."""
        try:
            act()
            self._pause_seconds = self._send_seconds
        except Exception as error:
            self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
            if self._delivery is not None:
                self._delivery.forget()
            log.warning("MLflow takes no metrics now, they wait in %s: %s", self._journal.path, error)

    def _send(self) -> None:
        with self.tracking.alone():
            if self._delivery is None:
                self.tracking.deliver_abandoned()  # what an attempt before this one left
                self._delivery = Delivery(self.tracking.client(), self.tracking.uri, self._header, is_live=True)
            entries: Sequence[Mapping[str, Any]] = [self._unsent.popleft() for _ in range(len(self._unsent))]
            if self._only_in_the_journal:
                entries = self._journal.record().entries
            self._only_in_the_journal = True
            self.run_id = self._delivery.send(entries)
            self._only_in_the_journal = False

    def _send_the_end(self) -> None:
        """All of the journal once more, compared with what the server has: what got lost on the way arrives too."""
        with self.tracking.alone():
            delivery = Delivery(self.tracking.client(), self.tracking.uri, self._header)
            self.run_id = delivery.end(self._journal.record())
            self._journal.discard()
        self._arrived = True


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _now_ms() -> int:
    return int(time.time() * 1000)
