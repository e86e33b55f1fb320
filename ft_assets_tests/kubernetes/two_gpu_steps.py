"""A training on all GPUs of its pod; without CUDA a process on the CPU stands for each GPU that the pod was given."""

import os
from pathlib import Path

import dagster as dg

from ft_assets.defs.conventions import GPU_POOL, MODEL_LINES
from ft_assets.defs.execution import TRAINS, executor, times_out_of_memory
from ft_assets_tests.training.samples import BASE, commit_rows, tiny_recipe

SHARED = Path(os.environ["FAILING_STEPS"])


@dg.asset(partitions_def=MODEL_LINES, op_tags=TRAINS, pool=GPU_POOL)
def trained_on_all(context: dg.AssetExecutionContext) -> None:
    """The tiny model, long enough to lose a process on the way; its checkpoints outlive the pod."""
    from ft_assets.training.device_job import DeviceJob
    from ft_assets.training.several_devices import devices, train_on_devices
    from ft_assets.training.stage_data import SideRows, TrainingRows

    folder = SHARED / context.run.tags["scenario"]
    (folder / "out").mkdir(parents=True, exist_ok=True)
    job = DeviceJob(
        base_dir=BASE,
        recipe=tiny_recipe(num_train_epochs=5, per_device_train_batch_size=4),
        work_dir=folder / "work",
        lake_url=str(folder),
        training_ids={"sft": "7" * 64},
        out_dir=folder / "out",
        system_prompt=None,
        provenance={"snapshot": "5" * 64, "base_id": "tiny-base", "base_digest": "b" * 64},
        tokens_dir=folder / "tokens",
        lowerings=times_out_of_memory(context),
    )
    rows = TrainingRows(SideRows(examples=commit_rows(160, 1)), SideRows(examples=commit_rows(8, 2)))
    given = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    train_on_devices(job, rows, devices(cpu_processes=len(given)), print)


defs = dg.Definitions(assets=[trained_on_all], executor=executor())
