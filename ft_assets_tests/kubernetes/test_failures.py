"""What clusters do to pods, done to real runs on the pretend cluster, and what becomes of them."""

import os
import signal
import time
from collections.abc import Iterator

import dagster as dg
import kubernetes_validate
import pytest

from ft_assets.cluster.pod_failures import SCARCE_SECONDS
from ft_assets_tests.kubernetes.scenarios import PATIENCE_SECONDS, Scenarios, scenarios

pytestmark = [pytest.mark.service, pytest.mark.slow]
NEVER_STARTED = {  # specialization -> what its failure says
    "eight-gpus": ["4 nodes are available", "2 Insufficient nvidia.com/gpu", "lower compute.gpus"],
    "red-nodes": ["untolerated taint {team: red}", "a taint that the step does not tolerate"],
    "mars": ["3 node(s) didn't match Pod's node affinity/selector", "see compute.node_selector"],
    "greedy": ["exceeded quota: team", "raise the ResourceQuota"],
    "no-image": ["registry.example.com/nowhere:1", "ImagePull"],
}
NAMED = {"evict": "ended by its node, for want of a resource", "preempt": "preempted by a pod of higher priority"}


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenarios]:
    with scenarios(tmp_path_factory.mktemp("failures")) as found:
        for line in NEVER_STARTED:  # they only wait, so they wait together
            found.begin(line, partition=line)
        yield found


@pytest.mark.parametrize("line", NEVER_STARTED)
def test_a_pod_that_never_starts_fails_its_step_with_the_clusters_own_reason(on: Scenarios, line: str) -> None:
    assert on.end(line) == "FAILURE"
    failure = on.failure(line)
    assert [words for words in NEVER_STARTED[line] if words not in failure] == [], failure
    assert on.jobs(line) == []
    assert on.attempts(line) == [] and len(on.pods(line)) <= 1


def test_a_pod_waits_while_other_runs_hold_the_gpus_that_would_do(on: Scenarios) -> None:
    holding = [f"holds-{number}" for number in range(2)]
    for scenario in holding:
        on.begin(scenario, partition="four-gpus")
        on.training(scenario)
    on.begin("waits", partition="four-gpus")
    on.cluster.wait_for(lambda: on.run("waits"), PATIENCE_SECONDS)
    on.cluster.wait_for(lambda: any("waits for a GPU" in said for said in on.told("waits")), PATIENCE_SECONDS)
    time.sleep(SCARCE_SECONDS + 5)  # what nobody frees fails by then
    run = on.run("waits")
    assert run and not run.is_finished
    for scenario in holding:
        on.go(scenario)
        assert on.end(scenario) == "SUCCESS"
    on.training("waits")
    on.go("waits")
    assert on.end("waits") == "SUCCESS"
    (said,) = [said for said in on.told("waits") if "waits for a GPU" in said]
    assert on.pods("holds-0")[0]["metadata"]["name"] in said


@pytest.mark.parametrize("fault", ["evict", "preempt"])
def test_a_pod_that_is_taken_away_is_replaced_once_and_goes_on(on: Scenarios, fault: str) -> None:
    on.begin(fault)
    lost = on.training(fault)
    getattr(on.cluster.faults, fault)(lost)
    on.training(fault, attempt=2)
    on.go(fault)
    assert on.end(fault) == "SUCCESS"
    assert on.attempts(fault) == ["from 0, halved 0", "from 1, halved 0"]
    assert [pod["spec"]["nodeName"] for pod in on.pods(fault)] == ["gpu-0", "gpu-0"]
    assert any(NAMED[fault] in said for said in on.told(fault))
    assert lost["metadata"]["name"] not in [pod["metadata"]["name"] for pod in on.cluster.pods()]


def test_a_pod_that_is_taken_away_again_fails_its_step_and_its_output_stays_readable(on: Scenarios) -> None:
    on.lose_twice("twice")
    assert "step 0 of one-gpu" in on.output("twice")


def test_a_pod_that_was_oom_killed_is_said_to_be_and_goes_on_with_smaller_micro_batches(on: Scenarios) -> None:
    on.begin("memory")
    on.cluster.faults.oom_kill(on.training("memory"))
    on.training("memory", attempt=2)
    on.go("memory")
    assert on.end("memory") == "SUCCESS"
    assert on.attempts("memory") == ["from 0, halved 0", "from 1, halved 1"]
    (retry,) = on.said("memory", dg.DagsterEventType.STEP_UP_FOR_RETRY)
    assert "was OOM-killed: it took more memory than its limit of 256Mi" in retry
    assert "half the micro-batch and doubled accumulation" in retry
    assert "step 0 of one-gpu" in retry, "the last lines of the pod"


def test_a_step_on_a_lost_node_goes_on_elsewhere_and_its_old_pod_has_no_say_when_it_comes_back(on: Scenarios) -> None:
    on.begin("node")
    lost = on.training("node")["spec"]["nodeName"]
    on.cluster.faults.lose_node(lost, processes="run_on")
    on.training("node", attempt=2)
    on.cluster.faults.return_node(lost)
    on.cluster.wait_for(lambda: any("A former attempt" in said for said in on.told("node")), 120)
    on.go("node")
    assert on.end("node") == "SUCCESS"
    assert [pod["spec"]["nodeName"] for pod in on.pods("node")] == [lost, "gpu-1"]


def test_a_run_worker_that_takes_over_finds_the_pod_that_was_lost_meanwhile(on: Scenarios) -> None:
    worker = on.begin("both")
    lost = on.training("both")
    os.kill(worker, signal.SIGKILL)
    on.cluster.faults.evict(lost)
    on.resume("both")
    on.training("both", attempt=2)
    on.go("both")
    assert on.end("both") == "SUCCESS"
    assert on.attempts("both") == ["from 0, halved 0", "from 1, halved 0"]


def test_a_cancelled_run_leaves_no_job_and_holds_no_slot(on: Scenarios) -> None:
    worker = on.begin("cancelled")
    on.training("cancelled")
    (job,) = on.jobs("cancelled")
    assert (job["spec"]["backoffLimit"], job["spec"]["podReplacementPolicy"]) == (0, "Failed")
    for version in ("1.31", "1.34"):
        kubernetes_validate.validate({"apiVersion": "batch/v1", "kind": "Job", **job}, version, strict=True)
    run = on.run("cancelled")
    assert run is not None
    on.instance.report_run_canceling(run)
    os.kill(worker, signal.SIGTERM)
    assert on.end("cancelled") == "CANCELED"
    assert on.jobs("cancelled") == []
    on.cluster.wait_for(lambda: on.cluster.pods(**{"dagster/run-id": run.run_id}) == [], 60)
    assert run.run_id not in on.instance.event_log_storage.get_concurrency_info("gpu").active_run_ids
    assert len(on.pods("cancelled")) == 1, "a step that was told to end is not tried again"


def test_an_api_that_answers_with_errors_for_a_while_fails_nothing(on: Scenarios) -> None:
    on.begin("errors")
    on.training("errors")
    on.cluster.faults.answer(500, times=3, verb="get")
    on.cluster.wait_for(lambda: sum(request.status == 500 for request in on.cluster.requests) >= 3, 60)
    on.go("errors")
    assert on.end("errors") == "SUCCESS"
    assert len(on.pods("errors")) == 1


def test_the_reaper_deletes_jobs_of_runs_that_are_over_and_of_no_other(on: Scenarios) -> None:
    worker = on.begin("orphan")
    on.training("orphan")
    (job,) = on.jobs("orphan")
    assert job["metadata"]["name"] not in on.reap(0), "its run goes on"
    os.kill(worker, signal.SIGKILL)
    run = on.run("orphan")
    assert run is not None
    on.instance.report_run_failed(run, "its run worker is gone")
    assert on.reap(3600) == [], "it may still tidy up by itself"
    assert on.reap(0) == [job["metadata"]["name"]]
    assert on.jobs("orphan") == []
    on.cluster.wait_for(lambda: on.cluster.pods(**{"dagster/run-id": run.run_id}) == [], 60)
    assert run.run_id not in on.instance.event_log_storage.get_concurrency_info("gpu").active_run_ids
