"""What a step's pod asks of a cluster, in the form that dagster-k8s takes (snake_case, as `dagster-k8s/config`).

A step that trains or generates asks for a GPU; a line's `compute` says how many and of which node, or for none at all.
Every other step is small.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ft_assets.specializations.specialization import Compute

GPU = "nvidia.com/gpu"
LINE_LABEL = "ft-assets/specialization"
# Data loaders hand tensors over through shared memory, and a container has 64 MB of it. What is used counts as memory.
SHARED_MEMORY = {"name": "shared-memory", "empty_dir": {"medium": "Memory", "size_limit": "2Gi"}}
SHARED_MEMORY_MOUNT = {"name": "shared-memory", "mount_path": "/dev/shm"}
# After SIGTERM a training ends its step and saves it within 25 s, and torchrun's agent waits 45 s for its processes.
GRACE_SECONDS = 60
SMALL = {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}}
# What the Pod Security level "restricted" asks of a container.
RESTRICTED = {
    "allow_privilege_escalation": False,
    "capabilities": {"drop": ["ALL"]},
    "run_as_non_root": True,
    "seccomp_profile": {"type": "RuntimeDefault"},
}
# How long a node may be silent before its pods are given up; Kubernetes itself waits for five minutes.
SILENT_NODE = [
    {"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoExecute", "toleration_seconds": 60}
    for state in ("unreachable", "not-ready")
]
# A Job makes no second pod: not for one that failed, and not for one that is still ending. Retries are the executor's.
ONE_POD = {"backoff_limit": 0, "pod_replacement_policy": "Failed"}


@dataclass(frozen=True)
class GpuNodes:
    """How this cluster marks its GPU nodes: the labels that they have, and the keys of their taints.

    The defaults are what NVIDIA's GPU operator writes and what clouds taint GPU nodes with.
    """

    labels: Mapping[str, str] = field(default_factory=lambda: {"nvidia.com/gpu.present": "true"})
    taints: tuple[str, ...] = (GPU,)

    def tolerations(self) -> list[dict[str, str]]:
        """What lets a pod onto these nodes, whatever the taint's value and effect."""
        return [{"key": key, "operator": "Exists"} for key in self.taints]


def gpu_step(nodes: GpuNodes, gpus: int = 1) -> dict[str, Any]:
    """The `dagster-k8s/config` of a step that trains or generates, before a line's `compute` is known."""
    return {
        "container_config": {
            "resources": {"limits": {GPU: str(gpus)}, "requests": {GPU: str(gpus)}},
            "volume_mounts": [dict(SHARED_MEMORY_MOUNT)],
        },
        "pod_spec_config": {
            "node_selector": dict(nodes.labels),
            "tolerations": nodes.tolerations(),
            "volumes": [deepcopy(SHARED_MEMORY)],
            "termination_grace_period_seconds": GRACE_SECONDS,
        },
    }


def step_pod(
    config: Mapping[str, Any], compute: "Compute | None", nodes: GpuNodes, line: str | None = None
) -> dict[str, Any]:
    """The pod of one step: `config` (launcher, executor and op_tags together) with what every step pod has.

    `compute` is that of the line for a step that trains or generates, and None for any other step. `gpus: 0` takes the
    GPU, its nodes' labels and their tolerations away again. Labels of `compute.node_selector` stand in for those that
    mark a GPU node here. A step pod gets no token: only run workers speak to the Kubernetes API.
    """
    pod: dict[str, dict[str, Any]] = {k: deepcopy(dict(v)) for k, v in config.items() if isinstance(v, Mapping)}
    container, spec = pod.setdefault("container_config", {}), pod.setdefault("pod_spec_config", {})
    if compute is not None:
        _ask_for(compute, container, spec, nodes)
    else:
        container["resources"] = container.get("resources") or deepcopy(SMALL)
    container["security_context"] = {**RESTRICTED, **container.get("security_context", {})}
    given = spec.get("tolerations", [])  # an operator may have said the same for run workers
    spec["tolerations"] = [*given, *(dict(each) for each in SILENT_NODE if each not in given)]
    spec["automount_service_account_token"] = False
    pod["job_spec_config"] = {**pod.get("job_spec_config", {}), **ONE_POD}
    if line:
        for part in ("job_metadata", "pod_template_spec_metadata"):
            metadata = pod.setdefault(part, {})
            metadata["labels"] = {**metadata.get("labels", {}), LINE_LABEL: line}
    return pod


def _ask_for(compute: "Compute", container: dict[str, Any], spec: dict[str, Any], nodes: GpuNodes) -> None:
    asked = {"cpu": compute.cpu, "memory": compute.memory, **({GPU: str(compute.gpus)} if compute.gpus else {})}
    container["resources"] = {"requests": asked, "limits": dict(asked)}
    if compute.image:
        container["image"] = compute.image
    others = {key: value for key, value in spec.get("node_selector", {}).items() if key not in nodes.labels}
    wanted = compute.node_selector or (nodes.labels if compute.gpus else {})
    tolerated = [each for each in spec.get("tolerations", []) if each not in nodes.tolerations()]
    spec["node_selector"] = {**others, **wanted}
    spec["tolerations"] = [*tolerated, *(nodes.tolerations() if compute.gpus else [])]
