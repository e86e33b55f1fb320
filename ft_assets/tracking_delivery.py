"""One journal's way into MLflow. Every call may be repeated: no step of a metric is sent that the server has."""

import base64
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from ft_assets.tracking_journal import Record

DELIVERY_TAG = "ft_assets.delivery"
METRICS_PER_CALL, PARAMS_PER_CALL = 1_000, 100  # limits of MLflow's REST API
DIED = "KILLED"
# A live run says when it was last seen. One that was not for a day lost its machine, and its journal with it.
SEEN_TAG, SEEN_EVERY_SECONDS, ABANDONED_SECONDS = "ft_assets.seen_ms", 300, 86_400


class Delivery:
    """The MLflow run of one key, found or created on the first call. All methods raise what MLflow raises."""

    def __init__(self, client: "MlflowClient", uri: str, header: Mapping[str, Any], is_live: bool = False):
        self.client = client
        self.uri = uri
        self.header = header
        self.is_live = is_live  # a run that had ended counts as running again while its training goes on
        self.run_id: str | None = None
        self._known: dict[str, set[int]] = defaultdict(set)  # steps by metric that the server has
        self._ask_history = False
        self._seen_ms = 0

    def send(self, entries: Sequence[Mapping[str, Any]]) -> str:
        """Sends the metrics that the server does not have yet, many in one call. Returns the id of the run."""
        from mlflow.entities import Metric

        run_id = self._running()
        new: dict[tuple[str, int], Any] = {}
        for entry in entries:
            for name, value in entry["metrics"].items():
                at = (name, int(entry["step"]))
                if math.isfinite(value) and at not in new and not self._has(*at):
                    new[at] = Metric(name, float(value), int(entry["at_ms"]), at[1])
        metrics = list(new.values())
        for start in range(0, len(metrics), METRICS_PER_CALL):  # one by one they cost a hundred times as much
            self.client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])
        for name, step in new:
            self._known[name].add(step)
        if self.is_live:
            self._be_seen(run_id)
        return run_id

    def end(self, record: "Record") -> str:
        """Sends all of a journal that nobody writes to any more, and ends the run as the journal says.

        One that does not say so, because its process died, ends a run that still counts as running, and no other.
        """
        run_id = self.send(record.entries)
        if record.end is None:
            if self._status() == "RUNNING":
                last_ms = max((int(entry["at_ms"]) for entry in record.entries), default=self.header["at_ms"])
                self.client.set_terminated(run_id, status=DIED, end_time=last_ms)
            return run_id
        for name, value in record.end["tags"].items():
            self.client.set_tag(run_id, name, value)
        self._send_artifacts(run_id, record.end["artifacts"])
        self.client.set_terminated(run_id, status=record.end["status"], end_time=record.end["at_ms"])
        return run_id

    def forget(self) -> None:
        """After a call that failed nobody knows what arrived: the next one asks the server."""
        self.run_id = None
        self._known.clear()

    def _running(self) -> str:
        if self.run_id is not None:
            return self.run_id
        header = self.header
        experiment = experiment_id(self.client, header["experiment"], self.uri)
        mine = f"tags.`{DELIVERY_TAG}` = '{header['key']}'"
        begun = self.client.search_runs([experiment], filter_string=mine, max_results=1)
        tags = {**header["tags"], DELIVERY_TAG: header["key"]}
        if begun:
            run = begun[0]
            for name, value in tags.items():
                if run.data.tags.get(name) != value:
                    self.client.set_tag(run.info.run_id, name, value)
            if self.is_live and run.info.status != "RUNNING":
                self.client.update_run(run.info.run_id, status="RUNNING")
        else:
            run = self.client.create_run(experiment, start_time=header["at_ms"], tags=tags, run_name=header["run_name"])
        if self.is_live:
            self._end_abandoned(experiment, run.info.run_id)
        self._ask_history = bool(begun)
        self._send_params(run)
        self.run_id = str(run.info.run_id)
        return self.run_id

    def _be_seen(self, run_id: str) -> None:
        now_ms = int(time.time() * 1000)
        if now_ms - self._seen_ms > SEEN_EVERY_SECONDS * 1000:
            self.client.set_tag(run_id, SEEN_TAG, now_ms)
            self._seen_ms = now_ms

    def _end_abandoned(self, experiment: str, mine: str) -> None:
        """Runs of this model line that died on a machine which never came back must not count as running for ever."""
        now_ms = int(time.time() * 1000)
        for run in self.client.search_runs([experiment], filter_string="attributes.status = 'RUNNING'"):
            seen_ms = int(run.data.tags.get(SEEN_TAG, now_ms))
            if run.info.run_id != mine and now_ms - seen_ms > ABANDONED_SECONDS * 1000:
                self.client.set_terminated(run.info.run_id, status=DIED, end_time=seen_ms)

    def _send_params(self, run: Any) -> None:
        from mlflow.entities import Param

        # a value that stands cannot be changed, and an attempt to do so would be refused again and again
        new = [Param(name, value) for name, value in self.header["params"].items() if name not in run.data.params]
        for start in range(0, len(new), PARAMS_PER_CALL):
            self.client.log_batch(run.info.run_id, params=new[start : start + PARAMS_PER_CALL])

    def _has(self, name: str, step: int) -> bool:
        if self._ask_history and name not in self._known:
            self._known[name].update(point.step for point in self.client.get_metric_history(self.run_id, name))
        return step in self._known[name]

    def _status(self) -> str:
        return str(self.client.get_run(self.run_id).info.status)

    def _send_artifacts(self, run_id: str, artifacts: Mapping[str, str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in artifacts.items():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).write_bytes(base64.b64decode(content))
            if artifacts:
                self.client.log_artifacts(run_id, folder)


def failures() -> tuple[type[Exception], ...]:
    """What a server that is down, full or upgraded raises, in MLflow's words and in those of the layers below."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, RequestException, SQLAlchemyError, OSError)


def nobody_answers(error: Exception) -> bool:
    """Whether the failure is the server's and not this one run's, so that the next run need not be tried."""
    from mlflow.exceptions import RestException

    return not isinstance(error, RestException)


def experiment_id(client: "MlflowClient", name: str, uri: str) -> str:
    """The id of an experiment, which is created when it does not exist."""
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
