"""Four real trainings of a tiny model in two rungs: killed, resumed, and the winner as if it had been trained alone."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ft_assets.lake import directory_digest
from ft_assets.training.device_job import DeviceJob
from ft_assets.training.launch import launch
from ft_assets.training.provenance import stage_ids
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_sweep import trial_recipes
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets.training.sweep_run import Launched, launch_with_sweep
from ft_assets_tests.training.samples import BASE, commit_rows, needs_base, tiny_recipe

pytestmark = [pytest.mark.torch, needs_base]
RATES = [1e-6, 3e-3, 1e-5, 1e-4]
SWEEP = {"search": "grid", "knobs": {"learning_rate": RATES}, "trials": 4, "budget_trainings": 2, "eta": 2}
RECIPE = tiny_recipe(r=4, num_train_epochs=4, max_length=128, sweep=SWEEP)
ROWS = TrainingRows(SideRows(commit_rows(20, 1)), SideRows(commit_rows(4, 2)))


def job_of(recipe: Recipe, folder: Path, out: str) -> DeviceJob:
    (folder / out).mkdir()
    return DeviceJob(
        base_dir=BASE,
        recipe=recipe,
        work_dir=folder / "work",
        lake_url=str(folder / "lake"),
        training_ids=stage_ids("5" * 64, recipe, "b" * 64),
        out_dir=folder / out,
        system_prompt=None,
        provenance={"snapshot": "5" * 64, "base_id": "tiny-base", "base_digest": "b" * 64},
        tokens_dir=folder / "tokens",
    )


def swept(folder: Path, out: str, killed_by: str = "never") -> tuple[Launched, list[str], list[dict[str, Any]]]:
    lines, progress = list[str](), list[dict[str, Any]]()

    def on_line(line: str) -> None:
        lines.append(line)
        if line.startswith(killed_by):
            os.kill(os.getpid(), signal.SIGKILL)

    done = launch_with_sweep(job_of(RECIPE, folder, out), ROWS, 1, progress.append, lines.append, on_line)
    return done, lines, progress


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Launched, list[str], list[dict[str, Any]], Path]:
    """A sweep that was killed inside its third trial, in a process of its own, and launched again."""
    folder = tmp_path_factory.mktemp("sweep")
    # not a fork: torch's threads are not in one
    done = subprocess.run([sys.executable, "-m", __name__, str(folder)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr[-4000:]
    return *swept(folder, "again"), folder


def test_a_killed_sweep_goes_on_with_the_trial_that_it_died_in(both: Any) -> None:
    done, lines, _, _ = both
    first = [line for line in lines if "rung 1" in line]
    assert [line.split(",")[0] for line in first] == ["trial 3 of 4", "trial 4 of 4"]
    assert [each.trial for each in done.sweep.reached if each.rung == 0] == [1, 2, 3, 4]


def test_the_rungs_cost_only_their_new_steps_and_stay_within_the_budget(both: Any) -> None:
    done, lines, progress, _ = both
    last = {each.trial: each for each in done.sweep.reached}
    whole = done.result.last.planned_steps
    assert done.sweep.cost_trainings <= 2
    assert {each.steps for each in last.values()} < set(range(1, whole)), "all of them stopped before the end"
    winner = done.sweep.winner
    assert winner == 2 and done.recipe.learning_rate == 3e-3
    trained = [entry["step"] for entry in progress if "loss" in entry and not entry.get("earlier")]
    assert min(trained) > last[winner].steps and max(trained) == done.result.last.steps
    second = [int(line.split("step ")[1].split(" ")[0]) for line in lines if line.startswith("trial 2 of 4, sft step")]
    assert min(second) > next(each.steps for each in done.sweep.reached if each.trial == 2)


def test_the_winner_is_byte_for_byte_the_training_that_was_never_stopped(both: Any, tmp_path: Path) -> None:
    done, _, _, folder = both
    alone = job_of(done.recipe, tmp_path, "alone")
    result = launch(alone, ROWS, 1, lambda progress: None, print)
    assert result.last.log_history == done.result.last.log_history
    for name in ("adapter_model.safetensors", "training_log.json", "adapter_config.json"):
        assert (folder / "again" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_a_rung_whose_checkpoint_was_the_last_thing_before_a_kill_is_not_trained_again(both: Any) -> None:
    done, _, _, folder = both
    reached = next(each for each in done.sweep.reached if each.trial == 1)
    trial = job_of(trial_recipes(RECIPE)[0], folder, "reached")
    progress: list[dict[str, Any]] = []
    result = launch(replace(trial, stop_after_steps=reached.stop), ROWS, 1, progress.append, print)
    assert result.last.steps == reached.stop and result.last.best_eval_loss == reached.loss
    assert not [entry for entry in progress if "loss" in entry and not entry.get("earlier")]


def test_a_rung_s_end_is_no_early_stopping_and_early_stopping_before_it_is(tmp_path: Path) -> None:
    impatient = {"early_stopping_patience": 1, "early_stopping_threshold": 9.0, "eval_steps": 2}
    recipe = tiny_recipe(r=4, num_train_epochs=4, max_length=128, **impatient)
    first = launch(replace(job_of(recipe, tmp_path, "rung"), stop_after_steps=8), ROWS, 1, lambda progress: None, print)
    steps = first.last.steps
    assert steps < 8, "nine nats in one evaluation are too much to ask"
    whole = launch(job_of(recipe, tmp_path, "whole"), ROWS, 1, lambda progress: None, print)
    assert whole.last.steps == steps < whole.last.planned_steps


def test_the_artifact_names_the_winner_and_a_launch_after_the_end_gives_the_same(both: Any) -> None:
    _, _, _, folder = both
    provenance = json.loads((folder / "again" / "provenance.json").read_text())
    assert provenance["recipe"]["learning_rate"] == 3e-3 and provenance["recipe"]["sweep"] == {}
    assert provenance["sweep"]["chosen"] == {"learning_rate": 3e-3}
    assert json.loads((folder / "again" / "sweep.json").read_text())["winner"] == 2
    _, lines, progress = swept(folder, "once_more")
    assert not lines and not [entry for entry in progress if "loss" in entry and not entry.get("earlier")]
    assert directory_digest(folder / "once_more") == directory_digest(folder / "again")


if __name__ == "__main__":
    swept(Path(sys.argv[1]), "killed", killed_by="trial 3 of 4, sft step")
