"""A pretend Kubernetes cluster: a real HTTP API on loopback whose pods are local processes.

It stores what it is given, refuses what a real server refuses, makes pods for Jobs, gives them nodes, runs their
commands, keeps their logs, and breaks on demand. What it cannot do: PATCH, restarts, real mounts (see
pretend_containers), networks between pods, users other than who runs the tests, and the rule that a container's first
process ignores signals that it does not handle. A replacement pod comes after 0.3 s, not after 10.
"""

import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ft_assets_tests.kubernetes.pretend_admission import admit_job, admit_pod
from ft_assets_tests.kubernetes.pretend_api import ApiServer, shown
from ft_assets_tests.kubernetes.pretend_faults import Faults
from ft_assets_tests.kubernetes.pretend_jobs import JobController, as_job, orphan_pods
from ft_assets_tests.kubernetes.pretend_objects import KINDS, Events, Object, Objects, Refused
from ft_assets_tests.kubernetes.pretend_pods import Pods
from ft_assets_tests.kubernetes.pretend_rules import ADMIN, Request, account_user
from ft_assets_tests.kubernetes.pretend_scheduler import GPU, Node, Scheduler, matching
from ft_assets_tests.kubernetes.pretend_validation import check

T = TypeVar("T")
REPOSITORY = Path(__file__).parents[2]
GPU_TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}
GPU_LABELS = {"nvidia.com/gpu.present": "true"}


def two_nodes() -> list[Node]:
    """A node without a GPU and a tainted, labelled one with one GPU."""
    return [Node("cpu-0"), Node("gpu-0", dict(GPU_LABELS), [dict(GPU_TAINT)], gpus=1)]


def this_machine() -> dict[str, str]:
    """The environment of "the image": this interpreter and this repository, and nothing else of who runs the tests."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    quiet = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}
    return {"PATH": path, "PYTHONPATH": str(REPOSITORY), "LANG": "C.UTF-8", **quiet}


def hear_sigterm() -> None:
    """Makes the children of this process, as those of a container, hear SIGTERM.

    A shell that starts the tests in its background lets them ignore SIGINT, Dagster treats SIGTERM alike, and what is
    ignored is inherited.
    """
    if signal.getsignal(signal.SIGTERM) == signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class PretendCluster:
    """Runs while it is entered. `folder` holds the pods' disks, logs and volume claims."""

    def __init__(
        self,
        folder: Path,
        namespace: str = "ml",
        nodes: Sequence[Node] | None = None,
        image_env: Mapping[str, str] | None = None,
        rbac: bool = False,
        limits_memory: bool = False,
    ):
        self.folder, self.namespace, self.rbac = folder, namespace, rbac
        self.requests: list[Request] = []
        self.closed = threading.Event()
        self.objects = Objects()
        self._events = Events(self.objects)
        self.pods_control = Pods(self.objects, self._events, folder, {**this_machine(), **(image_env or {})})
        self.pods_control.limits_memory = limits_memory
        self._scheduler = Scheduler(self.objects, self._events, two_nodes() if nodes is None else nodes)
        self._jobs = JobController(self.objects, self._events, self.pods_control)
        self.faults = Faults(self.objects, self._events, self.pods_control, self._scheduler)
        self.pods_control.kubeconfig = lambda space, account: self.kubeconfig(account, space)
        self.pods_control.reachable = self._reachable
        self._tokens: dict[str, str] = {}
        self._server = ApiServer(self)
        self.apply({"kind": "Namespace", "metadata": {"name": namespace}})
        self.apply({"kind": "ServiceAccount", "metadata": {"name": "default"}})

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        hear_sigterm()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        threading.Thread(target=self._control, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()
        self.pods_control.close()

    def kubeconfig(self, account: str | None = None, namespace: str | None = None) -> Path:
        """A file with which a client is this service account, or the administrator."""
        space = namespace or self.namespace
        user = account_user(space, account) if account else ADMIN
        token = next((token for token, owner in self._tokens.items() if owner == user), None)
        path = self.folder / "kubeconfigs" / (f"{space}-{account}.json" if account else "admin.json")
        if token is None:
            token = secrets.token_hex(8)
            self._tokens[token] = user
            context = {"cluster": "pretend", "user": "me", "namespace": space}
            path.parent.mkdir(parents=True, exist_ok=True)
            config = {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "pretend",
                "clusters": [{"name": "pretend", "cluster": {"server": self.url}}],
                "users": [{"name": "me", "user": {"token": token}}],
                "contexts": [{"name": "pretend", "context": context}],
            }
            path.write_text(json.dumps(config))
        return path

    def user(self, authorization: str | None) -> str:
        """Who the request's token belongs to. Raises 401 for none."""
        token = (authorization or "").removeprefix("Bearer ")
        if token not in self._tokens:
            raise Refused(401, "Unauthorized", "Unauthorized")
        return self._tokens[token]

    def apply(self, manifests: Object | Sequence[Object]) -> None:
        """Creates objects from manifests, in their own namespace or else the cluster's."""
        for manifest in [manifests] if isinstance(manifests, dict) else manifests:
            resource = next(plural for plural, kind in KINDS.items() if kind.name == manifest["kind"])
            self.create(resource, manifest["metadata"].get("namespace", self.namespace), manifest)

    def create(self, resource: str, namespace: str, body: Object) -> Object:
        """The stored object. Raises Refused as the API does."""
        if KINDS[resource].namespaced and not self.objects.find("namespaces", "", namespace):
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        check(resource, body)
        with self.objects.lock:
            if resource == "pods":
                admit_pod(self.objects, namespace, body)
                return self.pods_control.create(namespace, body)
            if resource == "jobs":
                admit_job(self.objects, namespace, body["metadata"]["name"])
                return as_job(self.objects.create(resource, namespace, body))
            return self.objects.create(resource, namespace, body)

    def delete(self, resource: str, thing: Object, options: Mapping[str, Any]) -> Object:
        """The object as it was. Pods of a Job are left alone unless the options say otherwise, as in batch/v1."""
        grace = options.get("gracePeriodSeconds")
        if resource == "pods":
            self.pods_control.delete(thing, None if grace is None else float(grace))
            return thing
        if resource == "jobs" and options.get("propagationPolicy", "Orphan") == "Orphan":
            orphan_pods(self.objects, thing)
        self.objects.remove(resource, thing)
        return thing

    def all(self, resource: str, **labels: str) -> list[Object]:
        """Copies of the objects of a kind that have these labels, oldest first."""
        with self.objects.lock:
            things = [one for one in self.objects.all(resource) if matching(labels)(one)]
            return [json.loads(json.dumps(shown(one))) for one in things]

    def jobs(self, **labels: str) -> list[Object]:
        """Copies of the Jobs."""
        return self.all("jobs", **labels)

    def pods(self, **labels: str) -> list[Object]:
        """Copies of the pods that are there."""
        return self.all("pods", **labels)

    def started_pods(self, step_key: str | None = None) -> list[Object]:
        """Copies of every pod there ever was, also those that are gone; those of one Dagster step where it is named."""
        with self.objects.lock:
            mine = [pod for pod in self.pods_control.started if step_key in (None, step_key_of(pod))]
            return [json.loads(json.dumps(shown(pod))) for pod in mine]

    def events(self, name: str | None = None) -> list[Object]:
        """Copies of the events about the object of this name, or of all."""
        return [one for one in self.all("events") if name in (None, one["involvedObject"]["name"])]

    def pod_log(self, pod: Object, container: str | None = None) -> str:
        """What the container wrote, also after its pod is gone; empty before it begins."""
        path = self.pods_control.log_path(pod, container or pod["spec"]["containers"][0]["name"])
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join(line.partition(" ")[2] for line in lines)

    def claim(self, name: str) -> Path:
        """The folder of a volume claim, which exists from now on."""
        folder = self.folder / "claims" / name
        folder.mkdir(parents=True, exist_ok=True)
        if not self.objects.find("persistentvolumeclaims", self.namespace, name):
            room = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
            self.apply({"kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": room})
        return folder

    def wait_for(self, look: Callable[[], T | None], seconds: float = 30) -> T:
        """What `look` gives once it is true. Raises TimeoutError with what the cluster looks like."""
        return waited(self.pods, look, seconds, 0.05)

    def _reachable(self, node_name: str) -> bool:
        return any(node.name == node_name and node.ready for node in self._scheduler.nodes)

    def _control(self) -> None:
        while not self.closed.wait(0.05):
            with self.objects.lock:
                self._jobs.sync()
                for pod in self._scheduler.place():
                    self.pods_control.start(pod)
                self.pods_control.sweep(self._jobs.counted)


def waited(pods: Callable[[], list[Object]], look: Callable[[], T | None], seconds: float, pause: float) -> T:
    """What `look` gives once it is true, asked every `pause` seconds. Raises TimeoutError with the pods as they are."""
    until = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > until:
            states = {pod["metadata"]["name"]: pod["status"] for pod in pods()}
            raise TimeoutError(f"not within {seconds} s; pods: {json.dumps(states)[:2000]}")
        time.sleep(pause)
    return found


def step_key_of(pod: Object) -> str | None:
    """The Dagster step that the pod runs."""
    variables = [one for container in pod["spec"]["containers"] for one in container.get("env") or []]
    return next((one.get("value") for one in variables if one["name"] == "DAGSTER_RUN_STEP_KEY"), None)
