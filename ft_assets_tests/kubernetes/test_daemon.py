"""Dagster's daemon on the pretend cluster: the queue, the pool of GPUs, lost run workers, and what is tidied up."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from ft_assets.lake import Lake
from ft_assets.settings import PROJECT_ROOT
from ft_assets_tests.kubernetes.dagster_on_cluster import DagsterOnCluster, daemon_of, dagster_on
from ft_assets_tests.kubernetes.helm_chart import dagster_yaml, values
from ft_assets_tests.kubernetes.pretend_cluster import GPU_LABELS, GPU_TAINT, PretendCluster
from ft_assets_tests.kubernetes.pretend_objects import Object
from ft_assets_tests.kubernetes.pretend_scheduler import Node
from ft_assets_tests.kubernetes.scenarios import environment
from ft_assets_tests.kubernetes.test_run_on_cluster import LINE, curated_day, project_environment
from ft_assets_tests.postgres_server import fresh_database

pytestmark = [pytest.mark.service, pytest.mark.slow, pytest.mark.long]
LINES = ("one", "two", "three")
PATIENCE_SECONDS = 300  # of wall time; the daemon looks every few seconds
START_SECONDS = 45


@dataclass
class Queue:
    """A web server with its daemon, and runs by their scenario."""

    dagster: DagsterOnCluster
    shared: Path
    runs: dict[str, str] = field(default_factory=dict)

    @property
    def cluster(self) -> PretendCluster:
        return self.dagster.cluster

    def launch(self, scenario: str, line: str) -> None:
        """Asks the web server for a training of a line."""
        config = {"execution": {"config": {"poll_seconds": 1}}}
        self.runs[scenario] = self.dagster.launch(
            "__ASSET_JOB",
            partition=line,
            assets=["trained"],
            checks=False,
            config=config,
            tags={"scenario": scenario},
        )

    def status(self, scenario: str) -> str:
        return self.dagster.status(self.runs[scenario])

    def end(self, scenario: str) -> str:
        return self.dagster.wait(self.runs[scenario], PATIENCE_SECONDS)

    def attempts(self, scenario: str) -> list[str]:
        path = self.shared / scenario / "attempts"
        return path.read_text().splitlines() if path.exists() else []

    def training(self, scenario: str) -> None:
        """Returns once its step trains."""
        self.cluster.wait_for(lambda: self.attempts(scenario), PATIENCE_SECONDS)

    def say(self, scenario: str, word: str) -> None:
        """ "go" or "crash"."""
        (self.shared / scenario).mkdir(exist_ok=True)
        (self.shared / scenario / word).touch()

    def pods(self, scenario: str, component: str) -> list[Object]:
        """All pods that the run had of a kind, also those that are gone."""
        wanted = {"dagster/run-id": self.runs[scenario], "app.kubernetes.io/component": component}
        return [pod for pod in self.cluster.started_pods() if wanted.items() <= pod["metadata"]["labels"].items()]

    def worker(self, scenario: str, number: int) -> Object:
        """The run's worker of that number, once there is one."""
        self.cluster.wait_for(lambda: len(self.pods(scenario, "run_worker")) >= number, PATIENCE_SECONDS)
        return self.pods(scenario, "run_worker")[number - 1]

    def jobs(self, scenario: str) -> list[Object]:
        return self.cluster.jobs(**{"dagster/run-id": self.runs[scenario]})

    def said(self, scenario: str) -> str:
        return "\n".join(self.dagster.said(self.runs[scenario]))


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    gpus = Node("gpu-0", dict(GPU_LABELS), [dict(GPU_TAINT)], gpus=2)  # what holds back a second training is the pool
    nodes = [Node("cpu-0"), Node("cpu-1"), gpus]
    folder = tmp_path_factory.mktemp("daemon")
    with fresh_database() as url, PretendCluster(folder / "cluster", nodes=nodes, rbac=True) as cluster:
        shared = cluster.claim("shared")
        write_lines(shared / "lines")
        environ = environment(shared)
        with (
            dagster_on(
                cluster,
                url,
                "ft_assets_tests.kubernetes.queued_steps",
                environ,
                launcher=patience_of_the_values(),
                launcher_class=("ft_assets.defs.run_pods", "RunPods"),
                instance=as_deployed(),
            ) as dagster,
            daemon_of(dagster),
        ):
            yield Queue(dagster, shared)
        assert not [request for request in cluster.requests if request.status == 403], "the role is enough"


def as_deployed() -> dict[str, Any]:
    """What the Helm values make of queue, pools, monitoring and retries, with a daemon that looks more often."""
    written = dagster_yaml(values("values.yaml"))
    often = {"poll_interval_seconds": 1, "start_timeout_seconds": START_SECONDS, "max_resume_run_attempts": 1}
    kept = ("run_coordinator", "concurrency", "run_retries", "sensors", "schedules", "retention")
    found = {key: written[key] for key in kept}
    found["run_coordinator"]["config"]["dequeue_interval_seconds"] = 1
    return {**found, "run_monitoring": {**written["run_monitoring"], **often}}


def patience_of_the_values() -> dict[str, Any]:
    """How long the values let a node be silent, shortened."""
    config = values("values.yaml")["runLauncher"]["config"]["customRunLauncher"]["config"]
    tolerations = config["run_k8s_config"]["pod_spec_config"]["tolerations"]
    spec = {"tolerations": tolerations, "termination_grace_period_seconds": 5}
    return {"run_k8s_config": {"pod_spec_config": spec, "job_spec_config": {"backoff_limit": 0}}}


def write_lines(folder: Path) -> None:
    line = yaml.safe_load((PROJECT_ROOT / "ft_assets/specializations/qa-engineer.yaml").read_text())
    folder.mkdir()
    for name in LINES:
        compute = {"gpus": 1, "cpu": "100m", "memory": "1Gi"}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**line, "name": name, "compute": compute}))


def test_a_second_training_waits_for_the_gpu_and_has_it_when_the_first_one_crashes(queue: Queue) -> None:
    queue.launch("first", "one")
    queue.training("first")
    queue.launch("second", "two")
    queue.launch("same", "one")
    with pytest.raises(TimeoutError):
        queue.cluster.wait_for(lambda: queue.attempts("second"), 10)
    assert queue.status("same") == "QUEUED", "one run at a time for a line"
    queue.say("first", "crash")
    assert queue.end("first") == "FAILURE"
    assert "ended with exit code 3" in queue.said("first")
    steps = {"app.kubernetes.io/component": "step_worker", "dagster/run-id": queue.runs["first"]}
    assert queue.cluster.jobs(**steps) == []
    queue.training("second")
    queue.dagster.terminate(queue.runs["same"])


def test_a_training_that_is_cancelled_gives_its_gpu_to_the_one_that_waits(queue: Queue) -> None:
    queue.launch("third", "three")
    queue.dagster.terminate(queue.runs["second"])
    assert queue.end("second") == "CANCELED"
    queue.training("third")
    queue.say("third", "go")
    assert queue.end("third") == "SUCCESS"
    assert [pod["spec"]["nodeName"] for pod in queue.pods("third", "step_worker")] == ["gpu-0"]
    queue.cluster.wait_for(lambda: queue.jobs("second") == [], 60)


def test_a_run_worker_that_was_drained_is_replaced_and_finds_its_step(queue: Queue) -> None:
    queue.launch("drained", "one")
    queue.training("drained")
    queue.cluster.faults.delete(queue.worker("drained", 1))  # SIGTERM, as a drain of its node sends it
    queue.worker("drained", 2)
    queue.say("drained", "go")
    assert queue.end("drained") == "SUCCESS", queue.said("drained")
    assert len(queue.pods("drained", "step_worker")) == 1, "the training went on meanwhile"
    assert len(queue.attempts("drained")) == 1


def test_a_run_worker_on_a_node_that_does_not_answer_is_replaced_on_another_one(queue: Queue) -> None:
    queue.launch("silent", "two")
    queue.training("silent")
    worker = queue.worker("silent", 1)
    queue.cluster.faults.lose_node(worker["spec"]["nodeName"])
    queue.worker("silent", 2)
    queue.say("silent", "go")
    assert queue.end("silent") == "SUCCESS", queue.said("silent")
    nodes = {pod["spec"]["nodeName"] for pod in queue.pods("silent", "run_worker")}
    assert nodes == {"cpu-0", "cpu-1"}
    queue.cluster.faults.return_node(worker["spec"]["nodeName"])


def test_an_api_that_answers_with_errors_makes_no_second_run_worker(queue: Queue) -> None:
    queue.launch("errors", "three")
    queue.training("errors")
    queue.cluster.faults.answer(500, times=12, resource="jobs/status")
    queue.cluster.wait_for(lambda: sum(one.status == 500 for one in queue.cluster.requests) >= 12, PATIENCE_SECONDS)
    queue.say("errors", "go")
    assert queue.end("errors") == "SUCCESS", queue.said("errors")
    assert len(queue.pods("errors", "run_worker")) == 1


def test_runs_that_never_start_or_lose_every_worker_fail_and_the_reaper_deletes_their_jobs(queue: Queue) -> None:
    queue.launch("lost", "one")
    queue.training("lost")
    for number in (1, 2):
        queue.cluster.faults.delete(queue.worker("lost", number), grace_seconds=0)
    assert queue.end("lost") == "FAILURE"
    assert "surpassed the configured maximum" in queue.said("lost")
    assert queue.jobs("lost"), "nobody was left to delete them"
    queue.cluster.faults.hold("0/3 nodes are available: 3 Insufficient cpu.")
    queue.launch("late", "two")
    assert queue.end("late") == "FAILURE"
    assert "longer than 45 seconds to start" in queue.said("late")
    assert queue.jobs("late")
    queue.cluster.wait_for(lambda: not queue.jobs("lost") + queue.jobs("late"), 240)
    queue.cluster.faults.release()
    pools = queue.dagster.instance.event_log_storage.get_concurrency_info("gpu")
    assert pools.active_run_ids == set()
    assert {run.status for run in queue.dagster.instance.get_runs()} <= {
        dg.DagsterRunStatus.SUCCESS,
        dg.DagsterRunStatus.FAILURE,
        dg.DagsterRunStatus.CANCELED,
    }


def test_a_line_with_enough_new_examples_is_retrained_in_pods_that_nobody_asked_for(
    tmp_path: Path, postgres_url: str
) -> None:
    with fresh_database() as state_url, PretendCluster(tmp_path / "cluster", rbac=True) as cluster:
        environ = project_environment(cluster, state_url, "http://127.0.0.1:1")
        curated_day(Lake(environ["FT_ASSETS_LAKE"]))
        launcher = ("ft_assets.defs.run_pods", "RunPods")
        with (
            dagster_on(
                cluster,
                postgres_url,
                "ft_assets.definitions",
                environ,
                launcher_class=launcher,
                instance=as_deployed(),
            ) as dagster,
            daemon_of(dagster),
        ):
            retrains = dg.RunsFilter(job_name="retrain")
            (run,) = cluster.wait_for(lambda: dagster.instance.get_runs(retrains), PATIENCE_SECONDS)
            assert (run.tags["dagster/sensor_name"], run.tags["dagster/partition"]) == ("new_high_score_samples", LINE)
            (pod,) = cluster.wait_for(lambda: cluster.started_pods("train_eval_split"), PATIENCE_SECONDS)
            assert pod["metadata"]["labels"]["ft-assets/specialization"] == LINE
            dagster.terminate(run.run_id)
            assert dagster.wait(run.run_id) == "CANCELED"
            steps = {"app.kubernetes.io/component": "step_worker", "dagster/run-id": run.run_id}
            cluster.wait_for(lambda: not cluster.jobs(**steps), 60)
