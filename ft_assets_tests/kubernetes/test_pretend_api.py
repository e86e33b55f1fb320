"""What clients read from the pretend cluster: lists, logs, watches."""

from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest
from kubernetes.client import ApiException

from ft_assets_tests.kubernetes.job_client import (
    SPACE,
    Client,
    pod_of,
)
from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster

pytestmark = pytest.mark.service


def test_lists_are_chosen_by_labels_and_by_fields(cluster: PretendCluster, client: Client) -> None:
    for name in ("one", "two"):
        client.start(name)
        cluster.wait_for(lambda: client.end(name))  # noqa: B023
    pod = pod_of(cluster, "two")["metadata"]["name"]

    def names(**selectors: str) -> list[str]:
        found = client.core.list_namespaced_pod(SPACE, **selectors).items
        return [item.metadata.labels["job-name"] for item in found]

    assert names(label_selector="job-name=one") == ["one"]
    assert names(label_selector="job-name in (one,two),job-name!=one") == ["two"]
    assert names(label_selector="!job-name") == []
    assert names(field_selector=f"metadata.name={pod}") == ["two"]
    assert names(field_selector="status.phase!=Succeeded") == []
    events = client.core.list_namespaced_event(SPACE, field_selector=f"involvedObject.name={pod}").items
    assert [event.reason for event in events] == ["Scheduled"]
    jobs = client.batch.list_namespaced_job(SPACE, field_selector="metadata.name=two").items
    assert [found.metadata.name for found in jobs] == ["two"]


def test_a_log_is_read_whole_by_its_tail_and_as_it_grows(cluster: PretendCluster, client: Client) -> None:
    client.start("talks", "echo a; echo b; sleep 0.3; echo c")
    pod = pod_of(cluster, "talks")["metadata"]["name"]
    cluster.wait_for(lambda: "a" in cluster.pod_log(pod_of(cluster, "talks")))

    def read(**options: Any) -> str:
        answer = client.core.read_namespaced_pod_log(pod, SPACE, _preload_content=False, **options)
        return str(answer.data.decode())

    assert read(follow=True) == "a\nb\nc\n"
    assert read(tail_lines=1) == "c\n"
    assert read(timestamps=True).splitlines()[0].endswith("Z a")
    assert read(since_seconds=60) == "a\nb\nc\n"


def test_a_watch_tells_what_happens_and_refuses_what_is_long_ago(cluster: PretendCluster, client: Client) -> None:
    cluster.faults.hold()
    client.start("seen")
    pod_of(cluster, "seen")
    watch = kubernetes.watch.Watch()
    stream: Iterator[Any] = watch.stream(client.core.list_namespaced_pod, SPACE, timeout_seconds=10)
    phases = []
    for event in stream:
        phases.append(event["object"].status.phase)
        cluster.faults.release()
        if phases[-1] == "Succeeded":
            watch.stop()
    assert phases[0] == "Pending"
    assert phases[-1] == "Succeeded"
    del cluster.objects.changes[:-1]
    with pytest.raises(ApiException) as gone:
        next(kubernetes.watch.Watch().stream(client.core.list_namespaced_pod, SPACE, resource_version="1"))
    assert gone.value.status == 410
