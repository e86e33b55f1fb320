"""MLflow, where people browse experiments and models. A mirror: no training waits for it or fails by it.

A run is written to the spool first and sent from there, so that neither a dead server nor a killed process loses it.
MLflow is imported on first use.
"""

import base64
import fcntl
import hashlib
import json
import logging
import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

DELIVERY_TAG = "ft_assets.delivery"
METRICS_PER_CALL, PARAMS_PER_CALL, LONGEST_PARAM = 1_000, 100, 6_000  # limits of MLflow's REST API
# A server that is down costs seconds, and no dependency phones home. What the operator has set stays.
QUIET_AND_QUICK = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
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

        Each entry of `metrics_by_step` holds its `step`; other keys are metrics. `artifacts` maps file names to bytes.
        What could not be sent waits in the spool, and `deliver()` or the next call sends it.
        """
        payload = {
            "experiment": experiment,
            "run_name": run_name,
            "at_ms": int(time.time() * 1000),
            "params": {key: str(value)[:LONGEST_PARAM] for key, value in params.items()},
            "metrics": [dict(entry) for entry in metrics_by_step],
            "tags": {key: str(value) for key, value in tags.items()},
            "artifacts": {name: base64.b64encode(content).decode() for name, content in artifacts.items()},
        }
        key = self._spool(payload)
        return self.deliver().get(key)

    def deliver(self) -> dict[str, str]:
        """Sends what waits in the spool, oldest first: the MLflow run id by delivery key. Nothing is sent twice.

        A delivery that was cut off goes on in the run it had begun. What fails stays in the spool, with a warning; the
        rest is not tried when nobody answers, so that a dead server costs its timeout once.
        """
        sent: dict[str, str] = {}
        with self._alone():
            for path in sorted(self.spool_dir.glob("*.json")):
                try:
                    sent[path.stem] = _send(self.client(), path.stem, json.loads(path.read_text()), self.uri)
                except _failures() as error:
                    log.warning("MLflow did not take %s; it waits in the spool: %s", path, error)
                    if _nobody_answers(error):
                        break
                    continue
                path.unlink()
        return sent

    def waiting(self) -> int:
        """How many runs the server has not received yet."""
        return len(list(self.spool_dir.glob("*.json")))

    def experiment_id(self, name: str) -> str:
        """The id of an experiment, which is created when it does not exist. Raises what MLflow raises."""
        return _experiment_id(self.client(), name, self.uri)

    def _spool(self, payload: Mapping[str, Any]) -> str:
        content = json.dumps(payload, sort_keys=True)
        key = f"{payload['at_ms']:015d}-{hashlib.sha256(content.encode()).hexdigest()[:32]}"
        self.spool_dir.mkdir(parents=True, exist_ok=True)
        unfinished = self.spool_dir / f".{key}.tmp"
        unfinished.write_text(content)
        unfinished.replace(self.spool_dir / f"{key}.json")
        return key

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One sender at a time, or two would open a run each for the same delivery. The lock dies with its process."""
        self.spool_dir.mkdir(parents=True, exist_ok=True)
        with (self.spool_dir / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _failures() -> tuple[type[Exception], ...]:
    """What a server that is down, full or upgraded raises, in MLflow's words and in those of the layers below."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, RequestException, SQLAlchemyError, OSError)


def _nobody_answers(error: Exception) -> bool:
    from mlflow.exceptions import RestException

    return not isinstance(error, RestException)


def _send(client: "MlflowClient", key: str, payload: Mapping[str, Any], uri: str) -> str:
    """Every call in here may be repeated: a metric with the same step and time is one metric."""
    experiment = _experiment_id(client, payload["experiment"], uri)
    begun = client.search_runs([experiment], filter_string=f"tags.`{DELIVERY_TAG}` = '{key}'", max_results=1)
    if begun:
        run_id = begun[0].info.run_id
    else:
        tags = {**payload["tags"], DELIVERY_TAG: key}
        run = client.create_run(experiment, start_time=payload["at_ms"], tags=tags, run_name=payload["run_name"])
        run_id = run.info.run_id
    _send_numbers(client, run_id, payload)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in payload["artifacts"].items():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).write_bytes(base64.b64decode(content))
        client.log_artifacts(run_id, folder)
    client.set_terminated(run_id, status="FINISHED")
    return str(run_id)


def _send_numbers(client: "MlflowClient", run_id: str, payload: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    metrics = [
        Metric(name, float(value), payload["at_ms"], int(entry["step"]))
        for entry in payload["metrics"]
        for name, value in entry.items()
        if name != "step" and math.isfinite(value)
    ]
    params = [Param(name, value) for name, value in payload["params"].items()]
    for start in range(0, len(params), PARAMS_PER_CALL):
        client.log_batch(run_id, params=params[start : start + PARAMS_PER_CALL])
    for start in range(0, len(metrics), METRICS_PER_CALL):  # one by one they cost a hundred times as much
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])


def _experiment_id(client: "MlflowClient", name: str, uri: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=_artifact_location(uri)))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process was quicker
            if found is None:
                raise
    return str(found.experiment_id)


def _artifact_location(uri: str) -> str | None:
    """Beside the database for SQLite, whose own default is the working directory; a server decides for itself."""
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlflow-artifacts").as_uri()
