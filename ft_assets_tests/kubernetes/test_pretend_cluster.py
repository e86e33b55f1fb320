"""The pretend cluster gives pods what a real one gives them, on the nodes that a real one would choose."""

from pathlib import Path
from typing import Any

import pytest

from ft_assets_tests.kubernetes.job_client import (
    FOREVER,
    SPACE,
    Client,
    event_texts,
    gpus,
    pod_of,
    working,
)
from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster
from ft_assets_tests.kubernetes.pretend_scheduler import Node

pytestmark = pytest.mark.service


def test_a_command_runs_with_its_own_disk_variables_and_files(cluster: PretendCluster, client: Client) -> None:
    cluster.apply(
        {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"MODE": "slow", "a.yaml": "at: /conf"}}
    )
    cluster.apply({"kind": "Secret", "metadata": {"name": "key"}, "stringData": {"token": "s3cret"}})
    env = [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "key", "key": "token"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "BOTH", "value": "$(MODE)-$(TOKEN)-$(NOT_THERE)"},
        {"name": "CONF", "value": "/conf/a.yaml"},
    ]
    container = {
        "env": env,
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "volumeMounts": [{"name": "conf", "mountPath": "/conf"}, {"name": "lake", "mountPath": "/lake"}],
    }
    volumes = [{"name": "conf", "configMap": {"name": "settings"}}]
    volumes += [{"name": "lake", "persistentVolumeClaim": {"claimName": "lake"}}]
    shared = cluster.claim("lake")
    script = (
        "echo $BOTH $POD $HOSTNAME; cat $CONF; echo; echo kept > /lake/note; touch $HOME/mine; env | grep -c PYTEST"
    )
    client.start("one", script, container=container, pod={"volumes": volumes})
    cluster.wait_for(lambda: client.end("one"))
    pod = pod_of(cluster, "one")
    first, second, pytest_variables = cluster.pod_log(pod).splitlines()
    name = pod["metadata"]["name"]
    assert first == f"slow-s3cret-$(NOT_THERE) {name} {name}"
    assert second.endswith(f"{name}/conf"), "the config map names the mount where it really lies"
    assert pytest_variables == "0", "nothing of who runs the tests reaches a pod"
    assert (shared / "note").read_text() == "kept\n"
    assert not list(shared.glob("mine"))


def test_a_gpu_is_given_to_one_pod_at_a_time_and_only_on_its_node(cluster: PretendCluster, client: Client) -> None:
    client.start("first", f"echo has $CUDA_VISIBLE_DEVICES; {FOREVER}", container=gpus("1"))
    first = working(cluster, "first")
    client.start("second", "echo has $CUDA_VISIBLE_DEVICES", container=gpus("1"))
    client.start("light", "echo has none:$CUDA_VISIBLE_DEVICES", pod={"tolerations": []})
    cluster.wait_for(lambda: client.end("light"))
    waits = pod_of(cluster, "second")
    assert cluster.wait_for(lambda: event_texts(cluster, waits["metadata"]["name"], "FailedScheduling")) == [
        "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. "
        "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    ]
    client.batch.delete_namespaced_job("first", SPACE, propagation_policy="Background")
    cluster.wait_for(lambda: client.end("second"))
    assert (first["spec"]["nodeName"], pod_of(cluster, "second")["spec"]["nodeName"]) == ("gpu-0", "gpu-0")
    assert pod_of(cluster, "light")["spec"]["nodeName"] == "cpu-0"
    assert cluster.pod_log(pod_of(cluster, "second")) == "has 0"
    assert cluster.pod_log(pod_of(cluster, "light")) == "has none:"


@pytest.mark.parametrize(
    ("pod", "asked", "reason"),
    [
        (
            {"tolerations": []},
            {"nvidia.com/gpu": "1"},
            "1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint",
        ),
        ({}, {"nvidia.com/gpu": "8"}, "2 Insufficient nvidia.com/gpu"),
        ({"nodeSelector": {"gpu": "h200"}}, {}, "2 node(s) didn't match Pod's node affinity/selector"),
        ({}, {"memory": "1Ti", "cpu": "100"}, "2 Insufficient cpu, 2 Insufficient memory"),
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "no"}}]}, {}, 'claim "no" not found'),
    ],
)
def test_a_pod_that_fits_nowhere_says_why(
    cluster: PretendCluster, client: Client, pod: Any, asked: Any, reason: str
) -> None:
    client.start("big", pod=pod, container={"resources": {"limits": asked}})
    name = pod_of(cluster, "big")["metadata"]["name"]
    texts = cluster.wait_for(lambda: event_texts(cluster, name, "FailedScheduling"))
    assert reason in texts[0]
    condition = client.core.read_namespaced_pod(name, SPACE).status.conditions[0]
    assert (condition.status, condition.reason, condition.message) == ("False", "Unschedulable", texts[0])


def test_another_cluster_has_other_nodes(tmp_path: Path) -> None:
    nodes = [Node("big", gpus=4)]
    with PretendCluster(tmp_path / "cluster", nodes=nodes) as cluster:
        client = Client(cluster.kubeconfig())
        client.start("two", "echo $CUDA_VISIBLE_DEVICES; sleep 0.3", container=gpus("2"))
        client.start("one", "echo $CUDA_VISIBLE_DEVICES", container=gpus("1"))
        cluster.wait_for(lambda: client.end("two") and client.end("one"))
        assert [cluster.pod_log(pod) for pod in cluster.started_pods()] == ["0,1", "2"]
