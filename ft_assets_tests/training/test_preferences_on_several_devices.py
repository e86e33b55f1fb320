"""DPO and KTO on two processes, after SFT too: the losses of one, and the same bytes after a kill."""

import json
from pathlib import Path
from typing import Any

import pytest

from ft_assets.training.recipe import Recipe
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets_tests.training.samples import (
    TINY_REASONS,
    commit_rows,
    judged_answers,
    needs_base,
    preference_pairs,
    preference_recipe,
)
from ft_assets_tests.training.two_processes import in_float32, killed_on_two, losses, on_one, on_two, weights

pytestmark = [pytest.mark.torch, pytest.mark.slow, needs_base]

# 36 rows are 16 packed ones: the forwards of every step divide by two, so that no process reads one twice
ROWS = TrainingRows(
    *(
        SideRows(commit_rows(count, seed), preference_pairs(count, seed), judged_answers(count, seed))
        for count, seed in ((36, 1), (8, 2))
    )
)
KNOBS = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "max_length": 128}
FULL = {"method": "full", "learning_rate": 5e-5, "outside_range": TINY_REASONS}
TOLERANCE = 1e-4  # relative, of each loss in float32, where sums have another order; measured: 1.2e-5 at most
ONE_EPOCH = {"num_train_epochs": 1}


def recipe_of(approach: str, method: str, **knobs: Any) -> Recipe:
    # without dropout, which two processes draw apart
    given = {**KNOBS, **(FULL if method == "full" else {"lora_dropout": 0.0}), **knobs}
    if "+" in approach:
        second = {key: given[key] for key in ("gradient_accumulation_steps", "per_device_train_batch_size")}
        rate = {"learning_rate": given.get("learning_rate", 1e-3), "outside_range": TINY_REASONS}
        given["dpo"] = {**second, **rate}
    return preference_recipe(approach, **given)


@pytest.mark.parametrize(
    ("approach", "method", "distribution"),
    [
        pytest.param("dpo", "lora", "ddp", marks=pytest.mark.long),
        pytest.param("kto", "lora", "ddp", marks=pytest.mark.long),
        ("sft+dpo", "lora", "ddp"),
        pytest.param("dpo", "full", "fsdp2", marks=pytest.mark.long),
        pytest.param("kto", "full", "fsdp2", marks=pytest.mark.long),
        pytest.param("sft+dpo", "full", "fsdp2", marks=pytest.mark.long),
    ],
)
def test_two_processes_learn_from_preferences_what_one_learns_with_the_same_global_batch(
    approach: str, method: str, distribution: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_float32(monkeypatch)
    recipe = recipe_of(approach, method, **ONE_EPOCH)
    alone, both = on_one(tmp_path / "alone", recipe, ROWS), on_two(tmp_path / "both", recipe, ROWS)
    assert [stage.steps for stage in both.stages] == [stage.steps for stage in alone.stages]
    assert losses(both) == pytest.approx(losses(alone), rel=TOLERANCE)
    looks = [entry["eval_loss"] for entry in both.last.log_history if "eval_loss" in entry]
    assert looks[-1] < looks[0] * 0.95, "it does learn"
    assert both.last.best_step == alone.last.best_step
    assert both.tokens == alone.tokens
    record = json.loads((tmp_path / "both" / "out" / "provenance.json").read_text())
    assert (record["devices"], record["distribution"]) == (2, distribution)


@pytest.mark.long
@pytest.mark.parametrize(
    ("approach", "method"), [("dpo", "lora"), ("kto", "lora"), ("sft+dpo", "lora"), ("dpo", "full")]
)
def test_preferences_on_two_processes_of_which_one_is_killed_end_with_the_same_bytes(
    approach: str, method: str, tmp_path: Path
) -> None:
    dropout = {} if method == "full" else {"lora_dropout": 0.1}
    recipe = recipe_of(approach, method, **dropout)
    whole = on_two(tmp_path / "whole", recipe, ROWS)
    killed_on_two(tmp_path / "killed", recipe, ROWS, step=2)
    resumed = on_two(tmp_path / "killed", recipe, ROWS)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    assert resumed.last.log_history == whole.last.log_history
