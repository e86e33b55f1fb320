"""One training on several nodes, as a JobSet (jobset.x-k8s.io): a manifest for an engine that exists, no scheduler.

A first pod reads the file and writes what the processes need; then as many pods as nodes run torchrun, which meet at
the first of them. When a pod fails, JobSet ends them all and starts them again, and the training goes on from its
newest valid checkpoint. Why JobSet and not a TrainJob stands in docs/multi-node.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ft_assets.cluster.pod_config import GPU, GRACE_SECONDS, LINE_LABEL, GpuNodes
from ft_assets.errors import BadConfiguration

if TYPE_CHECKING:
    from ft_assets.specializations.specialization import Compute

MOUNT, PORT, RESTARTS = "/shared", 29500, 3
PREPARE, NODES = "prepare", "nodes"
LONGEST_NAME = 63
SMALL = {"cpu": "1", "memory": "4Gi"}
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
# The image's user; what it may not write on a fresh claim, fsGroup lets it.
IMAGE_USER = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "fsGroup": 10001,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass(frozen=True)
class SharedTraining:
    """What is trained, as paths under a volume that all nodes mount (ReadWriteMany): file, base model, place for it."""

    claim: str
    data: str
    base: str
    out: str
    task: str

    def words(self) -> list[str]:
        """The words of `ft-assets train` for it."""
        return [
            *("--data", f"{MOUNT}/{self.data}", "--base", f"{MOUNT}/{self.base}"),
            *("--out", f"{MOUNT}/{self.out}", "--task", self.task),
        ]


def job_set(
    line: str, compute: "Compute", nodes: int, image: str, training: SharedTraining, gpu_nodes: GpuNodes
) -> dict[str, Any]:
    """The manifest: `nodes` pods with `compute.gpus` GPUs each, all of them a rank of one training.

    `image` is used where `compute` names none.

    Raises:
        BadConfiguration: one node, or no GPU: that is what an ordinary run does.
    """
    if nodes < 2 or compute.gpus < 1:
        raise BadConfiguration(
            f"{nodes} nodes with {compute.gpus} GPUs each are no training on several nodes. Launch the line in "
            "Dagster, whose step uses all GPUs of one pod. For more set compute.gpus to the GPUs of a node, and ask "
            "for two nodes."
        )
    name = set_name(line, nodes)
    asked = {"cpu": compute.cpu, "memory": compute.memory, GPU: str(compute.gpus)}
    prepare = _pod(compute.image or image, ["ft-assets", "train"], [*training.words(), "--prepare"], SMALL, training)
    workers = _pod(compute.image or image, ["torchrun"], torchrun(name, nodes, compute.gpus, training), asked, training)
    workers["nodeSelector"] = dict(compute.node_selector or gpu_nodes.labels)
    workers["tolerations"] = gpu_nodes.tolerations()
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": name, "labels": {LINE_LABEL: line}},
        "spec": {
            "failurePolicy": {"maxRestarts": RESTARTS, "restartStrategy": "BlockingRecreate"},
            "ttlSecondsAfterFinished": 7 * 24 * 3600,
            "replicatedJobs": [
                {"name": PREPARE, "template": _job(prepare, 1, line)},
                {
                    "name": NODES,
                    "dependsOn": [{"name": PREPARE, "status": "Complete"}],
                    "template": _job(workers, nodes, line),
                },
            ],
        },
    }


def set_name(line: str, nodes: int) -> str:
    """The JobSet's name. JobSet refuses one whose longest pod name, with the five letters behind it, is over 63."""
    room = LONGEST_NAME - len(f"-{NODES}-0-{nodes - 1}-abcde")
    return f"train-{line}"[:room].rstrip("-")


def torchrun(name: str, nodes: int, gpus: int, training: SharedTraining) -> list[str]:
    """The words of torchrun in each pod. JobSet names the pods, and Kubernetes puts in the pod's own index."""
    return [
        *("--nnodes", str(nodes), "--nproc-per-node", str(gpus), "--node-rank", "$(JOB_COMPLETION_INDEX)"),
        *("--master-addr", f"{name}-{NODES}-0-0.{name}", "--master-port", str(PORT)),
        *("--module", "ft_assets.training.worker", f"{MOUNT}/{training.out}/.work/job"),
    ]


def _job(pod: Mapping[str, Any], count: int, line: str) -> dict[str, Any]:
    return {
        "spec": {
            "completionMode": "Indexed",
            "completions": count,
            "parallelism": count,
            "backoffLimit": 0,  # all start again together, or none does
            "template": {"metadata": {"labels": {LINE_LABEL: line}}, "spec": dict(pod)},
        }
    }


def _pod(
    image: str, command: Sequence[str], args: Sequence[str], asked: Mapping[str, str], training: SharedTraining
) -> dict[str, Any]:
    mounts = [
        {"name": "shared", "mountPath": MOUNT},
        {"name": "memory", "mountPath": "/dev/shm"},
        {"name": "scratch", "mountPath": "/tmp"},
    ]
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": "ft-assets-training",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": IMAGE_USER,
        "containers": [
            {
                "name": "trainer",
                "image": image,
                "command": list(command),
                "args": list(args),
                "ports": [{"containerPort": PORT}],
                "resources": {"requests": dict(asked), "limits": dict(asked)},
                "volumeMounts": mounts,
                "securityContext": RESTRICTED,
            }
        ],
        "volumes": [
            {"name": "shared", "persistentVolumeClaim": {"claimName": training.claim}},
            {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "64Gi"}},
        ],
    }
