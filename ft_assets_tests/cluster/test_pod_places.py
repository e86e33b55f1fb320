"""A GPU that somebody holds is not a GPU that is not there."""

from typing import Any

import pytest

from ft_assets.cluster.pod_places import holders


def pod(name: str, gpus: int, phase: str = "Running", node: str | None = "node-a") -> dict[str, Any]:
    limits = {"nvidia.com/gpu": str(gpus)} if gpus else {"memory": "1Gi"}
    spec = {
        "containers": [{"name": "dagster", "resources": {"limits": limits}}],
        **({"nodeName": node} if node else {}),
    }
    return {"metadata": {"name": name}, "spec": spec, "status": {"phase": phase}}


WAITING = pod("waiting", 2, "Pending", node=None)


def test_it_waits_for_the_pods_that_hold_as_many_gpus_as_it_asks_for() -> None:
    assert holders(WAITING, [WAITING, pod("one", 1), pod("two", 1), pod("light", 0)]) == ["one", "two"]
    assert holders(WAITING, [pod("starting", 2, "Pending")]) == ["starting"], "it has its node already"


@pytest.mark.parametrize(
    "others",
    [
        [],
        [pod("one", 1)],
        [pod("over", 2, "Succeeded"), pod("failed", 2, "Failed")],
        [pod("waits-too", 2, "Pending", node=None)],
    ],
)
def test_it_waits_for_nobody_where_their_end_would_not_help(others: list[dict[str, Any]]) -> None:
    assert holders(WAITING, others) == []


def test_a_pod_without_a_gpu_waits_for_none() -> None:
    assert holders(pod("light", 0, "Pending", node=None), [pod("one", 8)]) == []
