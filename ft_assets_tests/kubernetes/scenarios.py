"""Runs of failing_steps on a pretend cluster, each with a name, and what became of them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from ft_assets.settings import PROJECT_ROOT
from ft_assets_tests.kubernetes.pretend_cluster import GPU_LABELS, GPU_TAINT, PretendCluster, this_machine
from ft_assets_tests.kubernetes.pretend_objects import Object
from ft_assets_tests.kubernetes.pretend_scheduler import Node

OVER = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
MODULE = "ft_assets_tests.kubernetes.failing_steps"

PATIENCE_SECONDS = 120  # of wall time, on a machine that does other things too
SMALL = {"cpu": "100m", "memory": "256Mi"}
LINES = {  # specialization -> its compute
    "no-gpu": {"gpus": 0, **SMALL},
    "one-gpu": {"gpus": 1, **SMALL},
    "four-gpus": {"gpus": 4, **SMALL},
    "eight-gpus": {"gpus": 8, **SMALL},
    "red-nodes": {"gpus": 0, **SMALL, "node_selector": {"team": "red"}},
    "mars": {"gpus": 1, **SMALL, "node_selector": {"zone": "mars"}},
    "greedy": {"gpus": 0, "cpu": "100m", "memory": "20Gi"},
    "two-gpus": {"gpus": 2, "cpu": "100m", "memory": "6Gi"},
    "no-image": {"gpus": 0, **SMALL, "image": "registry.example.com/nowhere:1"},
}


def nodes() -> list[Node]:
    """One for small pods, two with GPUs, and one that others have tainted."""
    gpus = [Node(name, dict(GPU_LABELS), [dict(GPU_TAINT)], gpus=4) for name in ("gpu-0", "gpu-1")]
    red = Node("red-0", {"team": "red"}, [{"key": "team", "value": "red", "effect": "NoSchedule"}])
    return [Node("cpu-0"), *gpus, red]


@dataclass
class Scenarios:
    """A cluster, a Dagster instance, and a process that makes run workers."""

    cluster: PretendCluster
    instance: dg.DagsterInstance
    shared: Path
    workers: "subprocess.Popen[str]"

    def begin(self, scenario: str, asset: str = "trained", partition: str = "one-gpu") -> int:
        """Starts a run; the process id of its worker."""
        return int(self._asked({"scenario": scenario, "asset": asset, "partition": partition}))

    def resume(self, scenario: str) -> int:
        """Starts another worker for a run that has lost its own; its process id."""
        return int(self._asked({"resume": scenario}))

    def reap(self, grace_seconds: int) -> list[str]:
        """What the reaper deletes now."""
        return list(self._asked(grace_seconds))

    def _asked(self, wanted: object) -> Any:
        assert self.workers.stdin and self.workers.stdout
        self.workers.stdin.write(json.dumps(wanted) + "\n")
        self.workers.stdin.flush()
        return json.loads(self.workers.stdout.readline())

    def run(self, scenario: str) -> dg.DagsterRun | None:
        """The run as it is now."""
        return next(iter(self.instance.get_runs(dg.RunsFilter(tags={"scenario": scenario}))), None)

    def end(self, scenario: str, seconds: float = PATIENCE_SECONDS) -> str:
        """The status at the end of the run."""
        self.cluster.wait_for(lambda: (run := self.run(scenario)) is not None and run.status in OVER, seconds)
        run = self.run(scenario)
        assert run is not None
        return run.status.value

    def said(self, scenario: str, kind: dg.DagsterEventType) -> list[str]:
        """The messages of the run's events of a kind, with their errors."""
        run = self.run(scenario)
        assert run is not None
        events = [entry.dagster_event for entry in self.instance.all_logs(run.run_id, of_type=kind)]
        errors = [(event, getattr(event.event_specific_data, "error", None)) for event in events if event]
        return [f"{event.message} {error.message if error else ''}" for event, error in errors]

    def told(self, scenario: str) -> list[str]:
        """What the run says about itself and about steps that are tried again."""
        kinds = (dg.DagsterEventType.ENGINE_EVENT, dg.DagsterEventType.STEP_UP_FOR_RETRY)
        return [said for kind in kinds for said in self.said(scenario, kind)]

    def output(self, scenario: str) -> str:
        """What the step wrote, as the UI shows it, whatever became of its pods."""
        run = self.run(scenario)
        assert run is not None
        (captured, *_) = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED)
        assert captured.dagster_event is not None
        key = [run.run_id, "compute_logs", captured.dagster_event.logs_captured_data.file_key]
        data = self.instance.compute_log_manager.get_log_data(key)
        return (data.stdout or b"").decode()

    def failure(self, scenario: str) -> str:
        """Why the step failed; there is one such event."""
        (said,) = self.said(scenario, dg.DagsterEventType.STEP_FAILURE)
        return said

    def pods(self, scenario: str, asset: str = "trained") -> list[Object]:
        """All pods that the run's step had, also those that are gone."""
        run = self.run(scenario)
        return [
            pod
            for pod in self.cluster.started_pods(asset)
            if run and pod["metadata"]["labels"]["dagster/run-id"] == run.run_id
        ]

    def jobs(self, scenario: str) -> list[Object]:
        """The Jobs that the run has left."""
        run = self.run(scenario)
        return self.cluster.jobs(**{"dagster/run-id": run.run_id}) if run else []

    def training(self, scenario: str, attempt: int = 1) -> Object:
        """The pod of that attempt, once it trains."""

        def looked() -> Object | None:
            pods = self.pods(scenario)
            wrote = self.attempts(scenario)
            return pods[-1] if len(pods) == attempt and len(wrote) == attempt else None

        return self.cluster.wait_for(looked, PATIENCE_SECONDS)

    def attempts(self, scenario: str) -> list[str]:
        """What each attempt of the training said at its start."""
        path = self.shared / scenario / "attempts"
        return path.read_text().splitlines() if path.exists() else []

    def lose_twice(self, scenario: str) -> None:
        """Deletes the pod of the training, and the one that takes its place; asserts that its step fails then."""
        self.begin(scenario)
        for attempt in (1, 2):
            self.cluster.faults.delete(self.training(scenario, attempt), grace_seconds=0)
        assert self.end(scenario) == "FAILURE"
        assert "It was replaced once already" in self.failure(scenario)
        assert len(self.pods(scenario)) == 2, "a Job must not make a second pod by itself"
        assert self.jobs(scenario) == []

    def go(self, scenario: str) -> None:
        """Lets the training go on to its end."""
        (self.shared / scenario / "go").touch()


@contextlib.contextmanager
def scenarios(
    folder: Path, make: "Callable[..., AbstractContextManager[PretendCluster]]" = PretendCluster, module: str = MODULE
) -> Iterator[Scenarios]:
    """A cluster with what the module's steps need, ready to begin runs."""
    with make(folder / "cluster", nodes=nodes()) as cluster:
        quota = {"name": "team", "namespace": "ml"}
        cluster.apply({"kind": "ResourceQuota", "metadata": quota, "spec": {"hard": {"requests.memory": "10Gi"}}})
        cluster.faults.missing_images.add("registry.example.com/nowhere:1")
        shared, home = cluster.claim("shared"), folder / "home"
        home.mkdir()
        _write_lines(shared / "lines")
        environ = environment(shared)
        (home / "dagster.yaml").write_text(yaml.safe_dump(_instance(shared, environ)))
        own = {"DAGSTER_HOME": str(home), "HOME": str(home), "KUBECONFIG": str(cluster.kubeconfig())}
        worker = subprocess.Popen(
            [sys.executable, "-m", "ft_assets_tests.kubernetes.run_workers", module],
            env={**this_machine(), **environ, **own, "DAGSTER_STEP_DELEGATING_EXECUTOR_SLEEP_SECONDS": "0.2"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "workers.log").open("w"),
            text=True,
            cwd=home,
            start_new_session=True,
        )
        try:
            assert worker.stdout and worker.stdout.readline() == "ready\n", (folder / "workers.log").read_text()[-3000:]
            with dg.DagsterInstance.from_config(str(home)) as instance:
                yield Scenarios(cluster, instance, shared, worker)
        finally:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def environment(shared: Path) -> dict[str, str]:
    """What pods of runs read that keep nothing but files in the shared folder."""
    return {
        "FT_ASSETS_EXECUTION": "k8s",
        "FT_ASSETS_STATE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
        "FT_ASSETS_LAKE": str(shared / "lake"),
        "FT_ASSETS_SPECIALIZATIONS": str(shared / "lines"),
        "FAILING_STEPS": str(shared),
    }


def _instance(shared: Path, environ: dict[str, str]) -> dict[str, object]:
    place = {"name": "shared", "hostPath": {"path": str(shared)}}
    config = {
        "load_incluster_config": False,
        "job_namespace": "ml",
        "job_image": "registry.example.com/ft-assets:test",
        "service_account_name": "default",
        "instance_config_map": "dagster-instance",
        "dagster_home": str(shared),
        "env_vars": [f"{name}={value}" for name, value in environ.items()],
        "volumes": [place],
        "volume_mounts": [{"name": "shared", "mountPath": str(shared)}],
    }
    logs = {"module": "dagster._core.storage.local_compute_log_manager", "class": "LocalComputeLogManager"}
    return {
        "storage": {"sqlite": {"base_dir": str(shared / "storage")}},
        "run_launcher": {"module": "ft_assets.defs.run_pods", "class": "RunPods", "config": config},
        "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
        "compute_logs": {**logs, "config": {"base_dir": str(shared / "compute_logs")}},
        "concurrency": {"pools": {"default_limit": 8}},
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }


def _write_lines(folder: Path) -> None:
    line = yaml.safe_load((PROJECT_ROOT / "ft_assets/specializations/qa-engineer.yaml").read_text())
    folder.mkdir()
    for name, compute in LINES.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**line, "name": name, "compute": compute}))
