"""What the pretend cluster stores: objects by kind, namespace and name, their versions, and what changed when."""

import copy
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

Object = dict[str, Any]


class Refused(Exception):
    """An answer of the API that is not a success, as its `Status` says it."""

    def __init__(self, status: int, reason: str, message: str):
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    def as_status(self) -> Object:
        """The body of the answer."""
        said = {"status": "Failure", "reason": self.reason, "message": self.message, "code": self.status}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, **said}


@dataclass(frozen=True)
class Kind:
    """One kind of object: its name, API version, and whether it lives in a namespace."""

    name: str
    api_version: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group, empty for the core one: "batch" of "batch/v1"."""
        return self.api_version.rpartition("/")[0]


KINDS = {
    "pods": Kind("Pod", "v1"),
    "events": Kind("Event", "v1"),
    "configmaps": Kind("ConfigMap", "v1"),
    "secrets": Kind("Secret", "v1"),
    "serviceaccounts": Kind("ServiceAccount", "v1"),
    "services": Kind("Service", "v1"),
    "persistentvolumeclaims": Kind("PersistentVolumeClaim", "v1"),
    "resourcequotas": Kind("ResourceQuota", "v1"),
    "limitranges": Kind("LimitRange", "v1"),
    "namespaces": Kind("Namespace", "v1", namespaced=False),
    "jobs": Kind("Job", "batch/v1"),
    "deployments": Kind("Deployment", "apps/v1"),
    "roles": Kind("Role", "rbac.authorization.k8s.io/v1"),
    "rolebindings": Kind("RoleBinding", "rbac.authorization.k8s.io/v1"),
    "networkpolicies": Kind("NetworkPolicy", "networking.k8s.io/v1"),
    "poddisruptionbudgets": Kind("PodDisruptionBudget", "policy/v1"),
    "priorityclasses": Kind("PriorityClass", "scheduling.k8s.io/v1", namespaced=False),
}
KEPT_CHANGES = 2000  # a watch that asks for older ones is told 410 Gone


class Change(NamedTuple):
    """One change of one object; `kind` is ADDED, MODIFIED or DELETED."""

    version: int
    resource: str
    kind: str
    object: Object


def now(later_seconds: float = 0) -> str:
    """The time, or a later one, as the API writes it, to the second."""
    return (datetime.now(UTC) + timedelta(seconds=later_seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def name_of(thing: Object) -> str:
    """The object's name."""
    return str(thing["metadata"]["name"])


def labels_of(thing: Object) -> dict[str, str]:
    """The object's labels, empty where it has none."""
    return thing["metadata"].get("labels") or {}


class Objects:
    """The store. Whoever reads an object to change it holds `lock` until it is saved."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.version = 1
        self.changes: list[Change] = []
        self._objects: dict[tuple[str, str, str], Object] = {}

    def create(self, resource: str, namespace: str, thing: Object) -> Object:
        """The stored object, with what the server adds: uid, version, time. Raises 409 where the name is taken."""
        kind = KINDS[resource]
        thing = copy.deepcopy(thing)
        meta = thing.setdefault("metadata", {})
        meta.update(uid=str(uuid.uuid4()), creationTimestamp=now())
        if kind.namespaced:
            meta["namespace"] = namespace
        thing.update(kind=kind.name, apiVersion=kind.api_version)
        with self.lock:
            key = (resource, namespace if kind.namespaced else "", meta["name"])
            if key in self._objects:
                raise Refused(409, "AlreadyExists", f'{_full(resource)} "{meta["name"]}" already exists')
            self._objects[key] = thing
            self._note(resource, "ADDED", thing)
        return thing

    def find(self, resource: str, namespace: str, name: str) -> Object | None:
        """The object itself, not a copy."""
        return self._objects.get((resource, namespace if KINDS[resource].namespaced else "", name))

    def read(self, resource: str, namespace: str, name: str) -> Object:
        """The object itself. Raises 404."""
        thing = self.find(resource, namespace, name)
        if thing is None:
            raise Refused(404, "NotFound", f'{_full(resource)} "{name}" not found')
        return thing

    def all(self, resource: str, namespace: str | None = None) -> list[Object]:
        """The objects of a kind, oldest first."""
        with self.lock:
            return [
                thing
                for (kind, space, _), thing in self._objects.items()
                if kind == resource and namespace in (None, space)
            ]

    def save(self, resource: str, thing: Object) -> None:
        """Gives the object that was changed in place its next version, and tells who watches."""
        with self.lock:
            if self.find(resource, thing["metadata"].get("namespace", ""), name_of(thing)) is thing:
                self._note(resource, "MODIFIED", thing)

    def remove(self, resource: str, thing: Object) -> None:
        """Takes the object out of the store, where it is still in it."""
        with self.lock:
            key = (resource, thing["metadata"].get("namespace", ""), name_of(thing))
            if self._objects.get(key) is thing:
                del self._objects[key]
                self._note(resource, "DELETED", thing)

    def exists(self, uid: str) -> bool:
        """Whether an object with this uid is stored."""
        return any(thing["metadata"]["uid"] == uid for thing in self._objects.values())

    def _note(self, resource: str, kind: str, thing: Object) -> None:
        self.version += 1
        thing["metadata"]["resourceVersion"] = str(self.version)
        self.changes.append(Change(self.version, resource, kind, copy.deepcopy(thing)))
        del self.changes[:-KEPT_CHANGES]
        self.changed.notify_all()


class Events:
    """Writes the events that people read to learn why something does not happen."""

    def __init__(self, objects: Objects):
        self._objects = objects

    def say(self, about: Object, reason: str, message: str, kind: str = "Warning", by: str = "kubelet") -> None:
        """Adds an event, or counts it once more where the same was said before."""
        meta = about["metadata"]
        who = {"kind": about["kind"], "apiVersion": about["apiVersion"], "name": meta["name"], "uid": meta["uid"]}
        who["namespace"] = meta.get("namespace", "")
        with self._objects.lock:
            for event in self._objects.all("events", who["namespace"]):
                if (event["involvedObject"], event["reason"], event["message"]) == (who, reason, message):
                    event["count"] += 1
                    event["lastTimestamp"] = now()
                    self._objects.save("events", event)
                    return
            name = f"{meta['name']}.{self._objects.version:016x}"
            said = {"reason": reason, "message": message, "type": kind, "count": 1}
            times = {"firstTimestamp": now(), "lastTimestamp": now(), "eventTime": None}
            source = {"source": {"component": by}, "reportingComponent": by, "reportingInstance": ""}
            event = {"metadata": {"name": name}, "involvedObject": who, **said, **times, **source}
            self._objects.create("events", who["namespace"], event)


def _full(resource: str) -> str:
    group = KINDS[resource].group
    return f"{resource}.{group}" if group else resource
