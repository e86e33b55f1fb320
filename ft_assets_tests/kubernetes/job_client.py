"""The real Kubernetes client as tests use it, and the Jobs that they start with it."""

from pathlib import Path
from typing import Any

import kubernetes
from kubernetes.client import BatchV1Api, CoreV1Api

from ft_assets_tests.kubernetes.pretend_cluster import GPU_TAINT, PretendCluster

SPACE = "ml"
COUNTS = "trap 'echo ending; exit 0' TERM; echo working; for i in {1..99}; do echo $i; sleep 0.05; done"
FOREVER = "trap 'echo ending; exit 0' TERM; echo working; while true; do sleep 0.05; done"
DEAF = "trap '' TERM; echo working; while true; do sleep 0.05; done"


class Client:
    """The real client, as one user."""

    def __init__(self, kubeconfig: Path):
        client = kubernetes.config.new_client_from_config(str(kubeconfig))
        self.batch, self.core = BatchV1Api(client), CoreV1Api(client)

    def start(self, name: str, script: str = "true", **changes: Any) -> None:
        self.batch.create_namespaced_job(SPACE, job(name, script, **changes))

    def status(self, name: str) -> Any:
        return self.batch.read_namespaced_job_status(name, SPACE).status

    def end(self, name: str) -> str | None:
        """ "Complete" or the reason of the failure, once there is one."""
        for condition in self.status(name).conditions or []:
            return str(condition.reason if condition.type == "Failed" else condition.type)
        return None


def job(name: str, script: str = "true", pod: Any = None, container: Any = None, **spec: Any) -> dict[str, Any]:
    """A Job that runs a shell script in a pod that may go to every node."""
    one = {"name": "main", "image": "example.com/image:1", "command": ["bash", "-c", script], **(container or {})}
    tolerations = [{"key": GPU_TAINT["key"], "operator": "Exists", "effect": "NoSchedule"}]
    template = {"restartPolicy": "Never", "tolerations": tolerations, "containers": [one], **(pod or {})}
    return {"metadata": {"name": name}, "spec": {"backoffLimit": 0, **spec, "template": {"spec": template}}}


def gpus(count: str) -> dict[str, Any]:
    return {"resources": {"limits": {"nvidia.com/gpu": count}}}


def pod_of(cluster: PretendCluster, name: str) -> dict[str, Any]:
    return cluster.wait_for(lambda: cluster.pods(**{"job-name": name}))[-1]


def working(cluster: PretendCluster, name: str) -> dict[str, Any]:
    """The Job's pod, once its script runs."""
    cluster.wait_for(lambda: "working" in cluster.pod_log(pod_of(cluster, name)))
    return pod_of(cluster, name)


def event_texts(cluster: PretendCluster, name: str, reason: str) -> list[str]:
    return [event["message"] for event in cluster.events(name) if event["reason"] == reason]
