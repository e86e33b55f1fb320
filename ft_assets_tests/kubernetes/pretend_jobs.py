"""Jobs as their controller keeps them: pods for them, their status, their end, and what is swept up after them."""

import calendar
import copy
import random
import string
import time

from ft_assets_tests.kubernetes.pretend_admission import admit_pod
from ft_assets_tests.kubernetes.pretend_objects import Events, Object, Objects, Refused, name_of, now
from ft_assets_tests.kubernetes.pretend_pods import Pods

RETRY_SECONDS = 0.3  # a real controller waits 10 s before it replaces a failed pod, then twice as long each time


def as_job(job: Object) -> Object:
    """The Job with the server's defaults and the labels that its pods carry."""
    spec, uid = job["spec"], job["metadata"]["uid"]
    for field, value in {"backoffLimit": 6, "completions": 1, "parallelism": 1, "completionMode": "NonIndexed"}.items():
        spec.setdefault(field, value)
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed")
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    marks = {"controller-uid": uid, "job-name": name_of(job)}
    labels = {**marks, **{f"batch.kubernetes.io/{key}": value for key, value in marks.items()}}
    meta = spec["template"].setdefault("metadata", {})
    meta["labels"] = {**(meta.get("labels") or {}), **labels}
    job["status"] = {}
    return job


class JobController:
    """Makes the pods of Jobs and the Jobs' status; collects what belongs to nobody any more."""

    def __init__(self, objects: Objects, events: Events, pods: Pods):
        self._objects, self._events, self._pods = objects, events, pods
        self._counted: dict[str, dict[str, str]] = {}  # by the Job's uid: how each of its pods ended
        self._not_before: dict[str, float] = {}
        self._letters = random.Random(8)

    def sync(self) -> None:
        """One look at every Job, and at every object whose owner is gone."""
        for job in self._objects.all("jobs"):
            before = copy.deepcopy(job["status"])
            if not _ended(job):
                self._step(job)
            if job["status"] != before:
                self._objects.save("jobs", job)
            self._expire(job)
        self._collect()

    def counted(self, pod: Object) -> bool:
        """Whether the pod's Job has seen its end; until then a real pod is kept by a finalizer."""
        owner = next((one["uid"] for one in pod["metadata"].get("ownerReferences") or []), None)
        job = next((one for one in self._objects.all("jobs") if one["metadata"]["uid"] == owner), None)
        return job is None or bool(_ended(job)) or pod["metadata"]["uid"] in self._counted.get(owner or "", {})

    def _step(self, job: Object) -> None:
        spec, status, uid = job["spec"], job["status"], job["metadata"]["uid"]
        if spec["suspend"]:
            status["conditions"] = [_condition("Suspended", "JobSuspended", "Job suspended")]
            return
        status.setdefault("startTime", now())
        mine = [pod for pod in self._objects.all("pods", job["metadata"]["namespace"]) if _owned(pod, uid)]
        ends = self._counted.setdefault(uid, {})
        broken = [self._count(job, pod, ends) for pod in mine if pod["metadata"]["uid"] not in ends]
        active = [pod for pod in mine if pod["metadata"]["uid"] not in ends]
        failed, succeeded = (list(ends.values()).count(how) for how in ("failed", "succeeded"))
        status.update(active=len(active), failed=failed, succeeded=succeeded, ready=sum(map(_running, active)))
        for field in [field for field, value in status.items() if value == 0]:
            del status[field]
        ending = job.get("_ending") or self._ending(job, failed, succeeded, next(filter(None, broken), None))
        if ending is not None:
            self._end(job, active, ending)
        elif len(active) + succeeded < min(spec["parallelism"], spec["completions"]):
            self._add_pod(job)

    def _count(self, job: Object, pod: Object, ends: dict[str, str]) -> str | None:
        """Notes how a pod ended, if it has; the reason when a rule of the Job's failure policy ends the Job."""
        phase, leaving = pod["status"]["phase"], pod["metadata"].get("deletionTimestamp")
        uid = pod["metadata"]["uid"]
        if phase == "Succeeded":
            ends[uid] = "succeeded"
        elif phase == "Failed" or (leaving and job["spec"]["podReplacementPolicy"] != "Failed"):
            action = _action(job["spec"].get("podFailurePolicy"), pod)
            ends[uid] = "ignored" if action == "Ignore" else "failed"
            self._not_before[job["metadata"]["uid"]] = time.monotonic() + RETRY_SECONDS
            if action == "FailJob":
                return f"Pod {pod['metadata']['namespace']}/{name_of(pod)} matched a FailJob rule"
        return None

    def _ending(self, job: Object, failed: int, succeeded: int, broken: str | None) -> Object | None:
        spec = job["spec"]
        if broken:
            return _condition("Failed", "PodFailurePolicy", broken)
        if succeeded >= spec["completions"]:
            return _condition("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
        if failed > spec["backoffLimit"]:
            return _condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        deadline = spec.get("activeDeadlineSeconds")
        if deadline is not None and _age(job["status"]["startTime"]) >= deadline:
            return _condition("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
        return None

    def _end(self, job: Object, active: list[Object], ending: Object) -> None:
        for pod in active:
            self._pods.delete(pod)
        if active and job["spec"]["podReplacementPolicy"] == "Failed":
            job["_ending"] = ending
            return  # its last pods are ending; the condition comes when they have
        job["status"].pop("active", None)
        job["status"].pop("ready", None)
        if active:
            job["status"]["failed"] = job["status"].get("failed", 0) + len(active)
        job["status"]["conditions"] = [ending]
        if ending["type"] == "Complete":
            job["status"]["completionTime"] = now()
        kind = "Normal" if ending["type"] == "Complete" else "Warning"
        reason = "Completed" if ending["type"] == "Complete" else ending["reason"]
        self._events.say(job, reason, ending["message"], kind, "job-controller")

    def _add_pod(self, job: Object) -> None:
        uid, meta = job["metadata"]["uid"], job["metadata"]
        if time.monotonic() < self._not_before.get(uid, 0.0):
            return
        pod = copy.deepcopy(job["spec"]["template"])
        tail = "".join(self._letters.choices(string.ascii_lowercase + string.digits, k=5))
        pod["metadata"]["name"] = f"{meta['name'][:57]}-{tail}"
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": uid, "controller": True}
        pod["metadata"]["ownerReferences"] = [{**owner, "blockOwnerDeletion": True}]
        try:
            admit_pod(self._objects, meta["namespace"], pod)
        except Refused as refused:
            self._not_before[uid] = time.monotonic() + RETRY_SECONDS
            self._events.say(job, "FailedCreate", f"Error creating: {refused.message}", by="job-controller")
            return
        created = self._pods.create(meta["namespace"], pod)
        job["status"]["active"] = job["status"].get("active", 0) + 1
        self._events.say(job, "SuccessfulCreate", f"Created pod: {name_of(created)}", "Normal", "job-controller")

    def _expire(self, job: Object) -> None:
        keep = job["spec"].get("ttlSecondsAfterFinished")
        ended = _ended(job)
        if keep is not None and ended and _age(ended["lastTransitionTime"]) >= keep:
            self._objects.remove("jobs", job)

    def _collect(self) -> None:
        """An object all of whose owners are gone goes too."""
        for resource in ("jobs", "pods"):
            for thing in self._objects.all(resource):
                owners = thing["metadata"].get("ownerReferences")
                if not owners or any(self._objects.exists(owner["uid"]) for owner in owners):
                    continue
                if resource == "pods":
                    self._pods.delete(thing)
                else:
                    self._objects.remove("jobs", thing)


def orphan_pods(objects: Objects, job: Object) -> None:
    """The Job's pods belong to nobody from now on and live on: what deleting a Job does unless it is told otherwise."""
    for pod in objects.all("pods", job["metadata"]["namespace"]):
        if _owned(pod, job["metadata"]["uid"]):
            del pod["metadata"]["ownerReferences"]
            objects.save("pods", pod)


def _action(policy: Object | None, pod: Object) -> str:
    for rule in (policy or {}).get("rules") or []:
        conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions") or []}
        asked = rule.get("onPodConditions") or []
        if any(conditions.get(one["type"]) == one.get("status", "True") for one in asked):
            return str(rule["action"])
        codes = rule.get("onExitCodes")
        if codes and any(_code_matches(codes, one) for one in pod["status"].get("containerStatuses") or []):
            return str(rule["action"])
    return "Count"


def _code_matches(codes: Object, status: Object) -> bool:
    ended = status["state"].get("terminated")
    if not ended or not ended["exitCode"] or codes.get("containerName") not in (None, status["name"]):
        return False
    return (ended["exitCode"] in codes["values"]) == (codes["operator"] == "In")


def _owned(pod: Object, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in pod["metadata"].get("ownerReferences") or [])


def _running(pod: Object) -> bool:
    return bool(pod["status"]["phase"] == "Running")


def _ended(job: Object) -> Object | None:
    conditions = job["status"].get("conditions") or []
    return next((one for one in conditions if one["type"] in ("Complete", "Failed")), None)


def _condition(kind: str, reason: str, message: str) -> Object:
    said = {"type": kind, "status": "True", "reason": reason, "message": message}
    return {**said, "lastTransitionTime": now(), "lastProbeTime": now()}


def _age(moment: str) -> float:
    """Seconds since then."""
    return time.time() - calendar.timegm(time.strptime(moment, "%Y-%m-%dT%H:%M:%SZ"))
