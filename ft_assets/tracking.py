"""MLflow, where people browse experiments and models. A mirror: no training waits for it or fails by it.

What a run will hold is written to a spool first and sent from there, so that neither a dead server nor a killed
process loses it. MLflow is imported on first use.
"""

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.tracking_delivery import Delivery, experiment_id, failures, nobody_answers
from ft_assets.tracking_journal import AbandonedJournal, Journal, end_line, header_line, taken

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

# A server that is down costs seconds, no dependency phones home, and no retry draws from the random numbers that a
# checkpoint keeps (the jitter). What the operator has set stays.
QUIET_AND_QUICK = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class Tracking:
    """One MLflow server or database, and the spool of what it has not received yet."""

    def __init__(self, uri: str, spool_dir: Path):
        self.uri = uri
        self.spool_dir = spool_dir

    def client(self) -> "MlflowClient":
        """A client of this server, for tracking and for the model registry. Connects on its first call."""
        for name, value in QUIET_AND_QUICK.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def log_training(
        self,
        experiment: str,
        run_name: str,
        params: Mapping[str, Any],
        metrics_by_step: Sequence[Mapping[str, float]],
        tags: Mapping[str, str],
        artifacts: Mapping[str, bytes],
    ) -> str | None:
        """The id of the MLflow run that now holds all of this; None when the server could not be reached.

        For what is known at once; `tracking_stream.RunStream` tells MLflow while a training runs. Each entry of
        `metrics_by_step` holds its `step`; other keys are metrics. `artifacts` maps file names to bytes. What could not
        be sent waits in the spool, and `deliver()` or the next call sends it.
        """
        at_ms = int(time.time() * 1000)
        entries = [
            {"step": entry["step"], "at_ms": at_ms, "metrics": {k: v for k, v in entry.items() if k != "step"}}
            for entry in metrics_by_step
        ]
        ending = end_line("FINISHED", tags, artifacts)
        key = hashlib.sha256(repr((experiment, run_name, sorted(tags.items()), entries)).encode()).hexdigest()
        journal = Journal(self.journal_path(key, at_ms))
        for line in (header_line(key, experiment, run_name, params, tags, at_ms), *entries, ending):
            journal.write(line)
        journal.close()
        return self.deliver().get(key)

    def deliver(self) -> dict[str, str]:
        """Sends what waits in the spool, oldest first: the MLflow run id by key. Nothing is sent twice.

        A run whose process still lives is left to it; one whose process died is ended as KILLED, until its training
        goes on. What fails stays in the spool, with a warning; the rest is not tried when nobody answers, so that a
        dead server costs its timeout once.
        """
        with self.alone():
            return self.deliver_abandoned()

    def deliver_abandoned(self) -> dict[str, str]:
        """`deliver` for a caller that holds `alone()`."""
        sent: dict[str, str] = {}
        for path in sorted(self.spool_dir.glob("*.jsonl")):
            journal = taken(path)
            if journal is None:
                continue
            try:
                sent.update(self._deliver(journal))
            except failures() as error:
                journal.close()
                log.warning("MLflow did not take %s; it waits in the spool: %s", path, error)
                if nobody_answers(error):
                    break
        return sent

    def waiting(self) -> int:
        """How many runs' attempts the server has not received whole yet, those under way included."""
        return len(list(self.spool_dir.glob("*.jsonl")))

    def experiment_id(self, name: str) -> str:
        """The id of an experiment, which is created when it does not exist. Raises what MLflow raises."""
        return experiment_id(self.client(), name, self.uri)

    def journal_path(self, key: str, at_ms: int) -> Path:
        """Where one attempt at the run of that key writes: names sort by time."""
        return self.spool_dir / f"{at_ms:015d}-{os.getpid()}-{key}.jsonl"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One sender at a time, or two would open a run each for the same key. The lock dies with its process."""
        self.spool_dir.mkdir(parents=True, exist_ok=True)
        with (self.spool_dir / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _deliver(self, journal: AbandonedJournal) -> dict[str, str]:
        record = journal.record()
        if record.header is None:
            log.warning("%s does not say which run it is, so it is removed.", journal.path)
            journal.discard()
            return {}
        run_id = Delivery(self.client(), self.uri, record.header).end(record)
        journal.discard()
        return {record.header["key"]: run_id}
