"""Full and four-bit trainings that die and go on end with the bytes of ones that did not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ft_assets_tests.training import dying_methods
from ft_assets_tests.training.samples import needs_base

pytestmark = [pytest.mark.torch, pytest.mark.slow, needs_base]


@pytest.mark.parametrize("method", ["full", "qlora"])
def test_killed_twice_between_two_steps_it_ends_with_the_same_weights_optimizer_and_log(
    method: str, tmp_path: Path
) -> None:
    whole, killed = f"{method} none", f"{method} KILL:4,KILL:5,none"
    command = [sys.executable, "-m", dying_methods.__name__, str(tmp_path), whole, killed]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads((tmp_path / "told.json").read_text())
    assert told[killed]["attempts"] == ["SIGKILL", "SIGKILL", "ended with 0"]
    assert told[whole]["result"]["steps"] == dying_methods.STEPS
    assert told[killed]["result"] == told[whole]["result"]
