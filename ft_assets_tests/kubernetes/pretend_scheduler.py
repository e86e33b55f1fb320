"""Nodes, what a pod asks of them, and why a pod fits on none, in the words of the real scheduler."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ft_assets_tests.kubernetes.pretend_objects import Events, Object, Objects, labels_of, name_of, now

GPU = "nvidia.com/gpu"
_UNITS = {
    "": 1,
    "m": Fraction(1, 1000),
    **{unit: 1000**power for power, unit in enumerate(["k", "M", "G", "T", "P"], 1)},
    **{unit: 1024**power for power, unit in enumerate(["Ki", "Mi", "Gi", "Ti", "Pi"], 1)},
}


@dataclass
class Node:
    """One machine of the pretend cluster. Taints are dicts of key, value and effect."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[dict[str, str]] = field(default_factory=list)
    cpu: str = "8"
    memory: str = "32Gi"
    gpus: int = 0
    ready: bool = True

    @property
    def allocatable(self) -> dict[str, Fraction]:
        """What pods can ask for, in units: cores, bytes, GPUs."""
        return {"cpu": amount(self.cpu), "memory": amount(self.memory), GPU: Fraction(self.gpus)}


def amount(quantity: str | int | float) -> Fraction:
    """The quantity as a number: "500m" is a half, "2Gi" is 2147483648. Raises ValueError for what is none."""
    found = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(quantity))
    if not found or found[2] not in _UNITS:
        raise ValueError(f"{quantity!r} is no quantity")
    return Fraction(found[1]) * _UNITS[found[2]]


def requests_of(spec: Object) -> dict[str, Fraction]:
    """What a pod asks for: the sum of its containers, or its hungriest init container where that is more."""
    asked: dict[str, Fraction] = Counter()  # type: ignore[assignment]
    for container in spec["containers"]:
        for name, value in _of_container(container).items():
            asked[name] += value
    for container in spec.get("initContainers") or []:
        for name, value in _of_container(container).items():
            asked[name] = max(asked[name], value)
    return dict(asked)


def _of_container(container: Object) -> dict[str, Fraction]:
    resources = container.get("resources") or {}
    both = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: amount(value) for name, value in both.items()}


class Scheduler:
    """Binds pending pods to nodes."""

    def __init__(self, objects: Objects, events: Events, nodes: Sequence[Node]):
        self.nodes = list(nodes)
        self.held: list[tuple[Callable[[Object], bool], str]] = []
        self._objects, self._events = objects, events

    def place(self) -> list[Object]:
        """Gives every pending pod a node where one fits; the pods that got one."""
        placed = []
        for pod in self._objects.all("pods"):
            if pod["spec"].get("nodeName") or pod["status"]["phase"] != "Pending":
                continue
            if pod["metadata"].get("deletionTimestamp"):
                continue
            refusal = self._refusal(pod)
            if refusal is None:
                placed.append(pod)
            elif refusal != _condition(pod).get("message"):
                self._say_unschedulable(pod, refusal)
        return placed

    def gpus_in_use(self, node_name: str) -> set[int]:
        """The numbers of the node's GPUs that living pods hold."""
        return {number for pod in self._living(node_name) for number in pod.get("_gpus", ())}

    def _refusal(self, pod: Object) -> str | None:
        """Binds the pod and gives None, or says why it cannot be bound."""
        for matches, message in self.held:
            if matches(pod):
                return message
        missing = self._missing_claim(pod)
        if missing:
            return f"0/{len(self.nodes)} nodes are available: {missing}. preemption: {self._no_preemption()}"
        reasons: Counter[str] = Counter()
        for node in self.nodes:
            against = self._against(node, pod["spec"])
            if not against:
                self._bind(pod, node)
                return None
            reasons.update(against)
        why = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
        return f"0/{len(self.nodes)} nodes are available: {why}. preemption: {self._no_preemption()}"

    def _no_preemption(self) -> str:
        total = len(self.nodes)
        return f"0/{total} nodes are available: {total} Preemption is not helpful for scheduling."

    def _against(self, node: Node, spec: Object) -> list[str]:
        if not node.ready:
            return ["node(s) had untolerated taint {node.kubernetes.io/unreachable: }"]
        for taint in node.taints:
            if taint["effect"] != "PreferNoSchedule" and not _tolerated(taint, spec.get("tolerations") or []):
                return [f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"]
        if not _selected(node, spec):
            return ["node(s) didn't match Pod's node affinity/selector"]
        used: Counter[str] = Counter()
        for other in self._living(node.name):
            used.update(requests_of(other["spec"]))
        free = {name: node.allocatable.get(name, Fraction(0)) - used[name] for name in requests_of(spec)}
        return [f"Insufficient {name}" for name, value in sorted(requests_of(spec).items()) if value > free[name]]

    def _living(self, node_name: str) -> list[Object]:
        pods = [pod for pod in self._objects.all("pods") if pod["spec"].get("nodeName") == node_name]
        return [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]

    def _missing_claim(self, pod: Object) -> str | None:
        for volume in pod["spec"].get("volumes") or []:
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim and not self._objects.find("persistentvolumeclaims", pod["metadata"]["namespace"], claim):
                return f'persistentvolumeclaim "{claim}" not found'
        return None

    def _bind(self, pod: Object, node: Node) -> None:
        wanted = int(requests_of(pod["spec"]).get(GPU, 0))
        free = [number for number in range(node.gpus) if number not in self.gpus_in_use(node.name)]
        pod["_gpus"] = free[:wanted]
        pod["spec"]["nodeName"] = node.name
        pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": now()}]
        self._objects.save("pods", pod)
        where = f"Successfully assigned {pod['metadata']['namespace']}/{name_of(pod)} to {node.name}"
        self._events.say(pod, "Scheduled", where, "Normal", "default-scheduler")

    def _say_unschedulable(self, pod: Object, message: str) -> None:
        said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        pod["status"]["conditions"] = [{**said, "lastTransitionTime": now()}]
        self._objects.save("pods", pod)
        self._events.say(pod, "FailedScheduling", message, by="default-scheduler")


def _condition(pod: Object) -> dict[str, Any]:
    return next((c for c in pod["status"].get("conditions") or [] if c["type"] == "PodScheduled"), {})


def _tolerated(taint: dict[str, str], tolerations: Sequence[Object]) -> bool:
    for one in tolerations:
        if one.get("effect") not in (None, "", taint["effect"]):
            continue
        if one.get("operator") == "Exists" and one.get("key") in (None, "", taint["key"]):
            return True
        if one.get("key") == taint["key"] and (one.get("value") or "") == taint.get("value", ""):
            return True
    return False


def _selected(node: Node, spec: Object) -> bool:
    labels = {"kubernetes.io/hostname": node.name, **node.labels}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms")
    return not terms or any(all(_meets(labels, rule) for rule in term.get("matchExpressions") or []) for term in terms)


def _meets(labels: dict[str, str], rule: Object) -> bool:
    value, values = labels.get(rule["key"]), rule.get("values") or []
    match rule["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and int(value) > int(values[0])
        case _:
            return value is not None and int(value) < int(values[0])


def matching(labels: dict[str, str]) -> Callable[[Object], bool]:
    """Whether a pod has all these labels."""
    return lambda pod: all(labels_of(pod).get(key) == value for key, value in labels.items())
