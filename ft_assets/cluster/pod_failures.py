"""What a step's Job and its pod say about their trouble, as a cause to act on and a sentence for a person.

Everything is read as the Kubernetes API writes it in JSON (`kubectl get -o json`). Kubernetes itself waits for ever for
a node, a quota or an image; a step has no use for that, so what does not begin by itself is a failure with a reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ft_assets.cluster.pod_hints import REFUSALS, SCHEDULING, hints

# A pod that is told to end gets a grace period first, and says itself how its step went; then nobody hears it any more.
GRACE_SECONDS, SLACK_SECONDS = 30, 15
# A Job may be complete a moment before the step's last event can be read.
LAST_WORD_SECONDS = 30
# A GPU whose last pod is just ending is free in a moment, and a node may be unready for one; what lasts is a failure.
SCARCE_SECONDS = 15
PASSING = ("Insufficient", "node.kubernetes.io/")
# An image of several gigabytes and a volume take minutes on a new node; nothing that begins at all takes longer.
START_SECONDS = 30 * 60

WAITING_FOR_NOTHING = {  # reasons of a container that waits, which end only when somebody changes something
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
}
NODES_ARE_COMING = {"TriggeredScaleUp", "Nominated", "NominatedForScheduleUp"}  # cluster autoscaler, Karpenter
# status.reason of a pod that its node ended or did not take; the kubelet's words for what was not the step's doing.
ENDED_BY_ITS_NODE = {
    *("Evicted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "Preempting", "NodeAffinity"),
    *("UnexpectedAdmissionError", "OutOfcpu", "OutOfmemory", "OutOfnvidia.com/gpu", "OutOfpods"),
}
DISRUPTIONS = {  # reasons of the condition DisruptionTarget
    "PreemptionByScheduler": "preempted by a pod of higher priority",
    "DeletionByTaintManager": "deleted because its node was lost or tainted",
    "EvictionByEvictionAPI": "evicted, as by a drain of its node",
    "DeletionByPodGC": "deleted because its node is gone",
    "TerminationByKubelet": "ended by its node, for want of a resource or because the node shuts down",
}
KILLED = {137: "signal 9", 143: "signal 15"}  # exit codes of a container that did not end by itself


class Cause(StrEnum):
    """What stands behind a step that does not go on."""

    UNSCHEDULABLE = "unschedulable"  # no node may or can take its pod
    REFUSED = "refused"  # the API server takes no such pod: a quota, Pod Security, a service account
    IMAGE = "image"  # the container cannot be made: an image, a secret, a config map, a volume
    NOT_STARTED = "not started"
    LOST = "lost"  # evicted, preempted, deleted, or its node is gone
    OUT_OF_MEMORY = "out of memory"
    CRASHED = "crashed"  # the container ended, and the step never said how it went
    DELETED = "deleted"  # somebody removed the Job


@dataclass(frozen=True)
class Trouble:
    """A cause, what was found in words, and for how many seconds it must have been so before anybody acts on it.

    `last_lines` are the last that the pod wrote, where somebody kept them.
    """

    cause: Cause
    words: str
    after_seconds: float = 0
    last_lines: str = ""


def trouble_of(
    job: Mapping[str, Any] | None,
    pods: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
    is_retry: bool = False,
) -> Trouble | None:
    """What keeps a step's Job from going on; None while it waits its turn, starts or runs.

    `events` are those of the Job and of its pods; they are only read while no container runs. What was preempted or
    lost its node may have to wait until the place is free again: `is_retry` gives it time.
    """
    if job is None:
        return Trouble(Cause.DELETED, "Its Job was deleted by somebody. Launch the run again if that was a mistake.")
    if job.get("spec", {}).get("suspend"):
        return None  # a queue such as Kueue holds it back
    if not pods:
        return _without_pod(job, events)
    pod = max(pods, key=lambda each: str(each["metadata"].get("creationTimestamp")))
    if trouble := _out_of_memory(pod) or _lost(pod, job):
        return trouble
    match pod.get("status", {}).get("phase"):
        case "Pending":
            return _unschedulable(pod, events, is_retry) or _not_started(pod, events)
        case "Failed":
            return _failed(pod)
        case "Succeeded":
            return _ended(pod)
    return None


def left_behind(pods: Sequence[Mapping[str, Any]], now: float) -> str | None:
    """Why nothing will come of the newest of a Job's pods any more, although nobody says so; None where something may.

    A node that is gone cannot confirm that a pod has ended: the pod stays, past the moment at which it should be dead,
    and its Job waits for it. `now` is in seconds since 1970.
    """
    pod = max(pods, key=lambda each: str(each["metadata"].get("creationTimestamp")), default=None)
    until = pod["metadata"].get("deletionTimestamp") if pod else None
    if pod is None or until is None or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return None
    late = now - datetime.fromisoformat(until).timestamp()
    if late < SLACK_SECONDS:
        return None
    return f"{_name(pod)} should have ended {late:.0f} s ago, and its node {_node(pod)} does not answer."


def _without_pod(job: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Trouble | None:
    failed = _condition(job, "Failed")
    if failed:
        return Trouble(
            Cause.LOST, f"Its pod is gone: deleted, or its node was removed ({failed.get('reason')}). {_said(failed)}"
        )
    if _condition(job, "Complete"):
        return Trouble(Cause.CRASHED, "Its Job is complete and its pod is gone.", LAST_WORD_SECONDS)
    if refusal := _newest(events, {"FailedCreate"}):
        return Trouble(
            Cause.REFUSED, f"The API server refuses its pod: {_said(refusal)}.{hints(_said(refusal), REFUSALS)}"
        )
    return Trouble(Cause.NOT_STARTED, "Its Job has had no pod all the time.", START_SECONDS)


def _out_of_memory(pod: Mapping[str, Any]) -> Trouble | None:
    for status in pod.get("status", {}).get("containerStatuses") or ():
        for state in (status.get("state"), status.get("lastState")):
            if ((state or {}).get("terminated") or {}).get("reason") == "OOMKilled":
                limit = _memory_limit(pod, status.get("name"))
                return Trouble(
                    Cause.OUT_OF_MEMORY, f"{_name(pod)} was OOM-killed: it took more memory than its limit of {limit}."
                )
    return None


def _lost(pod: Mapping[str, Any], job: Mapping[str, Any]) -> Trouble | None:
    status, metadata = pod.get("status", {}), pod["metadata"]
    ended = status.get("phase") == "Failed" or bool(_condition(job, "Failed"))
    disruption = _condition(pod, "DisruptionTarget")
    why = f" {_said(status)}" if _said(status) else ""
    if disruption:
        reason = str(disruption.get("reason"))
        words = f"{_name(pod)} was {DISRUPTIONS.get(reason, reason)} ({reason}).{why or ' ' + _said(disruption)}"
    elif status.get("phase") == "Failed" and status.get("reason") in ENDED_BY_ITS_NODE:
        words = f"{_name(pod)} was ended by its node {_node(pod)}: {status['reason']}.{why}"
    elif status.get("phase") == "Unknown":
        words, ended = f"Nobody knows how {_name(pod)} is: its node {_node(pod)} does not answer.{why}", True
    elif metadata.get("deletionTimestamp"):
        words = f"{_name(pod)} was deleted.{why}"
    else:
        return None
    grace = metadata.get("deletionGracePeriodSeconds")
    patience = (GRACE_SECONDS if grace is None else grace) + SLACK_SECONDS
    return Trouble(Cause.LOST, words, 0 if ended else patience)


def _unschedulable(pod: Mapping[str, Any], events: Sequence[Mapping[str, Any]], is_retry: bool) -> Trouble | None:
    scheduled = _condition(pod, "PodScheduled", "False")
    if scheduled is None:
        return None
    if scheduled.get("reason") == "SchedulingGated" or _newest(events, NODES_ARE_COMING):
        return Trouble(Cause.NOT_STARTED, f"{_name(pod)} waits for its turn or for a new node.", START_SECONDS)
    said = _said(scheduled) or "the scheduler does not say why"
    patience = START_SECONDS if is_retry else SCARCE_SECONDS if any(part in said for part in PASSING) else 0
    return Trouble(Cause.UNSCHEDULABLE, f"No node takes {_name(pod)}: {said}{hints(said, SCHEDULING)}", patience)


def _not_started(pod: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Trouble:
    for status in _container_statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in WAITING_FOR_NOTHING:
            return Trouble(
                Cause.IMAGE,
                f"The container of {_name(pod)} cannot be made from image {status.get('image')}: "
                f"{waiting['reason']}. {_said(waiting)}",
            )
    mount = _newest(events, {"FailedMount", "FailedAttachVolume"})
    if mount and "not found" in _said(mount):
        return Trouble(Cause.IMAGE, f"{_name(pod)} needs a volume that is not there: {_said(mount)}")
    told = _newest(events, None)
    return Trouble(
        Cause.NOT_STARTED,
        f"{_name(pod)} did not start in {START_SECONDS // 60} minutes. {_said(told or {})}",
        START_SECONDS,
    )


def _failed(pod: Mapping[str, Any]) -> Trouble:
    for status in _container_statuses(pod):
        ended = (status.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode") in KILLED:
            return Trouble(
                Cause.LOST, f"{_name(pod)} was killed by {KILLED[ended['exitCode']]}; its node does not say why."
            )
        if ended.get("exitCode"):
            return Trouble(
                Cause.CRASHED,
                f"{_name(pod)} ended with exit code {ended['exitCode']} ({ended.get('reason')}) before its step said "
                f"how it went. {_said(ended)}",
                SLACK_SECONDS,
            )
    return Trouble(Cause.CRASHED, f"{_name(pod)} failed. {_said(pod['status'])}", SLACK_SECONDS)


def _ended(pod: Mapping[str, Any]) -> Trouble:
    return Trouble(
        Cause.CRASHED,
        f"{_name(pod)} ended well, and its step never said how it went: it was started a second time, or could not "
        "reach the database of the run. Nothing counts as made.",
        LAST_WORD_SECONDS,
    )


def _condition(of: Mapping[str, Any], kind: str, wanted: str = "True") -> Mapping[str, Any] | None:
    conditions = of.get("status", {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind and each.get("status") == wanted), None)


def _container_statuses(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _newest(events: Sequence[Mapping[str, Any]], reasons: set[str] | None) -> Mapping[str, Any] | None:
    """The last event with one of these reasons; without reasons, the last warning."""
    found = [
        event for event in events if (event.get("reason") in reasons if reasons else event.get("type") == "Warning")
    ]
    return max(found, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""), default=None)


def _said(of: Mapping[str, Any]) -> str:
    return " ".join(str(of.get("message") or "").split())


def _name(pod: Mapping[str, Any]) -> str:
    return f"pod {pod['metadata']['name']}"


def _node(pod: Mapping[str, Any]) -> str:
    return str(pod.get("spec", {}).get("nodeName") or "(none)")


def _memory_limit(pod: Mapping[str, Any], container: str | None) -> str:
    for each in pod.get("spec", {}).get("containers") or ():
        if each.get("name") == container:
            limits = (each.get("resources") or {}).get("limits") or {}
            return str(limits.get("memory", "what its node has"))
    return "what its node has"
