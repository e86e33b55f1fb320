"""Words of real clusters, and what they mean."""

from typing import Any

import pytest

from ft_assets.cluster.pod_failures import Cause, left_behind, trouble_of

JOB: dict[str, Any] = {"metadata": {"name": "step"}, "spec": {}, "status": {}}
NOTHING_FREE = "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) had untolerated taint {a: b}."
TAINTED = "0/2 nodes are available: 2 node(s) had untolerated taint {a: b}."


def pod(phase: str = "Running", **status: Any) -> dict[str, Any]:
    limits = {"resources": {"limits": {"memory": "16Gi"}}}
    return {
        "metadata": {"name": "step-x", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "node-a", "containers": [{"name": "dagster", **limits}]},
        "status": {"phase": phase, **status},
    }


def container(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "dagster", "image": "image:1", "state": state}]}


def ended(reason: str, exit_code: int) -> dict[str, Any]:
    return pod("Failed", **container(terminated={"reason": reason, "exitCode": exit_code}))


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, "reason": reason, "message": message}]}


def unschedulable(message: str, reason: str = "Unschedulable") -> dict[str, Any]:
    return pod("Pending", **condition("PodScheduled", "False", reason, message))


def event(reason: str, message: str) -> dict[str, Any]:
    return {"type": "Warning", "reason": reason, "message": message, "lastTimestamp": "2026-01-01T00:00:00Z"}


def test_a_pod_that_runs_or_waits_its_turn_is_in_no_trouble() -> None:
    assert trouble_of(JOB, [pod()], ()) is None
    assert trouble_of({**JOB, "spec": {"suspend": True}}, [], ()) is None


@pytest.mark.parametrize(
    ("found", "cause", "words"),
    [
        (unschedulable(TAINTED), "unschedulable", "a taint that the step does not tolerate"),
        (pod("Pending", **container(waiting={"reason": "ImagePullBackOff", "message": "no such"})), "image", "image:1"),
        (pod("Pending", **container(waiting={"reason": "CreateContainerConfigError"})), "image", "ConfigError"),
        (ended("OOMKilled", 137), "out of memory", "more memory than its limit of 16Gi"),
        (pod("Failed", reason="Evicted", message="low on resource: memory"), "lost", "low on resource: memory"),
        (pod("Failed", **condition("DisruptionTarget", "True", "PreemptionByScheduler")), "lost", "preempted"),
        (pod("Failed", reason="UnexpectedAdmissionError"), "lost", "ended by its node node-a"),
        (ended("Error", 137), "lost", "signal 9"),
        (pod("Unknown"), "lost", "does not answer"),
        (ended("Error", 1), "crashed", "exit code 1"),
        (pod("Succeeded"), "crashed", "never said how it went"),
    ],
)
def test_what_a_pod_says_has_a_cause_and_words(found: dict[str, Any], cause: str, words: str) -> None:
    trouble = trouble_of(JOB, [found], ())
    assert trouble is not None and trouble.cause == cause
    assert words in trouble.words


def test_a_gpu_that_is_held_just_now_gets_a_moment_and_a_replaced_pod_gets_longer() -> None:
    first, again = (trouble_of(JOB, [unschedulable(NOTHING_FREE)], (), is_retry) for is_retry in (False, True))
    assert first and again and 0 < first.after_seconds <= 30 < 600 < again.after_seconds
    tainted = trouble_of(JOB, [unschedulable(TAINTED)], ())
    assert tainted and tainted.after_seconds == 0


def test_a_pod_whose_node_is_on_its_way_may_wait() -> None:
    scaled = trouble_of(JOB, [unschedulable(NOTHING_FREE)], [event("TriggeredScaleUp", "pod triggered scale-up")])
    gated = trouble_of(JOB, [unschedulable("", "SchedulingGated")], ())
    assert scaled and gated and {scaled.cause, gated.cause} == {Cause.NOT_STARTED}
    assert min(scaled.after_seconds, gated.after_seconds) >= 600


def test_a_pod_that_the_api_refuses_is_told_with_the_reason_and_what_to_do() -> None:
    said = 'pods "step-x" is forbidden: exceeded quota: team, requested: requests.nvidia.com/gpu=2, used: 0, limited: 1'
    trouble = trouble_of(JOB, [], [event("FailedCreate", f"Error creating: {said}")])
    assert trouble and trouble.cause == Cause.REFUSED
    assert said in trouble.words and "raise the ResourceQuota" in trouble.words


def test_a_pod_that_was_told_to_end_may_say_its_last_word_before_it_is_given_up() -> None:
    ending = pod(**condition("DisruptionTarget", "True", "DeletionByTaintManager"))
    ending["metadata"] |= {"deletionTimestamp": "2026-01-01T00:01:00Z", "deletionGracePeriodSeconds": 60}
    trouble = trouble_of(JOB, [ending], ())
    assert trouble and trouble.cause == Cause.LOST and trouble.after_seconds > 60


def test_a_job_without_its_pod_lost_it_and_a_job_that_is_gone_was_deleted() -> None:
    lost = trouble_of({**JOB, "status": condition("Failed", "True", "BackoffLimitExceeded")}, [], ())
    deleted = trouble_of(None, [], ())
    assert lost and lost.cause == Cause.LOST
    assert deleted and deleted.cause == Cause.DELETED


def test_a_volume_that_is_not_there_is_no_reason_to_wait_and_one_that_is_slow_is() -> None:
    creating = pod("Pending", **container(waiting={"reason": "ContainerCreating"}))
    absent = trouble_of(JOB, [creating], [event("FailedMount", 'secret "lake" not found')])
    slow = trouble_of(JOB, [creating], [event("FailedMount", "timed out waiting for the condition")])
    assert absent and absent.cause == Cause.IMAGE and absent.after_seconds == 0
    assert slow and slow.cause == Cause.NOT_STARTED and slow.after_seconds >= 600


def test_a_pod_that_nobody_can_end_is_left_behind_once_its_moment_has_passed() -> None:
    ending = pod()
    assert left_behind([ending], 0.0) is None
    ending["metadata"] |= {"deletionTimestamp": "1970-01-01T00:01:00Z"}
    assert left_behind([ending], 60.0) is None, "it may be ending just now"
    said = left_behind([ending], 90.0)
    assert said and "should have ended 30 s ago" in said and "does not answer" in said
    ending["status"]["phase"] = "Failed"
    assert left_behind([ending], 90.0) is None, "its end is known"
    assert left_behind([], 90.0) is None


def test_the_newest_of_several_pods_speaks() -> None:
    old, new = pod("Failed", reason="Evicted"), pod()
    new["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    assert trouble_of(JOB, [new, old], ()) is None
