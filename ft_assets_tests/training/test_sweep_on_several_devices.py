"""A sweep whose trials train on two processes each: cut off by a lost one, gone on with, and its winner as if alone."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from ft_assets.training.device_job import DeviceLost
from ft_assets.training.provenance import stage_ids
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets.training.sweep_run import Launched, launch_with_sweep
from ft_assets_tests.training.samples import commit_rows, needs_base, tiny_recipe
from ft_assets_tests.training.two_processes import job, on_two, running, second_process, weights

pytestmark = [pytest.mark.torch, pytest.mark.long, needs_base]

SWEEP = {"search": "grid", "knobs": {"learning_rate": [1e-6, 3e-3]}, "trials": 2, "budget_trainings": 1.75, "eta": 2}
RECIPE = tiny_recipe(r=4, num_train_epochs=4, max_length=128, sweep=SWEEP)
ROWS = TrainingRows(SideRows(commit_rows(20, 1)), SideRows(commit_rows(4, 2)))


def swept(folder: Path, dies_at: str = "never") -> tuple[Launched, list[str]]:
    """The sweep, and what it told. The second process is killed at the first line that begins with `dies_at`."""
    lines, killed = list[str](), list[int]()

    def on_line(line: str) -> None:
        lines.append(line)
        if line.startswith(dies_at) and not killed:
            killed.append(second_process())
            os.kill(killed[0], signal.SIGKILL)

    given = job(folder, RECIPE)
    given = replace(given, training_ids=stage_ids("5" * 64, RECIPE, given.provenance["base_digest"]))
    return launch_with_sweep(given, ROWS, 2, lambda progress: None, print, on_line), lines


def test_a_sweep_on_two_processes_of_which_one_dies_goes_on_in_the_trial_that_it_died_in(tmp_path: Path) -> None:
    with pytest.raises(DeviceLost, match="process 1 got signal 9"):
        swept(tmp_path, dies_at="trial 2 of 2, sft step 2")
    assert not running()
    done, lines = swept(tmp_path)
    assert [line.split(",")[0] for line in lines if "rung 1" in line] == ["trial 2 of 2"]
    assert done.sweep is not None and done.sweep.winner == 2
    assert done.recipe.learning_rate == 3e-3
    assert done.sweep.cost_trainings <= 1.75
    assert all(each.steps < done.result.last.planned_steps for each in done.sweep.reached)
    alone = on_two(tmp_path / "alone", done.recipe, ROWS)
    assert alone.last.log_history == done.result.last.log_history
    assert weights(tmp_path / "alone") == weights(tmp_path)
