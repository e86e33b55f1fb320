"""A pod with two GPUs: torchrun on both, and what becomes of the step when one of the processes is killed."""

import json
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from ft_assets_tests.kubernetes.pretend_cluster import PretendCluster
from ft_assets_tests.kubernetes.pretend_memory import can_limit_memory
from ft_assets_tests.kubernetes.pretend_objects import Object
from ft_assets_tests.kubernetes.scenarios import PATIENCE_SECONDS, Scenarios, scenarios

pytestmark = [
    *(pytest.mark.service, pytest.mark.slow, pytest.mark.torch, pytest.mark.long),
    pytest.mark.skipif(not can_limit_memory(), reason="cgroups v1 cannot be made here"),
]
MODULE, ASSET = "ft_assets_tests.kubernetes.two_gpu_steps", "trained_on_all"


def test_torchrun_trains_on_both_gpus_of_a_pod_and_goes_on_when_a_process_is_killed_and_when_memory_runs_out(
    tmp_path: Path,
) -> None:
    with scenarios(tmp_path, partial(PretendCluster, limits_memory=True), MODULE) as on:
        on.begin("both", ASSET, "two-gpus")
        first = pod_of(on, 1)
        assert first["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "2"
        saved = next_saved(on, 0)
        os.kill(ranks_of(first)[1], signal.SIGKILL)
        second = pod_of(on, 2)
        saved = next_saved(on, saved)
        assert set(ranks_of(second)) == {0, 1}
        on.cluster.faults.run_out_of_memory(second)
        assert on.end("both", 300) == "SUCCESS", on.told("both")
        told = " ".join(on.told("both"))
        assert "A process of its training was killed" in told
        assert "was OOM-killed: it took more memory than its limit of 6Gi" in told
        assert len(on.pods("both", ASSET)) == 3
        assert len(on.jobs("both")) == 1, "that of the last attempt"
        record = json.loads((on.shared / "both" / "out" / "provenance.json").read_text())
    assert (record["devices"], record["distribution"]) == (2, "ddp")
    (lowered,) = record["lowered"]["sft"]
    assert "per_device_train_batch_size 4 became 2 and gradient_accumulation_steps 2 became 4" in lowered
    assert saved > 0


def pod_of(on: Scenarios, attempt: int) -> Object:
    """The step's pod of that attempt, once both of its processes run."""

    def looked() -> Object | None:
        pods = on.pods("both", ASSET)
        return pods[-1] if len(pods) == attempt and set(ranks_of(pods[-1])) == {0, 1} else None

    return on.cluster.wait_for(looked, PATIENCE_SECONDS)


def ranks_of(pod: Object) -> dict[int, int]:
    """Process ids of the pod's processes that torchrun has started, by their rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            pairs = [entry.partition("=") for entry in (folder / "environ").read_text().split("\0")]
        except OSError:
            continue
        environ = {name: value for name, _, value in pairs}
        if environ.get("HOSTNAME") == pod["metadata"]["name"] and environ.get("WORLD_SIZE") == "2":
            found[int(environ["RANK"])] = int(folder.name)
    return found


def next_saved(on: Scenarios, before: int) -> int:
    """The step of a checkpoint that is newer than that of step `before`, once there is one."""
    folder = on.shared / "both" / "work"

    def looked() -> int:
        steps = [int(path.name.rpartition("-")[2]) for path in folder.rglob("checkpoint-*") if path.is_dir()]
        return max((step for step in steps if step > before), default=0)

    return on.cluster.wait_for(looked, PATIENCE_SECONDS)
