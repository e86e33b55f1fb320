"""A training that dies and goes on ends with the bytes of one that did not."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from ft_assets_tests.training import dying_trainings
from ft_assets_tests.training.samples import needs_base

pytestmark = [pytest.mark.torch, needs_base]

NEVER = "none"
DIES = "TERM:3,KILL:5,KILL:7,SAVED:8,none"  # asked to go, killed mid-epoch twice, and once more after the last save
FULL = "FULL:2,none"  # no space for the best one, and later there is
FULL_THEN_DIES = "FULL:2+KILL:6,none"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """How each training went: its attempts, and its result."""
    root = tmp_path_factory.mktemp("dying")
    command = [sys.executable, "-m", dying_trainings.__name__, str(root), NEVER, DIES, FULL, FULL_THEN_DIES]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads((root / "told.json").read_text())
    return found


def test_the_uninterrupted_one_stops_early_and_takes_its_best(told: dict[str, Any]) -> None:
    result = told[NEVER]["result"]
    assert told[NEVER]["attempts"] == ["ended"]
    assert (result["steps"], result["best_step"]) == (dying_trainings.STOPPED_EARLY_AT, 2)
    assert result["best_from"].endswith("checkpoint-2")
    assert result["best adapter"] != result["adapter_model.safetensors"]


def test_killed_and_resumed_four_times_it_ends_with_the_same_bytes_log_and_loss(told: dict[str, Any]) -> None:
    assert told[DIES]["attempts"] == ["TrainingInterrupted", "SIGKILL", "SIGKILL", "SIGKILL", "ended"]
    assert ends_alike(told, DIES)


@pytest.mark.parametrize(("faults", "attempts"), [(FULL, ["ended"] * 2), (FULL_THEN_DIES, ["SIGKILL", "ended"])])
def test_a_disk_too_full_for_the_best_one_changes_no_weights(
    told: dict[str, Any], faults: str, attempts: list[str]
) -> None:
    assert told[faults]["attempts"] == attempts
    assert told[faults]["result"]["best_from"].endswith("checkpoint-4/best/weights")
    assert ends_alike(told, faults)


def ends_alike(told: dict[str, Any], faults: str) -> bool:
    """Same weights, optimizer, scheduler, random states, log and mean loss."""
    results = [{**told[key]["result"], "best_from": None} for key in (NEVER, faults)]
    assert results[0] == results[1]
    return len(results[0]["optimizer.pt"]) == 64
