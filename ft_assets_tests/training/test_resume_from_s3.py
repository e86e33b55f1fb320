"""Every objective and every method, killed and gone on with on another node, which has what is on S3 and no more."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ft_assets_tests.training import dying_methods, dying_trainings
from ft_assets_tests.training.dying_nodes import LAKE
from ft_assets_tests.training.samples import needs_base

pytestmark = [pytest.mark.torch, pytest.mark.service, pytest.mark.long, needs_base]

STEPS = {"sft": dying_trainings.STOPPED_EARLY_AT, "full": dying_methods.STEPS, "qlora": dying_methods.STEPS}
NEVER = "none"
KILLED_RUNS = int(os.environ.get("FT_ASSETS_TEST_KILLED_RUNS", "3"))


@pytest.mark.parametrize("training", ["sft", "dpo", "sft+dpo", "kto", "full", "qlora"])
def test_killed_at_random_steps_on_nodes_that_are_lost_it_ends_with_the_bytes_of_one_on_a_local_lake(
    training: str, bucket: str, tmp_path: Path
) -> None:
    whole = run(training, tmp_path / "local", [NEVER], {})[NEVER]
    rng = random.Random(f"lost nodes of {training}")
    steps = range(1, STEPS.get(training, dying_trainings.PREFERENCE_STEPS) + 1)
    kills = dict.fromkeys(
        ",".join(f"KILL:{step}" for step in sorted(rng.choices(steps, k=2))) for _ in range(KILLED_RUNS)
    )
    told = run(training, tmp_path / "s3", [f"{kill},{NEVER}" for kill in kills], {LAKE: f"s3://{bucket}"})
    for faults, attempts in told.items():
        assert attempts["attempts"][:2] == ["SIGKILL", "SIGKILL"], faults
        assert result_of(attempts) == result_of(whole), faults


def run(training: str, root: Path, faults: Sequence[str], environ: dict[str, str]) -> dict[str, Any]:
    """How each of the trainings went, by its faults."""
    script = dying_methods if training in ("full", "qlora") else dying_trainings
    command = [sys.executable, "-m", script.__name__, str(root), *(f"{training} {fault}" for fault in faults)]
    environ = {**os.environ, "OMP_NUM_THREADS": "1", **environ}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads((root / "told.json").read_text())
    return {fault: told[f"{training} {fault}"] for fault in faults}


def result_of(attempts: dict[str, Any]) -> dict[str, Any]:
    """Digests, steps, log and mean loss at the end."""
    assert len(attempts["result"]["optimizer.pt"]) == 64
    return {**attempts["result"], "best_from": None}
