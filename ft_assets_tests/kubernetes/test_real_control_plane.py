"""What the pretend cluster says is held against Kubernetes itself, where its programs are: see control_plane."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ft_assets.lake import Lake
from ft_assets_tests.kubernetes.control_plane import ApiError, missing_programs
from ft_assets_tests.kubernetes.dagster_on_cluster import dagster_on
from ft_assets_tests.kubernetes.manifest_files import FOREIGN, OVERLAYS, build
from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster
from ft_assets_tests.kubernetes.pretend_rules import used
from ft_assets_tests.kubernetes.pretend_scheduler import GPU
from ft_assets_tests.kubernetes.real_cluster import RealCluster, real_cluster
from ft_assets_tests.kubernetes.scenarios import Scenarios, scenarios
from ft_assets_tests.kubernetes.test_failures import NEVER_STARTED
from ft_assets_tests.kubernetes.test_run_on_cluster import (
    LINE,
    QUICK,
    STEPS_WITH_A_GPU,
    WING,
    curated_day,
    nodes_of_steps,
    project_environment,
)
from ft_assets_tests.mlflow_servers import free_port, mlflow_server
from ft_assets_tests.postgres_server import fresh_database

pytestmark = [
    pytest.mark.service,
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(missing_programs()), reason=f"no {', '.join(missing_programs())} in KUBEBUILDER_ASSETS or on PATH"
    ),
]


SUPPORTED = 29  # 1.29; older ones are Kubernetes all the same, and good for most of this
NEWER_WORDS = {"red-nodes", "mars"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_api_server_takes_every_manifest(tmp_path: Path, overlay: str) -> None:
    said = []
    with real_cluster(tmp_path / "cluster") as cluster:
        for manifest in build(overlay):
            try:
                if not manifest["apiVersion"].startswith(FOREIGN):
                    cluster.apply(manifest)
            except ApiError as error:
                said.append(f"{manifest['kind']} {manifest['metadata']['name']}: {error}")
    assert not said, "\n".join(said)


def test_dagsters_own_launcher_and_executor_run_every_step_in_a_pod(tmp_path: Path, postgres_url: str) -> None:
    with real_cluster(tmp_path / "cluster") as cluster:
        values = {"SHARED_VALUES": str(cluster.claim("shared"))}
        with dagster_on(cluster, postgres_url, "ft_assets_tests.kubernetes.small_job", values) as dagster:
            run_id = dagster.launch("two_pods")
            assert dagster.wait(run_id) == "SUCCESS", "\n".join(dagster.said(run_id))
        assert nodes_of_steps(cluster) == {"number": "cpu-0", "on_a_gpu": "gpu-0"}
        assert used(cluster.requests)[("batch", "jobs", "create")] == 3, "one Job for the run, one for each step"
        assert not refused(cluster)


@pytest.mark.torch
def test_a_retrain_from_the_ui_trains_in_a_gpu_pod_and_registers_the_model(tmp_path: Path, postgres_url: str) -> None:
    port = free_port()
    with (
        fresh_database() as state_url,
        mlflow_server(port, tmp_path / "mlflow.db", tmp_path / "models") as mlflow_url,
        real_cluster(tmp_path / "cluster") as cluster,
    ):
        environ = project_environment(cluster, state_url, mlflow_url)
        curated_day(Lake(environ["FT_ASSETS_LAKE"]))
        launcher = ("ft_assets.defs.run_pods", "RunPods")
        with dagster_on(cluster, postgres_url, "ft_assets.definitions", environ, launcher_class=launcher) as dagster:
            run_id = dagster.launch("retrain", partition=LINE, config=QUICK, assets=WING, checks=False)
            assert dagster.wait(run_id, 600) == "SUCCESS", "\n".join(dagster.said(run_id))
        nodes = nodes_of_steps(cluster)
        assert {step for step, node in nodes.items() if node == "gpu-0"} == STEPS_WITH_A_GPU
        assert set(nodes) == set(WING)
        assert not refused(cluster)


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenarios]:
    with scenarios(tmp_path_factory.mktemp("failures"), real_cluster) as found:
        for line in NEVER_STARTED:  # they only wait, so they wait together
            found.begin(line, partition=line)
        yield found


@pytest.mark.parametrize("line", NEVER_STARTED)
def test_a_pod_that_never_starts_fails_its_step_with_the_clusters_own_reason(on: Scenarios, line: str) -> None:
    if on.cluster.plane.minor_version < SUPPORTED and line in NEWER_WORDS:
        pytest.skip("the scheduler said it in other words before 1.29")
    assert on.end(line) == "FAILURE"
    failure = on.failure(line)
    assert [words for words in NEVER_STARTED[line] if words not in failure] == [], failure
    assert on.jobs(line) == []


def test_a_pod_whose_place_is_taken_for_one_of_higher_priority_goes_on_when_there_is_room(on: Scenarios) -> None:
    on.begin("preempted")
    lost = on.training("preempted")
    cluster = on.cluster
    cluster.apply({"kind": "PriorityClass", "metadata": {"name": "first"}, "value": 1000})
    limits = {"limits": {GPU: "4", "memory": "64Mi"}}
    for number in range(2):  # all GPUs that there are
        container = {"name": "main", "image": "example.com/serving:1", "command": ["sleep", "600"], "resources": limits}
        toleration = {"key": GPU, "operator": "Exists", "effect": "NoSchedule"}
        spec = {"priorityClassName": "first", "tolerations": [toleration], "containers": [container]}
        cluster.apply({"kind": "Pod", "metadata": {"name": f"serving-{number}"}, "spec": spec})
    cluster.wait_for(lambda: len(on.pods("preempted")) and lost["metadata"]["name"] not in names(cluster), 60)
    for number in range(2):
        cluster.faults.delete({"metadata": {"name": f"serving-{number}", "namespace": "ml"}}, 0)
    on.training("preempted", attempt=2)
    on.go("preempted")
    assert on.end("preempted") == "SUCCESS"
    assert on.attempts("preempted") == ["from 0, halved 0", "from 1, halved 0"]


@pytest.mark.parametrize(("fault", "attempts"), [("evict", "from 1, halved 0"), ("oom_kill", "from 1, halved 1")])
def test_a_pod_that_its_node_ended_is_replaced_once_and_goes_on(on: Scenarios, fault: str, attempts: str) -> None:
    on.begin(fault)
    getattr(on.cluster.faults, fault)(on.training(fault))
    on.training(fault, attempt=2)
    on.go(fault)
    assert on.end(fault) == "SUCCESS"
    assert on.attempts(fault) == ["from 0, halved 0", attempts]


def test_a_pod_that_is_deleted_again_fails_its_step_and_leaves_no_job(on: Scenarios) -> None:
    if on.cluster.plane.minor_version < SUPPORTED:
        pytest.skip("before 1.29 a Job may make a second pod for one that was deleted")
    on.lose_twice("twice")


def test_a_cancelled_run_leaves_no_job_and_no_pod(on: Scenarios) -> None:
    worker = on.begin("cancelled")
    on.training("cancelled")
    run = on.run("cancelled")
    assert run is not None
    on.instance.report_run_canceling(run)
    os.kill(worker, signal.SIGTERM)
    assert on.end("cancelled") == "CANCELED"
    assert on.jobs("cancelled") == []
    on.cluster.wait_for(lambda: on.cluster.pods(**{"dagster/run-id": run.run_id}) == [], 60)


def names(cluster: PretendCluster) -> list[str]:
    """The pods that are there."""
    return [pod["metadata"]["name"] for pod in cluster.pods()]


def refused(cluster: RealCluster) -> list[object]:
    """What the API server did not do for the project's account."""
    return [request for request in cluster.requests if request.status >= 400]
