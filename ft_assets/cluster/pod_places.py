"""Whose place a pod waits for: what lasts only as long as another pod is no failure of who waits.

Objects are mappings as the Kubernetes API writes them in JSON.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ft_assets.cluster.pod_config import GPU

OVER = ("Succeeded", "Failed")


def holders(waiting: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> list[str]:
    """The pods that hold the GPUs a pod waits for, by name; empty where it would not fit when all of them have ended.

    On a cluster with one GPU the next step's pod waits until the last step's pod is gone, and a second run until the
    first has trained.
    """
    asked = gpus(waiting)
    held = {
        str(pod["metadata"]["name"]): gpus(pod)
        for pod in others
        if pod.get("spec", {}).get("nodeName") and pod.get("status", {}).get("phase") not in OVER
    }
    named = sorted(name for name, count in held.items() if count)
    return named if 0 < asked <= sum(held.values()) else []


def gpus(pod: Mapping[str, Any]) -> int:
    """How many GPUs a pod asks for."""
    containers = pod.get("spec", {}).get("containers") or ()
    limits = ((each.get("resources") or {}).get("limits") or {} for each in containers)
    return sum(int(limit.get(GPU, 0)) for limit in limits)
