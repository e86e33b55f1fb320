"""An adapter and a whole model on two processes, which train what one does, and survive the loss of one."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ft_assets.errors import BadConfiguration
from ft_assets.training.recipe import Recipe
from ft_assets.training.result import TrainingResult
from ft_assets.training.several_devices import train_on_devices
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets_tests.training.samples import TINY_REASONS, commit_rows, needs_base, tiny_recipe
from ft_assets_tests.training.two_processes import (
    job,
    killed_on_two,
    losses,
    on_one,
    on_two,
    running,
    training_id,
    weights,
)

pytestmark = [pytest.mark.torch, pytest.mark.slow, needs_base]

ROWS = TrainingRows(SideRows(examples=commit_rows(60, 1)), SideRows(examples=commit_rows(8, 2)))
ADAPTER = tiny_recipe(lora_dropout=0.05, num_train_epochs=1)
FULL = Recipe.model_validate(
    {
        "method": "full",
        "learning_rate": 1e-4,
        "num_train_epochs": 1,
        "gradient_accumulation_steps": 2,
        "max_length": 256,
        "outside_range": {**TINY_REASONS, "learning_rate": "small model"},
    }
)
SHARDED_TOLERANCE = 0.01  # relative; FSDP2 rounds gradients to bfloat16 where the CPU is fast at it, DDP does not
# Other methods in the proof of the kill: FT_ASSETS_KILLED_DEVICES=lora,full
KILLED = os.environ.get("FT_ASSETS_KILLED_DEVICES", "lora").split(",")


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingResult, Path, list[dict[str, Any]]]:
    folder, told = tmp_path_factory.mktemp("together"), []
    return on_two(folder, ADAPTER, ROWS, told.append), folder, told


@pytest.mark.long  # in float32 the default suite has it with DPO behind it, in test_preferences_on_several_devices.py
def test_two_processes_train_the_adapter_of_one_with_the_same_global_batch(tmp_path):
    plain = tiny_recipe(lora_dropout=0.0, num_train_epochs=1)
    alone, both = on_one(tmp_path / "alone", plain, ROWS), on_two(tmp_path / "both", plain, ROWS)
    assert both.last.steps == alone.last.steps == alone.last.planned_steps
    assert losses(both) == pytest.approx(losses(alone), rel=1e-5)
    assert both.last.best_step == alone.last.best_step
    assert both.tokens == alone.tokens


def test_progress_log_and_provenance_are_those_of_one_process(together):
    result, folder, told = together
    assert next(entry["step"] for entry in told if "eval_loss" in entry) == 0
    assert len(told) == len(result.last.log_history)
    record = json.loads((folder / "out" / "provenance.json").read_text())
    assert (record["devices"], record["distribution"]) == (2, "ddp")
    names = {path.name for path in (folder / "out").iterdir()}
    records = {"provenance.json", "received.json", "training_log.json"}
    assert names == {"adapter_config.json", "adapter_model.safetensors", *records}
    assert not running()


@pytest.mark.parametrize("method", KILLED)
def test_a_process_that_is_killed_ends_the_run_and_the_next_ends_with_the_same_bytes(together, tmp_path, method):
    recipe = {"lora": ADAPTER, "full": FULL}[method]
    if method == "lora":
        whole, whole_folder = together[:2]
    else:
        whole, whole_folder = on_two(tmp_path / "whole", recipe, ROWS), tmp_path / "whole"
    killed_on_two(tmp_path, recipe, ROWS, step=3)
    resumed = on_two(tmp_path, recipe, ROWS)
    assert weights(tmp_path) == weights(whole_folder)
    assert resumed.last.log_history == whole.last.log_history


def test_full_fine_tuning_is_sharded_and_trains_what_one_process_trains(tmp_path):
    alone, both = on_one(tmp_path / "alone", FULL, ROWS), on_two(tmp_path / "both", FULL, ROWS)
    assert losses(both) == pytest.approx(losses(alone), rel=SHARDED_TOLERANCE)
    assert both.last.trainable_parameters == alone.last.trainable_parameters
    assert len(weights(tmp_path / "both")) == len(weights(tmp_path / "alone"))
    record = json.loads((tmp_path / "both" / "out" / "provenance.json").read_text())
    assert record["distribution"] == "fsdp2"
    assert list((tmp_path / "both" / "work" / training_id("sft")).glob("checkpoint-*/pytorch_model_fsdp.bin"))


def test_a_recipe_that_does_not_divide_by_the_devices_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(BadConfiguration, match="gradient_accumulation_steps is 2 and there are 3 devices"):
        train_on_devices(job(tmp_path, ADAPTER), ROWS, 3, print)


def test_the_type_of_an_error_survives_the_way_back(tmp_path):
    other = job(tmp_path, tiny_recipe(max_length=16))  # every row is longer
    with pytest.raises(Exception, match="longer than max_length 16") as told:
        train_on_devices(other, ROWS, 2, print)
    assert type(told.value).__name__ == "BadInput"
    assert not running()
