"""Jobs of the pretend cluster end as real ones do."""

import pytest
from kubernetes.client import ApiException

from ft_assets_tests.kubernetes.job_client import (
    DEAF,
    FOREVER,
    SPACE,
    Client,
    pod_of,
    working,
)
from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster

pytestmark = pytest.mark.service


def test_a_job_fails_once_its_pods_failed_more_often_than_allowed(cluster: PretendCluster, client: Client) -> None:
    client.start("thrice", "exit 7", backoffLimit=2)
    cluster.wait_for(lambda: client.end("thrice"))
    assert (client.end("thrice"), client.status("thrice").failed) == ("BackoffLimitExceeded", 3)
    ends = [pod["status"]["containerStatuses"][0]["state"]["terminated"] for pod in cluster.pods()]
    assert [(end["exitCode"], end["reason"]) for end in ends] == [(7, "Error")] * 3


def test_a_replacement_pod_can_complete_a_job_whose_first_pod_failed(cluster: PretendCluster, client: Client) -> None:
    shared = cluster.claim("lake")
    mount = {"volumeMounts": [{"name": "lake", "mountPath": "/lake"}]}
    volumes = [{"name": "lake", "persistentVolumeClaim": {"claimName": "lake"}}]
    script = "[ -e /lake/been ] && exit 0; touch /lake/been; exit 1"
    client.start("again", script, container=mount, pod={"volumes": volumes}, backoffLimit=1)
    cluster.wait_for(lambda: client.end("again"))
    assert (client.end("again"), client.status("again").failed, client.status("again").succeeded) == ("Complete", 1, 1)
    assert (shared / "been").exists()


def test_a_job_that_takes_too_long_is_ended(cluster: PretendCluster, client: Client) -> None:
    client.start("slow", FOREVER, activeDeadlineSeconds=1)
    working(cluster, "slow")
    cluster.wait_for(lambda: client.end("slow"))
    assert client.end("slow") == "DeadlineExceeded"
    cluster.wait_for(lambda: not cluster.pods())


def test_a_finished_job_is_swept_up_with_its_pods_after_its_time(cluster: PretendCluster, client: Client) -> None:
    client.start("brief", "echo gone soon", ttlSecondsAfterFinished=1)
    pod = pod_of(cluster, "brief")
    cluster.wait_for(lambda: not cluster.jobs() and not cluster.pods())
    assert cluster.pod_log(pod) == "gone soon"
    with pytest.raises(ApiException) as gone:
        client.core.read_namespaced_pod_log(pod["metadata"]["name"], SPACE)
    assert gone.value.status == 404


def test_a_failure_policy_forgives_disruptions_and_stops_at_codes_that_no_retry_helps(
    cluster: PretendCluster, client: Client
) -> None:
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
    ]
    policy = {"podFailurePolicy": {"rules": rules}}
    client.start("hopeless", "exit 42", backoffLimit=5, **policy)
    client.start("moved", FOREVER, **policy)
    first = working(cluster, "moved")
    cluster.faults.evict(first)
    cluster.wait_for(lambda: working(cluster, "moved")["metadata"]["name"] != first["metadata"]["name"])
    assert client.end("moved") is None, "backoffLimit is 0, and the eviction does not count"
    cluster.wait_for(lambda: client.end("hopeless"))
    assert (client.end("hopeless"), client.status("hopeless").failed) == ("PodFailurePolicy", 1)


def test_a_job_may_wait_until_a_pod_that_was_deleted_has_ended(cluster: PretendCluster, client: Client) -> None:
    pod = {"terminationGracePeriodSeconds": 1}
    client.start("patient", DEAF, pod=pod, podReplacementPolicy="Failed")
    client.start("hasty", DEAF, pod=pod)
    for name in ("patient", "hasty"):
        cluster.faults.delete(working(cluster, name))
    cluster.wait_for(lambda: client.end("hasty"))
    assert client.end("patient") is None
    cluster.wait_for(lambda: client.end("patient") == "BackoffLimitExceeded")


def test_init_containers_come_first_and_a_failed_one_is_the_pods_end(cluster: PretendCluster, client: Client) -> None:
    image = {"image": "example.com/image:1"}
    volume = {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}
    first = {"name": "first", "command": ["bash", "-c", "echo made > /scratch/file"], **image, **volume}
    fails = {"name": "first", "command": ["bash", "-c", "exit 3"], **image}
    volumes = {"volumes": [{"name": "scratch", "emptyDir": {}}]}
    client.start("good", "cat /scratch/file", container=volume, pod={"initContainers": [first], **volumes})
    client.start("bad", "echo never", pod={"initContainers": [fails]})
    cluster.wait_for(lambda: client.end("good") and client.end("bad"))
    assert cluster.pod_log(pod_of(cluster, "good")) == "made"
    assert (client.end("bad"), cluster.pod_log(pod_of(cluster, "bad"))) == ("BackoffLimitExceeded", "")


def test_a_suspended_job_has_no_pod(cluster: PretendCluster, client: Client) -> None:
    client.start("queued", suspend=True)
    cluster.wait_for(lambda: client.status("queued").conditions)
    assert client.status("queued").conditions[0].type == "Suspended"
    assert not cluster.pods()


def test_deleting_a_job_leaves_its_pods_alone_unless_it_is_asked_for(cluster: PretendCluster, client: Client) -> None:
    for name in ("left", "taken"):
        client.start(name, FOREVER)
        working(cluster, name)
    client.batch.delete_namespaced_job("left", SPACE)
    client.batch.delete_namespaced_job("taken", SPACE, propagation_policy="Background")
    cluster.wait_for(lambda: not cluster.pods(**{"job-name": "taken"}))
    assert [pod["status"]["phase"] for pod in cluster.pods(**{"job-name": "left"})] == ["Running"]
    assert cluster.pod_log(cluster.started_pods()[1]).splitlines() == ["working", "ending"]
