"""The runner of a sweep with trainings that cost nothing: what is kept, what a kill repeats, what is told."""

import json
import os
import signal
from pathlib import Path

import pytest

from ft_assets.training.recipe import Recipe
from ft_assets.training.sweep import Reached, Trial
from ft_assets.training.sweep_results import SweepResult
from ft_assets.training.sweep_run import choose

RECIPE = Recipe.model_validate(
    {"sweep": {"search": "grid", "knobs": {"r": [4, 8, 16, 32]}, "trials": 4, "budget_trainings": 2, "eta": 2}}
)
TRIALS = [Trial(number, 40, 5) for number in range(1, 5)]
LOSSES = {1: 1.4, 2: 1.2, 3: 1.1, 4: None}


def trained(folder: Path, recipe: Recipe = RECIPE, killed_at: int | None = None) -> tuple[SweepResult, list[str]]:
    """The sweep with known losses; each training adds a line to a file, and the `killed_at`-th one is killed first."""
    asked, lines = folder / "asked", list[str]()

    def train_one(rung: int, trial: Trial, stop: int) -> Reached:
        before = asked.read_text().splitlines() if asked.exists() else []
        if killed_at == len(before):
            os.kill(os.getpid(), signal.SIGKILL)
        asked.write_text("\n".join([*before, f"{trial.number}@{stop}"]) + "\n")
        loss = LOSSES[trial.number]
        told = "" if loss else "loss_diverged"
        return Reached(rung, trial.number, stop, stop, loss and round(loss - rung / 10, 6), told, 2.5, 100)

    sweep = recipe.swept()
    assert sweep
    return choose(recipe, sweep, TRIALS, folder / "kept" / "sweep.json", train_one, lines.append), lines


def asked_in(folder: Path) -> list[str]:
    return (folder / "asked").read_text().split()


def test_the_lowest_loss_wins_within_the_budget(tmp_path: Path) -> None:
    result, lines = trained(tmp_path)
    assert asked_in(tmp_path) == ["1@10", "2@10", "3@10", "4@10", "2@20", "3@20"]
    assert result.winner == 3 and result.chosen == {"r": 16}
    assert result.cost_trainings == 1 + 0.25 + 0.5 + 0.25 <= 2
    assert (result.seconds_of_others, result.tokens_of_others) == (7.5, 300)
    assert lines[0] == "trial 1 of 4, rung 1, step 10 of 40: validation loss 1.4000"
    assert lines[3] == "trial 4 of 4, rung 1, step 10 of 40: failed, loss_diverged"


@pytest.mark.parametrize("killed_at", range(6))
def test_a_sweep_that_is_killed_repeats_no_finished_rung_and_ends_the_same(tmp_path: Path, killed_at: int) -> None:
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole, _ = trained(tmp_path / "whole")
    child = os.fork()
    if child == 0:
        trained(tmp_path / "cut", killed_at=killed_at)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    again, _ = trained(tmp_path / "cut")
    assert again == whole
    assert asked_in(tmp_path / "cut") == asked_in(tmp_path / "whole")


def test_a_finished_sweep_trains_nothing_and_another_one_does_not_read_it(tmp_path: Path) -> None:
    trained(tmp_path)
    trained(tmp_path)
    assert len(asked_in(tmp_path)) == 6
    another = Recipe.model_validate({**RECIPE.model_dump(exclude_unset=True), "weight_decay": 0.05})
    trained(tmp_path, another)
    assert len(asked_in(tmp_path)) == 12


def test_what_is_told_holds_each_trial_and_no_clock(tmp_path: Path) -> None:
    result, _ = trained(tmp_path)
    assert result.as_table().splitlines() == [
        "| trial | r | loss at 25% of a training | loss at 50% of a training |  |",
        "| --- | --- | --- | --- | --- |",
        "| 1 | 4 | 1.4000 |  |  |",
        "| 2 | 8 | 1.2000 | 1.1000 |  |",
        "| 3 | 16 | 1.1000 | 1.0000 | **kept** |",
        "| 4 | 32 | failed: loss_diverged |  |  |",
    ]
    assert result.as_event().startswith(
        "A grid sweep chose r 16 (trial 3 of 4): the lowest validation loss of 4 trials"
    )
    assert result.as_metrics()[1] == (
        2,
        {"sweep/validation_loss": 1.1, "sweep/steps": 20.0, "sweep/rung": 2.0, "sweep/r": 8.0},
    )
    assert "sweep/validation_loss" not in result.as_metrics()[3][1]
    result.write(tmp_path)
    written = json.loads((tmp_path / "sweep.json").read_text())
    assert written["winner"] == 3 and written["cost_trainings"] == 2.0
    assert written["trials"][3]["reached"] == [
        {"rung": 1, "steps": 10, "validation_loss": None, "failed": "loss_diverged"}
    ]
    assert "seconds" not in (tmp_path / "sweep.json").read_text()
