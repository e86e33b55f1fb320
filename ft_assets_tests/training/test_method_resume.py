"""Full and four-bit trainings that die and go on end with the bytes of ones that did not."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from ft_assets_tests.training import dying_methods
from ft_assets_tests.training.samples import needs_base

pytestmark = [pytest.mark.torch, pytest.mark.slow, needs_base]

METHODS = ("full", "qlora")
NEVER, DIES = "none", "KILL:4,KILL:5,none"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """How each training went. One process for all: its imports cost eight CPU-seconds."""
    root = tmp_path_factory.mktemp("methods")
    trainings = [f"{method} {faults}" for method in METHODS for faults in (NEVER, DIES)]
    command = [sys.executable, "-m", dying_methods.__name__, str(root), *trainings]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads((root / "told.json").read_text())
    return found


@pytest.mark.parametrize("method", METHODS)
def test_killed_twice_between_two_steps_it_ends_with_the_same_weights_optimizer_and_log(
    method: str, told: dict[str, Any]
) -> None:
    whole, killed = told[f"{method} {NEVER}"], told[f"{method} {DIES}"]
    assert killed["attempts"] == ["SIGKILL", "SIGKILL", "ended with 0"]
    assert whole["result"]["steps"] == dying_methods.STEPS
    assert killed["result"] == whole["result"]
