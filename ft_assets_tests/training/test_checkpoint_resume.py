"""A training that dies and goes on ends with the bytes of one that did not."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ft_assets_tests.training import dying_trainings
from ft_assets_tests.training.samples import needs_base

pytestmark = [pytest.mark.torch, needs_base]

NEVER = "none"
DIES = "TERM:3,KILL:5,KILL:7,SAVED:8,none"  # asked to go, killed mid-epoch twice, and once more after the last save
FULL = "FULL:2,none"  # no space for the best one, and later there is
FULL_THEN_DIES = "FULL:2+KILL:6,none"
BY_PREFERENCES = ("dpo", "sft+dpo")  # in the default suite; the long test takes KTO too
DIES_TWICE = "KILL:3,KILL:6,none"  # mid-epoch and in the middle of an accumulation; under sft+dpo in the second stage
KILLED_RUNS = int(os.environ.get("FT_ASSETS_TEST_KILLED_RUNS", "10"))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """How each training went: its attempts, and its result. One process for all: its imports cost eight CPU-seconds."""
    by_preferences = [f"{approach} {faults}" for approach in BY_PREFERENCES for faults in (NEVER, DIES_TWICE)]
    return run(tmp_path_factory.mktemp("dying"), [NEVER, DIES, FULL, FULL_THEN_DIES, *by_preferences])


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


@pytest.mark.parametrize("approach", BY_PREFERENCES)
def test_preferences_killed_twice_end_with_the_same_bytes(told: dict[str, Any], approach: str) -> None:
    killed = told[f"{approach} {DIES_TWICE}"]
    assert killed["attempts"] == ["SIGKILL", "SIGKILL", "ended"]
    assert killed["result"]["steps"] == dying_trainings.PREFERENCE_STEPS
    assert ends_alike(told, f"{approach} {DIES_TWICE}", f"{approach} {NEVER}")


def test_a_run_killed_in_its_second_stage_does_not_train_the_first_again(told: dict[str, Any]) -> None:
    done = told[f"sft+dpo {DIES_TWICE}"]["steps_done"]
    first = [step for step in done if step.startswith("sft ")]
    assert first == [step for step in told[f"sft+dpo {NEVER}"]["steps_done"] if step.startswith("sft ")]
    assert len(first) == len(set(first)) > 0


@pytest.mark.long
@pytest.mark.parametrize("approach", ["sft", "dpo", "sft+dpo", "kto"])
def test_killed_twice_at_random_steps_every_run_ends_with_the_same_bytes(approach: str, tmp_path: Path) -> None:
    steps = dying_trainings.STOPPED_EARLY_AT if approach == "sft" else dying_trainings.PREFERENCE_STEPS
    rng = random.Random(f"kills of {approach}")
    kills = [sorted(rng.choices(range(1, steps + 1), k=2)) for _ in range(KILLED_RUNS)]
    trainings = [f"{approach} KILL:{first},KILL:{second},none" for first, second in kills]
    told = run(tmp_path, [f"{approach} {NEVER}", *dict.fromkeys(trainings)])
    for training in trainings:
        assert told[training]["attempts"] == ["SIGKILL", "SIGKILL", "ended"], training
        assert ends_alike(told, training, f"{approach} {NEVER}"), training


def run(root: Path, trainings: Sequence[str]) -> dict[str, Any]:
    """How each training went, by its words: its attempts, its result, and the optimizer steps that were done."""
    command = [sys.executable, "-m", dying_trainings.__name__, str(root), *trainings]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads((root / "told.json").read_text())
    return found


def ends_alike(told: dict[str, Any], faults: str, never: str = NEVER) -> bool:
    """Same weights, optimizer, scheduler, random states, log and mean loss."""
    results = [{**told[key]["result"], "best_from": None} for key in (never, faults)]
    assert results[0] == results[1]
    return len(results[0]["optimizer.pt"]) == 64
