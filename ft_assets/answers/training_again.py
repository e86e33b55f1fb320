"""A model's training once more, in a folder of its own: the lake is only read."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ft_assets.lake import Lake
from ft_assets.specializations.training_rows import training_rows

# What `training.provenance.describe` and the trainer add to what a caller gives.
ADDED = (
    *("recipe", "recipe_digest", "seed", "system_prompt", "code_version", "python", "libraries", "device"),
    *("numerics", "lowered", "references"),
)


def train_again(
    lake: Lake, origin: Mapping[str, Any], snapshot: Path, folder: Path, on_line: Callable[[str], object]
) -> Path:
    """Trains what the provenance `origin` describes on the rows of `snapshot`; the directory of the new adapter.

    On as many threads as the first time, where this machine has them and OMP_NUM_THREADS does not say otherwise.

    Raises what `training.launch.launch` does, and:
        IncompleteArtifact: the base model is damaged or gone.
    """
    from ft_assets.training.device_job import DeviceJob
    from ft_assets.training.launch import launch
    from ft_assets.training.progress import progress_line
    from ft_assets.training.provenance import stage_ids
    from ft_assets.training.recipe import Recipe
    from ft_assets.training.training_device import device_here

    _ask_for_threads(int(origin["device"]["threads"]))
    recipe = Recipe.model_validate(origin["recipe"])
    job = DeviceJob(
        base_dir=lake.artifact("base_model", origin["base_digest"]).path,
        recipe=recipe,
        work_dir=folder / "training",
        lake_url=str(folder),
        training_ids=stage_ids(origin["snapshot"], recipe, origin["base_digest"]),
        out_dir=folder / "adapter",
        system_prompt=origin["system_prompt"],
        provenance={name: value for name, value in origin.items() if name not in ADDED},
        tokens_dir=folder / "tokens",
    )
    rows = training_rows(snapshot, recipe)
    devices = min(device_here().count, int(origin.get("numerics", {}).get("processes", 1)))

    def on_progress(progress: dict[str, Any]) -> None:
        on_line(progress_line(progress))

    launch(job, rows, devices, on_progress, on_line)
    return job.out_dir


def _ask_for_threads(threads: int) -> None:
    from ft_assets.compute import let_waiting_threads_sleep

    let_waiting_threads_sleep()
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(threads)
