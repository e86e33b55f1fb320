"""The manifests that serve a registered model: three replicas behind probes, and a budget that keeps two of them.

The volume is where the source of this deployment errs. One ordinary claim (ReadWriteOnce) is attached to one node: of
three replicas on several nodes two wait for ever ("Multi-Attach error"), and all three on one node fall with it. Here
the claim is one that many nodes mount and nobody writes to: a second claim on the lake's own share, or on its bucket
through a CSI driver. Of it a pod sees two directories, the adapter and its base, by their digests; what they hold can
never change, so replicas cannot differ, and a new model is a new path and with it a rolling update.
"""

from typing import TYPE_CHECKING, Any

from ft_assets.errors import BadConfiguration
from ft_assets.release.registry import registered_model_name
from ft_assets.state_registry import Registered

if TYPE_CHECKING:
    from ft_assets.cluster.pod_config import GpuNodes

NAMESPACE, APP, PORT = "ai-services", "model-server", 8080
REPLICAS, KEPT = 3, 2
MODEL, BASE = "/models", "/base-model"
ACCOUNT, PRIORITY = "model-server", "ft-assets-serving"
RESOURCES = {
    "limits": {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"},
    "requests": {"cpu": "2", "memory": "8Gi"},
}
LONGEST_LABEL = 63
USER = 10001  # as whom runs write the lake, so that a server may read it


def model_server(version: Registered, image: str, claim: str, gpu_nodes: "GpuNodes") -> list[dict[str, Any]]:
    """Deployment and PodDisruptionBudget of a version's major series, in the form of `kubectl apply`.

    The name holds the line and the major version: a new minor version replaces its forerunner pod by pod, a new major
    one is a Deployment beside it. `image` is a server that loads `MODEL_PATH` over `BASE_MODEL_PATH` and answers
    `GET /health`; `claim` is in the namespace ai-services, has the lake as its root, and many nodes can mount it.

    Raises:
        BadConfiguration: the image can change under its name, or the line's name is too long for a label.
    """
    _refuse_moving_image(image)
    labels = labels_of(version)
    name = f"model-{labels['model']}-{labels['version']}"
    if len(name) > LONGEST_LABEL:
        raise BadConfiguration(
            f"{name} has {len(name)} characters and Kubernetes takes {LONGEST_LABEL}: rename the specialization."
        )
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**metadata, "annotations": _identity(version)},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": labels},
            # One after the other and none beside: a fourth GPU is seldom free.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "template": {
                "metadata": {"labels": labels, "annotations": _identity(version)},
                "spec": _pod(version, image, claim, labels, gpu_nodes),
            },
        },
    }
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata,
        "spec": {"minAvailable": KEPT, "selector": {"matchLabels": labels}},
    }
    return [deployment, budget]


def labels_of(version: Registered) -> dict[str, str]:
    """app, model and version (its major part, as in the Deployment's name); they never change, so selectors may hold
    them."""
    major = version.version_name.rsplit("-", 2)[1].partition(".")[0]
    return {"app": APP, "model": registered_model_name(version.specialization), "version": major}


def _identity(version: Registered) -> dict[str, str]:
    return {
        "ft-assets/version-name": version.version_name,
        "ft-assets/model-digest": version.model_digest,
        "ft-assets/base-digest": version.base_digest,
    }


def _pod(version: Registered, image: str, claim: str, labels: dict[str, str], gpu_nodes: "GpuNodes") -> dict[str, Any]:
    return {
        "serviceAccountName": ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": PRIORITY,
        "terminationGracePeriodSeconds": 60,
        "nodeSelector": dict(gpu_nodes.labels),
        "tolerations": gpu_nodes.tolerations(),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",  # two on one node serve better than one that waits
                "labelSelector": {"matchLabels": labels},
            }
        ],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(version, image)],
        "volumes": [
            {"name": "models", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "8Gi"}},
        ],
    }


def _container(version: Registered, image: str) -> dict[str, Any]:
    health = {"httpGet": {"path": "/health", "port": PORT}}
    return {
        "name": APP,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": PORT}],
        "env": [
            {"name": "MODEL_PATH", "value": MODEL},
            {"name": "BASE_MODEL_PATH", "value": BASE},
            {"name": "ENABLE_TRACING", "value": "true"},
        ],
        "resources": RESOURCES,
        "readinessProbe": {**health, "initialDelaySeconds": 30, "periodSeconds": 10},
        # Weights take minutes to load; until the first answer nobody may take that for a server that hangs.
        "startupProbe": {**health, "periodSeconds": 10, "failureThreshold": 60},
        "livenessProbe": {**health, "periodSeconds": 20, "timeoutSeconds": 5, "failureThreshold": 3},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            _mount(MODEL, f"artifacts/adapter/{version.model_digest}"),
            _mount(BASE, f"artifacts/base_model/{version.base_digest}"),
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _mount(path: str, directory: str) -> dict[str, Any]:
    return {"name": "models", "mountPath": path, "subPath": directory, "readOnly": True}


def _refuse_moving_image(image: str) -> None:
    tag = image.rpartition("/")[2].partition(":")[2]
    if "@sha256:" not in image and tag in ("", "latest"):
        raise BadConfiguration(
            f"The image {image!r} means another server tomorrow, so three replicas could run three of them. Name it "
            "with a version, such as registry.example.com/model-server:1.4.0, or by its digest."
        )
