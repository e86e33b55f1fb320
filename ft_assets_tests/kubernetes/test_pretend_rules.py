"""The pretend cluster refuses what a real one refuses, in its words."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiException

from ft_assets_tests.kubernetes.job_client import (
    SPACE,
    Client,
    event_texts,
    gpus,
    job,
)
from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster
from ft_assets_tests.kubernetes.pretend_rules import used

pytestmark = pytest.mark.service


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"container": {"resources": {"requests": {"nvidia.com/gpu": "1"}}}}, 422, "Limit must be set"),
        ({"container": gpus("500m")}, 422, "must be an integer"),
        ({"container": gpus("one")}, 422, "quantities must match"),
        ({"container": {"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}}}, 422, "less than or equal"),
        ({"pod": {"restartPolicy": "Always"}}, 422, 'Unsupported value: "Always"'),
        ({"container": {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}}, 422, 'Not found: "v"'),
        ({"pod": {"volumes": [{"name": "v"}]}}, 422, "must specify a volume type"),
        ({"pod": {"nodeselector": {"a": "b"}}}, 400, "nodeselector"),
        ({"backoffLimit": "none"}, 400, "backoffLimit"),
    ],
)
def test_a_job_that_breaks_a_rule_is_refused(client: Client, changes: Any, status: int, words: str) -> None:
    with pytest.raises(ApiException) as refused:
        client.start("wrong", **changes)
    assert refused.value.status == status
    assert words in json.loads(refused.value.body)["message"]
    assert not client.batch.list_namespaced_job(SPACE).items


@pytest.mark.parametrize("label", ["with space", "x" * 64, "-"])
def test_a_label_that_no_selector_could_hold_is_refused(client: Client, label: str) -> None:
    body = job("labelled")
    body["metadata"]["labels"] = {"team": label}
    with pytest.raises(ApiException, match=r"metadata\.labels"):
        client.batch.create_namespaced_job(SPACE, body)


def test_a_name_is_taken_once_and_a_namespace_must_exist(client: Client) -> None:
    client.start("one")
    with pytest.raises(ApiException) as taken:
        client.start("one")
    assert taken.value.status == 409
    with pytest.raises(ApiException) as nowhere:
        client.batch.create_namespaced_job("nowhere", job("one"))
    assert nowhere.value.status == 404


def test_a_missing_service_account_a_full_quota_and_a_missing_priority_stop_the_pod_with_an_event(
    cluster: PretendCluster, client: Client
) -> None:
    cluster.apply(
        {"kind": "ResourceQuota", "metadata": {"name": "team"}, "spec": {"hard": {"requests.nvidia.com/gpu": "0"}}}
    )
    client.start("orphan", pod={"serviceAccountName": "nobody"})
    client.start("greedy", container=gpus("1"))
    client.start("urgent", pod={"priorityClassName": "now"})
    cluster.wait_for(lambda: all(event_texts(cluster, name, "FailedCreate") for name in ("orphan", "greedy", "urgent")))
    texts = {name: event_texts(cluster, name, "FailedCreate")[0] for name in ("orphan", "greedy", "urgent")}
    assert 'serviceaccount "nobody" not found' in texts["orphan"]
    assert (
        "exceeded quota: team, requested: requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=0" in texts["greedy"]
    )
    assert "no PriorityClass with name now was found" in texts["urgent"]
    assert not cluster.pods()


def test_an_account_may_do_what_its_role_says_and_every_request_is_recorded(cluster: PretendCluster) -> None:
    cluster.rbac = True
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    cluster.apply({"kind": "Role", "metadata": {"name": "reader"}, "rules": rules})
    cluster.apply({"kind": "ServiceAccount", "metadata": {"name": "looker"}})
    cluster.apply(
        {
            "kind": "RoleBinding",
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "looker", "namespace": SPACE}],
        }
    )
    looker = Client(cluster.kubeconfig("looker"))
    looker.core.list_namespaced_pod(SPACE)
    refusals: list[Callable[[], Any]] = [
        lambda: looker.start("one"),
        lambda: looker.core.read_namespaced_pod("one", SPACE),
        lambda: looker.core.read_namespaced_pod_log("one", SPACE),
        lambda: looker.core.delete_namespaced_pod("one", SPACE),
        lambda: Client(cluster.kubeconfig("default")).core.list_namespaced_pod(SPACE),
    ]
    for refusal in refusals:
        with pytest.raises(ApiException) as refused:
            refusal()
        assert refused.value.status == 403
    assert used(cluster.requests) == {("", "pods", "list"): 1}
    assert [(one.resource, one.verb) for one in cluster.requests if one.status == 403] == [
        ("jobs", "create"),
        ("pods", "get"),
        ("pods/log", "get"),
        ("pods", "delete"),
        ("pods", "list"),
    ]


def test_a_stranger_is_nobody(cluster: PretendCluster, tmp_path: Path) -> None:
    config = json.loads(cluster.kubeconfig().read_text())
    config["users"][0]["user"]["token"] = "made-up"
    (tmp_path / "config").write_text(json.dumps(config))
    with pytest.raises(ApiException) as refused:
        Client(tmp_path / "config").core.list_namespaced_pod(SPACE)
    assert refused.value.status == 401
