"""Two processes on this CPU, over gloo, in the place of two devices. A pair costs about 18 CPU-seconds of imports."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ft_assets.training.device_job import DeviceJob, DeviceLost
from ft_assets.training.launch import launch
from ft_assets.training.recipe import Recipe
from ft_assets.training.result import TrainingResult
from ft_assets.training.several_devices import train_on_devices
from ft_assets.training.stage_data import TrainingRows
from ft_assets_tests.training.samples import BASE

CPU_WITHOUT_BF16 = Path(__file__).parent / "cpu_without_bf16"


def job(folder: Path, recipe: Recipe) -> DeviceJob:
    """A training in that folder; its objectives' checkpoints are under `work/<training_id(...)>`."""
    (folder / "out").mkdir(parents=True, exist_ok=True)
    return DeviceJob(
        base_dir=BASE,
        recipe=recipe,
        work_dir=folder / "work",
        lake_url=str(folder),
        training_ids={stage.objective: training_id(stage.objective) for stage in recipe.stages()},
        out_dir=folder / "out",
        system_prompt=None,
        provenance={"snapshot": "5" * 64, "base_id": "tiny-base", "base_digest": "b" * 64},
        tokens_dir=folder / "tokens",
    )


def training_id(objective: str) -> str:
    return {"sft": "7", "dpo": "8", "kto": "9"}[objective] * 64


def on_two(
    folder: Path, recipe: Recipe, rows: TrainingRows, told: Callable[[dict[str, Any]], None] = lambda progress: None
) -> TrainingResult:
    return train_on_devices(job(folder, recipe), rows, 2, told)


def on_one(folder: Path, recipe: Recipe, rows: TrainingRows) -> TrainingResult:
    return launch(job(folder, recipe), rows, 1, lambda progress: None, print)


def killed_on_two(folder: Path, recipe: Recipe, rows: TrainingRows, step: int) -> None:
    """A run whose second process is killed after that step of the last stage; no process is left over."""
    last, killed = recipe.stages()[-1].objective, []

    def kill(progress: dict[str, Any]) -> None:
        if progress["stage"] == last and progress["step"] >= step and not killed:
            killed.append(second_process())
            os.kill(killed[0], signal.SIGKILL)

    with pytest.raises(DeviceLost, match="process 1 got signal 9"):
        on_two(folder, recipe, rows, kill)
    assert not running()
    assert list((folder / "work" / training_id(last)).glob("checkpoint-*"))


def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process and those that it starts are on a CPU without bfloat16: what two devices compute is then one's."""
    monkeypatch.setattr("ft_assets.compute.CPU_FLAGS_OF_BF16", set())
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(CPU_WITHOUT_BF16), os.environ.get("PYTHONPATH", "")]))


def weights(folder: Path) -> bytes:
    return next((folder / "out").glob("*.safetensors")).read_bytes()


def losses(result: TrainingResult) -> list[float]:
    """Every loss of every stage, in the order in which it was logged."""
    logged = [entry for stage in result.stages for entry in stage.log_history]
    return [entry[key] for entry in logged for key in ("loss", "eval_loss") if key in entry]


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
