"""Two processes on this CPU, over gloo, in the place of two devices. A pair costs about 18 CPU-seconds of imports."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ft_assets.errors import BadConfiguration
from ft_assets.training.device_job import DeviceJob, DeviceLost
from ft_assets.training.launch import launch
from ft_assets.training.recipe import Recipe
from ft_assets.training.result import TrainingResult
from ft_assets.training.several_devices import train_on_devices
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets_tests.training.samples import BASE, TINY_REASONS, commit_rows, needs_base, tiny_recipe

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
TRAINING = "7" * 64
SHARDED_TOLERANCE = 0.01  # relative; FSDP2 rounds gradients to bfloat16 where the CPU is fast at it, DDP does not
# Other methods in the proof of the kill: FT_ASSETS_KILLED_DEVICES=lora,full
KILLED = os.environ.get("FT_ASSETS_KILLED_DEVICES", "lora").split(",")


def job(folder: Path, recipe: Recipe) -> DeviceJob:
    (folder / "out").mkdir(parents=True, exist_ok=True)
    return DeviceJob(
        base_dir=BASE,
        recipe=recipe,
        work_dir=folder / "work",
        lake_url=str(folder),
        training_ids={"sft": TRAINING},
        out_dir=folder / "out",
        system_prompt=None,
        provenance={"snapshot": "5" * 64, "base_id": "tiny-base", "base_digest": "b" * 64},
        tokens_dir=folder / "tokens",
    )


def on_two(folder: Path, recipe: Recipe, told: Callable[[dict[str, Any]], None] = lambda progress: None) -> Any:
    return train_on_devices(job(folder, recipe), ROWS, 2, told)


def on_one(folder: Path, recipe: Recipe) -> TrainingResult:
    return launch(job(folder, recipe), ROWS, 1, lambda progress: None, print)


def weights(folder: Path) -> bytes:
    return next((folder / "out").glob("*.safetensors")).read_bytes()


def losses(result: TrainingResult) -> list[float]:
    return [entry[key] for entry in result.last.log_history for key in ("loss", "eval_loss") if key in entry]


def running() -> set[int]:
    """Processes below this one that train on several devices, by their number."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        parents[int(entry.name)] = (int(fields[1]), b"ft_assets.training.worker" in command and fields[0] != "Z")
    found = set()
    for process, (_, works) in parents.items():
        above = process
        while above in parents and above != os.getpid():
            above = parents[above][0]
        if works and above == os.getpid():
            found.add(process)
    return found


def second_process() -> int:
    """The process with rank 1."""
    ranks = (p for p in running() if b"\0RANK=1\0" in b"\0" + Path(f"/proc/{p}/environ").read_bytes() + b"\0")
    return next(ranks)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingResult, Path, list[dict[str, Any]]]:
    folder, told = tmp_path_factory.mktemp("together"), []
    return on_two(folder, ADAPTER, told.append), folder, told


def test_two_processes_train_the_adapter_of_one_with_the_same_global_batch(together, tmp_path):
    plain = tiny_recipe(lora_dropout=0.0, num_train_epochs=1)
    alone, both = on_one(tmp_path / "alone", plain), on_two(tmp_path / "both", plain)
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
    whole, whole_folder = together[:2] if method == "lora" else (on_two(tmp_path / "whole", recipe), tmp_path / "whole")
    killed = []

    def kill(progress: dict[str, Any]) -> None:
        if progress["step"] >= 3 and not killed:
            killed.append(second_process())
            os.kill(killed[0], signal.SIGKILL)

    with pytest.raises(DeviceLost, match="process 1 got signal 9"):
        on_two(tmp_path, recipe, kill)
    assert not running()
    assert list((tmp_path / "work" / TRAINING).glob("checkpoint-*"))
    resumed = on_two(tmp_path, recipe)
    assert weights(tmp_path) == weights(whole_folder)
    assert resumed.last.log_history == whole.last.log_history


def test_full_fine_tuning_is_sharded_and_trains_what_one_process_trains(tmp_path):
    alone, both = on_one(tmp_path / "alone", FULL), on_two(tmp_path / "both", FULL)
    assert losses(both) == pytest.approx(losses(alone), rel=SHARDED_TOLERANCE)
    assert both.last.trainable_parameters == alone.last.trainable_parameters
    assert len(weights(tmp_path / "both")) == len(weights(tmp_path / "alone"))
    record = json.loads((tmp_path / "both" / "out" / "provenance.json").read_text())
    assert record["distribution"] == "fsdp2"
    assert list((tmp_path / "both" / "work" / TRAINING).glob("checkpoint-*/pytorch_model_fsdp.bin"))


def test_a_recipe_that_does_not_divide_by_the_devices_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(BadConfiguration, match="gradient_accumulation_steps is 2 and there are 3 devices"):
        train_on_devices(job(tmp_path, ADAPTER), ROWS, 3, print)


def test_the_type_of_an_error_survives_the_way_back(tmp_path):
    other = job(tmp_path, tiny_recipe(max_length=16))  # every row is longer
    with pytest.raises(Exception, match="longer than max_length 16") as told:
        train_on_devices(other, ROWS, 2, print)
    assert type(told.value).__name__ == "BadInput"
    assert not running()
