"""The pretend cluster breaks as real ones do."""

import sys
import time
from pathlib import Path

import pytest
from kubernetes.client import ApiException

from ft_assets_tests.kubernetes.job_client import (
    COUNTS,
    DEAF,
    FOREVER,
    SPACE,
    Client,
    event_texts,
    gpus,
    pod_of,
    working,
)
from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster
from ft_assets_tests.kubernetes.pretend_memory import can_limit_memory

pytestmark = pytest.mark.service


def test_a_process_that_does_not_listen_is_killed_when_its_grace_is_over(
    cluster: PretendCluster, client: Client
) -> None:
    client.start("deaf", DEAF, pod={"terminationGracePeriodSeconds": 1})
    pod = working(cluster, "deaf")
    began = time.monotonic()
    client.core.delete_namespaced_pod(pod["metadata"]["name"], SPACE)
    cluster.wait_for(lambda: not cluster.pods())
    assert 0.9 < time.monotonic() - began < 5
    ended = cluster.started_pods()[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 137
    assert client.end("deaf") == "BackoffLimitExceeded", "a pod that is deleted counts as failed"


def test_an_oom_kill_an_eviction_and_a_preemption_can_be_told_apart(cluster: PretendCluster, client: Client) -> None:
    for name in ("oom", "evicted", "preempted"):
        client.start(name, FOREVER)
    cluster.faults.oom_kill(working(cluster, "oom"))
    cluster.faults.evict(working(cluster, "evicted"))
    cluster.faults.preempt(working(cluster, "preempted"))
    for name in ("oom", "evicted", "preempted"):
        cluster.wait_for(lambda: client.end(name))  # noqa: B023
    oom, evicted, preempted = cluster.started_pods()
    ended = oom["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")
    assert (evicted["status"]["phase"], evicted["status"]["reason"]) == ("Failed", "Evicted")
    assert "low on resource: memory" in evicted["status"]["message"]
    disruptions = [
        [one["reason"] for one in pod["status"]["conditions"] if one["type"] == "DisruptionTarget"]
        for pod in (oom, evicted, preempted)
    ]
    assert disruptions == [[], ["TerminationByKubelet"], ["PreemptionByScheduler"]]
    assert cluster.pod_log(preempted).splitlines() == ["working", "ending"], "it was asked to end first"


def test_an_image_that_does_not_exist_waits_and_starts_once_it_does(cluster: PretendCluster, client: Client) -> None:
    cluster.faults.missing_images.add("example.com/image:1")
    client.start("pulling", "echo pulled")

    def waiting() -> str:
        statuses = pod_of(cluster, "pulling")["status"].get("containerStatuses") or [{"state": {}}]
        return str(statuses[0]["state"].get("waiting", {}).get("reason", ""))

    cluster.wait_for(lambda: waiting() == "ErrImagePull")
    cluster.wait_for(lambda: waiting() == "ImagePullBackOff")
    name = pod_of(cluster, "pulling")["metadata"]["name"]
    assert 'Failed to pull image "example.com/image:1"' in event_texts(cluster, name, "Failed")[0]
    assert event_texts(cluster, name, "BackOff") == ['Back-off pulling image "example.com/image:1"']
    cluster.faults.missing_images.clear()
    cluster.wait_for(lambda: client.end("pulling") == "Complete")


def test_a_missing_config_map_and_a_missing_program_are_said(cluster: PretendCluster, client: Client) -> None:
    client.start("unset", container={"envFrom": [{"configMapRef": {"name": "none"}}]})
    client.start("unknown", container={"command": ["no-such-program"]})
    waiting = cluster.wait_for(lambda: pod_of(cluster, "unset")["status"].get("containerStatuses"))[0]["state"][
        "waiting"
    ]
    assert waiting == {"reason": "CreateContainerConfigError", "message": 'configmap "none" not found'}
    cluster.wait_for(lambda: client.end("unknown"))
    ended = pod_of(cluster, "unknown")["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")


def test_held_pods_stay_pending_until_they_are_released(cluster: PretendCluster, client: Client) -> None:
    cluster.faults.hold()
    client.start("held")
    name = pod_of(cluster, "held")["metadata"]["name"]
    text = cluster.wait_for(lambda: event_texts(cluster, name, "FailedScheduling"))[0]
    assert "1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint {nvidia.com/gpu: present}" in text
    cluster.faults.release()
    cluster.wait_for(lambda: client.end("held") == "Complete")


def test_a_lost_nodes_pods_fail_their_jobs_and_may_still_be_running(cluster: PretendCluster, client: Client) -> None:
    client.start("cut-off", COUNTS, container=gpus("1"))
    pod = working(cluster, "cut-off")
    cluster.faults.lose_node("gpu-0", processes="run_on")
    cluster.wait_for(lambda: client.end("cut-off") == "BackoffLimitExceeded")
    cluster.wait_for(lambda: cluster.pod_log(pod).endswith("9"))
    assert cluster.pods()[0]["status"]["phase"] == "Running", "nobody can say that it ended"
    client.start("next", container=gpus("1"))
    waiting = pod_of(cluster, "next")["metadata"]["name"]
    text = cluster.wait_for(lambda: event_texts(cluster, waiting, "FailedScheduling"))[0]
    assert "untolerated taint {node.kubernetes.io/unreachable: }" in text
    cluster.faults.return_node("gpu-0")
    cluster.wait_for(lambda: client.end("next") == "Complete")
    assert not cluster.pods(**{"job-name": "cut-off"})
    assert cluster.pod_log(pod).endswith("ending")


def test_a_node_that_is_taken_away_takes_its_pods_with_it(cluster: PretendCluster, client: Client) -> None:
    client.start("there", FOREVER, container=gpus("1"), podReplacementPolicy="Failed")
    working(cluster, "there")
    cluster.faults.lose_node("gpu-0")
    assert client.end("there") is None, "nobody knows yet that the pod has ended"
    cluster.faults.remove_node("gpu-0")
    cluster.wait_for(lambda: client.end("there") == "BackoffLimitExceeded")
    assert not cluster.pods()


def test_the_api_can_be_slow_fail_hang_up_and_lose_an_answer(cluster: PretendCluster, client: Client) -> None:
    cluster.faults.answer(500, verb="list", resource="pods")
    with pytest.raises(ApiException) as failed:
        client.core.list_namespaced_pod(SPACE)
    assert failed.value.status == 500
    assert client.core.list_namespaced_pod(SPACE).items == []
    cluster.faults.answer(delay_seconds=0.3)
    began = time.monotonic()
    client.core.list_namespaced_pod(SPACE)
    assert time.monotonic() - began >= 0.3
    cluster.faults.answer(500, after_effect=True, verb="create", resource="jobs")
    with pytest.raises(ApiException):
        client.start("twice")
    with pytest.raises(ApiException) as taken:
        client.start("twice")
    assert taken.value.status == 409, "the request that seemed to fail had been done"


@pytest.mark.skipif(not can_limit_memory(), reason="cgroups of version 1 cannot be made here")
def test_a_container_that_takes_more_memory_than_its_limit_is_killed_by_the_kernel(tmp_path: Path) -> None:
    takes = f"exec {sys.executable} -c 'import time; had = bytearray(80_000_000); time.sleep(60)'"
    with PretendCluster(tmp_path / "cluster", limits_memory=True) as cluster:
        client = Client(cluster.kubeconfig())
        client.start("hungry", takes, container={"resources": {"limits": {"memory": "64Mi"}}})
        cluster.wait_for(lambda: client.end("hungry"))
        pod = pod_of(cluster, "hungry")
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
