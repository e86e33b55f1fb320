"""Pods as a kubelet runs them: containers as local processes, their logs, their states and their end."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ft_assets_tests.kubernetes.pretend_containers import NotReady, PodFolder, expanded, variables
from ft_assets_tests.kubernetes.pretend_memory import MemoryLimit
from ft_assets_tests.kubernetes.pretend_objects import Events, Object, Objects, Refused, name_of, now
from ft_assets_tests.kubernetes.pretend_scheduler import amount

KILLED = 137
DISRUPTION = "DisruptionTarget"


@dataclass
class PodLife:
    """The processes of one pod."""

    folder: PodFolder
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    logs: dict[str, threading.Thread] = field(default_factory=dict)
    memory: dict[str, MemoryLimit] = field(default_factory=dict)  # where limits are real
    stopping: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    killed_for: str | None = None  # what the kubelet says of a container that it or the kernel killed
    pod_reason: tuple[str, str] | None = None  # reason and message of a pod that the kubelet itself ended

    def signal(self, number: int) -> None:
        """Sends it to each container's first process, which must tell the others; SIGKILL goes to all of them."""
        for process in self.processes.values():
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    (os.killpg if number == signal.SIGKILL else os.kill)(process.pid, number)

    def end(self, grace_seconds: float) -> None:
        """SIGTERM now and SIGKILL when the grace period is over."""
        self.stopping.set()
        if grace_seconds > 0:
            self.signal(signal.SIGTERM)
            late = threading.Timer(grace_seconds, self.signal, [signal.SIGKILL])
            late.daemon = True
            late.start()
        else:
            self.signal(signal.SIGKILL)


class Pods:
    """Creates, runs and ends pods. `reachable` says whether a node's kubelet can be heard."""

    def __init__(self, objects: Objects, events: Events, folder: Path, image_env: Mapping[str, str]):
        self.image_env = dict(image_env)
        self.missing_images: set[str] = set()
        self.limits_memory = False
        self.kubeconfig: Callable[[str, str], Path] = lambda namespace, account: folder
        self.reachable: Callable[[str], bool] = lambda node: True
        self.started: list[Object] = []
        self._objects, self._events, self._folder = objects, events, folder
        self._lives: dict[str, PodLife] = {}
        self._closed = threading.Event()

    def create(self, namespace: str, pod: Object) -> Object:
        """The stored pod, Pending. Raises Refused for one that is to be restarted, which this cluster does not do."""
        spec = pod["spec"]
        if spec.get("restartPolicy", "Always") != "Never":
            raise Refused(501, "NotImplemented", "the pretend cluster does not restart containers: say Never")
        spec.setdefault("terminationGracePeriodSeconds", 30)
        pod["status"] = {"phase": "Pending", "qosClass": "Burstable"}
        created = self._objects.create("pods", namespace, pod)
        self.started.append(created)
        return created

    def start(self, pod: Object) -> None:
        """Runs a pod that has a node."""
        folder = PodFolder(self._folder / "pods" / name_of(pod), self._folder / "claims")
        life = self._lives[pod["metadata"]["uid"]] = PodLife(folder)
        threading.Thread(target=self._live, args=(pod, life), daemon=True).start()

    def delete(self, pod: Object, grace_seconds: float | None = None) -> None:
        """Marks the pod as leaving and ends its processes; `sweep` takes the object away when they have ended."""
        with self._objects.lock:
            meta = pod["metadata"]
            grace = pod["spec"]["terminationGracePeriodSeconds"] if grace_seconds is None else grace_seconds
            if "deletionTimestamp" in meta and grace >= meta["deletionGracePeriodSeconds"]:
                return
            meta.update(deletionTimestamp=now(grace), deletionGracePeriodSeconds=grace)  # when it is to be dead
            life = self._lives.get(meta["uid"])
            if life is None and pod["status"]["phase"] == "Pending":
                pod["status"]["phase"] = "Failed"
            self._objects.save("pods", pod)
        if life and self.reachable(pod["spec"]["nodeName"]):
            life.end(grace)

    def kill(self, pod: Object, container_reason: str, pod_reason: tuple[str, str] | None = None) -> None:
        """SIGKILL, and what is said of it."""
        life = self._lives[pod["metadata"]["uid"]]
        life.killed_for, life.pod_reason = container_reason, pod_reason
        life.end(0)

    def life(self, pod: Object) -> PodLife | None:
        """The pod's processes, or None where it never had a node."""
        return self._lives.get(pod["metadata"]["uid"])

    def disrupt(self, pod: Object, reason: str, message: str) -> None:
        """Adds the condition that tells a disruption from a failure of the program."""
        condition = {"type": DISRUPTION, "status": "True", "reason": reason, "message": message}
        with self._objects.lock:
            conditions = pod["status"].setdefault("conditions", [])
            conditions.append({**condition, "lastTransitionTime": now()})
            self._objects.save("pods", pod)

    def sweep(self, counted: Callable[[Object], bool]) -> None:
        """Takes away pods that are leaving, have ended, and whose Job has counted them."""
        for pod in self._objects.all("pods"):
            meta = pod["metadata"]
            if "deletionTimestamp" not in meta:
                continue
            life = self._lives.get(meta["uid"])
            gone = life is None or life.over.is_set() or meta["deletionGracePeriodSeconds"] == 0
            if gone and counted(pod):
                self._objects.remove("pods", pod)

    def log_path(self, pod: Object, container: str) -> Path:
        """Where the container's log lies: each line with its time in front."""
        return self._folder / "logs" / name_of(pod) / f"{container}.log"

    def close(self) -> None:
        """Kills every process that still runs."""
        self._closed.set()
        for life in list(self._lives.values()):
            life.end(0)
        for life in list(self._lives.values()):
            life.over.wait(5)

    # What the kubelet's thread for one pod does

    def _live(self, pod: Object, life: PodLife) -> None:
        try:
            for container in pod["spec"].get("initContainers") or []:
                if not self._run(pod, life, [container], "initContainerStatuses"):
                    self._finish(pod, life, "Failed")
                    return
            good = self._run(pod, life, pod["spec"]["containers"], "containerStatuses")
            self._finish(pod, life, "Succeeded" if good else "Failed")
        finally:
            life.over.set()

    def _run(self, pod: Object, life: PodLife, containers: list[Object], field_name: str) -> bool:
        """Starts these containers and waits for all of them; whether every one exited with 0."""
        earlier = pod["status"].get(field_name) or []
        environs = self._prepare(pod, life, containers, field_name)
        if environs is None:
            return False
        with self._objects.lock:
            if life.stopping.is_set():
                return False
            states = [self._launch(pod, life, one, environs[one["name"]]) for one in containers]
            if field_name == "containerStatuses":
                pod["status"].update(phase="Running", startTime=now(), podIP="127.0.0.1", hostIP="127.0.0.1")
            pod["status"][field_name] = [*earlier, *states] if field_name != "containerStatuses" else states
            self._objects.save("pods", pod)
        for state in states:
            self._wait(pod, life, state)
        return all(state["state"]["terminated"]["exitCode"] == 0 for state in states)

    def _prepare(
        self, pod: Object, life: PodLife, containers: list[Object], field_name: str
    ) -> dict[str, dict[str, str]] | None:
        """The containers' variables, once images, volumes and variables are all there; None when the pod leaves."""
        said = None
        while not life.stopping.wait(0.05 if said else 0):
            try:
                life.folder.root.mkdir(parents=True, exist_ok=True)
                self._pull(pod, containers, said)
                with self._objects.lock:
                    life.folder.mount(self._objects, pod)
                    return {one["name"]: self._environ(pod, life, one) for one in containers}
            except NotReady as missing:
                if (missing.reason, missing.message) != said:
                    said = (missing.reason, missing.message)
                    self._say_waiting(pod, containers, field_name, missing)
        return None

    def _pull(self, pod: Object, containers: list[Object], said: tuple[str, str] | None) -> None:
        for image in [one["image"] for one in containers if one["image"] in self.missing_images]:
            first = said is None
            why = (
                f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
            )
            if first:
                pull = f'Failed to pull image "{image}": rpc error: code = NotFound desc = {why}'
                self._events.say(pod, "Failed", pull)
                raise NotReady("ErrImagePull", "Failed", f"rpc error: code = NotFound desc = {why}")
            time.sleep(0.2)
            raise NotReady("ImagePullBackOff", "BackOff", f'Back-off pulling image "{image}"')

    def _say_waiting(self, pod: Object, containers: list[Object], field_name: str, missing: NotReady) -> None:
        state = {"waiting": {"reason": missing.reason, "message": missing.message}}
        with self._objects.lock:
            pod["status"][field_name] = [_status(one, dict(state)) for one in containers]
            self._objects.save("pods", pod)
        said = missing.message if missing.event in ("FailedMount", "BackOff") else f"Error: {missing.reason}"
        self._events.say(pod, missing.event, said if "Pull" in missing.reason else missing.message)

    def _environ(self, pod: Object, life: PodLife, container: Object) -> dict[str, str]:
        root, numbers = life.folder.root, ",".join(map(str, pod.get("_gpus", ())))
        for name in ("home", "tmp"):
            (root / name).mkdir(exist_ok=True)
        own = {"HOME": str(root / "home"), "TMPDIR": str(root / "tmp"), "HOSTNAME": name_of(pod)}
        devices = {"NVIDIA_VISIBLE_DEVICES": numbers or "void", "CUDA_VISIBLE_DEVICES": numbers}
        if pod["spec"].get("automountServiceAccountToken", True):
            own["KUBECONFIG"] = str(self.kubeconfig(pod["metadata"]["namespace"], pod["spec"]["serviceAccountName"]))
        values = variables(self._objects, pod, container, {**self.image_env, **own, **devices})
        return {name: life.folder.here(value) for name, value in values.items()}

    def _launch(self, pod: Object, life: PodLife, container: Object, environ: dict[str, str]) -> Object:
        words = [*(container.get("command") or []), *(container.get("args") or [])]
        # JSON is what Dagster hands on from pod to pod, the mounts of the next ones with it: that stays as it is.
        command = [word if word.startswith("{") else life.folder.here(expanded(word, environ)) for word in words]
        folder = life.folder.here(container.get("workingDir") or str(life.folder.root))
        log = self.log_path(pod, container["name"])
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        most = ((container.get("resources") or {}).get("limits") or {}).get("memory")
        if self.limits_memory and most:
            limit = MemoryLimit(f"{name_of(pod)}-{container['name']}", int(amount(most)))
            life.memory[container["name"]], command = limit, limit.starting(command)
        try:
            process = subprocess.Popen(
                command, env=environ, cwd=folder, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except OSError as error:
            why = f"failed to create containerd task: exec: {json.dumps(command[:1])}: {error.strerror}: unknown"
            return _status(container, {"terminated": _ended(128, "StartError", now(), why)})
        life.processes[container["name"]] = process
        keeper = life.logs[container["name"]] = threading.Thread(target=_keep_log, args=(process, log), daemon=True)
        keeper.start()
        return _status(container, {"running": {"startedAt": now()}}, ready=True)

    def _wait(self, pod: Object, life: PodLife, status: Object) -> None:
        process = life.processes.get(status["name"])
        if process is None:
            return
        code = process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what the container's first process left behind dies with it
        life.logs[status["name"]].join(2)
        code = 128 - code if code < 0 else code
        while not self.reachable(pod["spec"]["nodeName"]) and not self._closed.wait(0.05):
            pass  # nobody hears the kubelet of a lost node
        reason = life.killed_for if life.killed_for and code == KILLED else "Completed" if code == 0 else "Error"
        if limit := life.memory.pop(status["name"], None):
            reason = "OOMKilled" if limit.kills() else reason
            limit.remove()
        with self._objects.lock:
            began = status["state"]["running"]["startedAt"]
            status.update(ready=False, started=False, state={"terminated": _ended(code, reason, began)})
            self._objects.save("pods", pod)

    def _finish(self, pod: Object, life: PodLife, phase: str) -> None:
        with self._objects.lock:
            pod["status"]["phase"] = phase
            if life.pod_reason:
                pod["status"]["reason"], pod["status"]["message"] = life.pod_reason
            self._objects.save("pods", pod)


def _status(container: Object, state: Object, ready: bool = False) -> Object:
    said = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
    return {**said, "ready": ready, "started": ready, "state": state, "lastState": {}}


def _ended(code: int, reason: str, began: str, message: str | None = None) -> Object:
    ended = {"exitCode": code, "reason": reason, "startedAt": began, "finishedAt": now()}
    return {**ended, "message": message} if message else ended


def _keep_log(process: subprocess.Popen[bytes], path: Path) -> None:
    assert process.stdout
    with path.open("ab", buffering=0) as log:
        for line in process.stdout:
            log.write(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode() + line.rstrip(b"\n") + b"\n")
