"""Trouble on demand: what clusters do to pods, and what their API does to who asks."""

import signal
import threading
import time
from dataclasses import dataclass

from ft_assets_tests.kubernetes.pretend_objects import Events, Object, Objects, Refused, name_of
from ft_assets_tests.kubernetes.pretend_pods import Pods
from ft_assets_tests.kubernetes.pretend_rules import Request
from ft_assets_tests.kubernetes.pretend_scheduler import Node, Scheduler, matching

_NO_GPU = (
    "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, "
    "1 node(s) had untolerated taint {nvidia.com/gpu: present}. "
    "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
)
_REASONS = {401: "Unauthorized", 403: "Forbidden", 410: "Expired", 429: "TooManyRequests", 500: "InternalError"}


class HungUp(Exception):
    """The connection is closed without an answer."""


@dataclass
class ApiFault:
    """What happens to the next requests that match. `after_effect`: the request is done, its answer is lost."""

    status: int | None
    delay_seconds: float
    hang_up: bool
    after_effect: bool
    times: int
    verb: str | None
    resource: str | None

    def matches(self, request: Request) -> bool:
        """Whether this request is to suffer."""
        return self.times > 0 and self.verb in (None, request.verb) and self.resource in (None, request.resource)

    def strike(self) -> None:
        """Waits, then raises what is to be answered instead, if anything is."""
        time.sleep(self.delay_seconds)
        if self.hang_up:
            raise HungUp
        if self.status:
            reason = _REASONS.get(self.status, "ServiceUnavailable")
            raise Refused(self.status, reason, f"asked to answer {self.status}")


class Faults:
    """The knobs that tests turn. A pod is given as the dict that the cluster gave."""

    def __init__(self, objects: Objects, events: Events, pods: Pods, scheduler: Scheduler):
        self.missing_images = pods.missing_images
        self._objects, self._events, self._pods, self._scheduler = objects, events, pods, scheduler
        self._api: list[ApiFault] = []
        self._lock = threading.Lock()

    def hold(self, message: str = _NO_GPU, **labels: str) -> None:
        """Pods with these labels (all, where none is given) that have no node yet get none, for this reason."""
        self._scheduler.held.append((matching(labels), message))

    def release(self) -> None:
        """Ends every hold."""
        self._scheduler.held.clear()

    def oom_kill(self, pod: Object) -> None:
        """The kernel kills the container: 137, OOMKilled."""
        self._pods.kill(self._own(pod), "OOMKilled")

    def run_out_of_memory(self, pod: Object) -> None:
        """The limit falls to what the container has, so that the kernel kills it. For clusters with real limits."""
        life = self._pods.life(self._own(pod))
        assert life and life.memory, "PretendCluster(limits_memory=True) makes limits that can be lowered"
        for limit in list(life.memory.values()):
            limit.squeeze()

    def evict(self, pod: Object) -> None:
        """The kubelet ends the pod because its node runs out of memory; the pod stays, Failed and Evicted."""
        pod = self._own(pod)
        why = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 51200Ki. "
        self._pods.disrupt(pod, "TerminationByKubelet", why)
        self._events.say(pod, "Evicted", why)
        self._pods.kill(pod, "Error", ("Evicted", why))

    def preempt(self, pod: Object, grace_seconds: float | None = None) -> None:
        """A pod of higher priority takes the place: SIGTERM, the grace period, SIGKILL, and the pod is gone."""
        pod = self._own(pod)
        why = "default-scheduler: preempting to accommodate a higher priority pod"
        self._pods.disrupt(pod, "PreemptionByScheduler", why)
        self._events.say(
            pod, "Preempted", f"Preempted by pod on node {pod['spec']['nodeName']}", by="default-scheduler"
        )
        self._pods.delete(pod, grace_seconds)

    def delete(self, pod: Object, grace_seconds: float | None = None) -> None:
        """What `kubectl delete pod` does: SIGTERM, the grace period, SIGKILL, and the pod is gone."""
        self._pods.delete(self._own(pod), grace_seconds)

    def lose_node(self, name: str, processes: str = "killed") -> None:
        """The node is heard of no more; its pods are marked for deletion and stay. Its processes may "run_on"."""
        node, pods = self._node(name), self._on(name)
        node.ready = False
        for pod in pods:
            self._pods.disrupt(pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
            self._events.say(pod, "NodeNotReady", "Node is not ready", by="node-controller")
            self._pods.delete(pod)
            life = self._pods.life(pod)
            if life and processes == "killed":
                life.signal(signal.SIGKILL)

    def return_node(self, name: str) -> None:
        """The node is heard of again; its kubelet ends the pods that were deleted meanwhile."""
        self._node(name).ready = True
        for pod in self._on(name):
            life = self._pods.life(pod)
            if life and "deletionTimestamp" in pod["metadata"]:
                life.end(pod["metadata"]["deletionGracePeriodSeconds"])

    def remove_node(self, name: str) -> None:
        """The node is taken out of the cluster, and the pods that it had with it. Its processes may still run."""
        self._scheduler.nodes.remove(self._node(name))
        for pod in self._on(name):
            self._pods.disrupt(pod, "DeletionByPodGC", "PodGC: node no longer exists")
            pod["status"]["phase"] = "Failed"
            self._pods.delete(pod, 0)

    def answer(
        self,
        status: int | None = None,
        *,
        delay_seconds: float = 0,
        hang_up: bool = False,
        after_effect: bool = False,
        times: int = 1,
        verb: str | None = None,
        resource: str | None = None,
    ) -> None:
        """The next `times` requests of this verb on this resource are delayed, refused or cut off."""
        fault = ApiFault(status, delay_seconds, hang_up, after_effect, times, verb, resource)
        with self._lock:
            self._api.append(fault)

    def for_request(self, request: Request) -> ApiFault | None:
        """The fault that this request is to suffer; it is used up by one."""
        with self._lock:
            fault = next((fault for fault in self._api if fault.matches(request)), None)
            if fault:
                fault.times -= 1
            return fault

    def _own(self, pod: Object) -> Object:
        return self._objects.read("pods", pod["metadata"]["namespace"], name_of(pod))

    def _node(self, name: str) -> Node:
        return next(node for node in self._scheduler.nodes if node.name == name)

    def _on(self, node_name: str) -> list[Object]:
        return [pod for pod in self._objects.all("pods") if pod["spec"].get("nodeName") == node_name]
