"""One training where it belongs: in this process on one device, in processes of its own on several."""

from collections.abc import Callable
from functools import partial
from typing import Any

from ft_assets.training.checkpoint_s3 import checkpoint_store
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.device_job import DeviceJob
from ft_assets.training.result import TrainingResult
from ft_assets.training.several_devices import train_on_devices
from ft_assets.training.stage_data import TrainingRows
from ft_assets.training.sweep_stop import stops
from ft_assets.training.train import train


def launch(
    job: DeviceJob,
    rows: TrainingRows,
    devices: int,
    on_progress: Callable[[dict[str, Any]], None],
    on_alert: Callable[[str], object],
) -> TrainingResult:
    """Trains `job` on that many devices of this machine; the artifact is in `job.out_dir`.

    Raises what `train` raises, and on several devices what `train_on_devices` does.
    """
    if devices > 1:
        return train_on_devices(job, rows, devices, on_progress, on_alert)
    return train(
        base_dir=job.base_dir,
        rows=rows,
        recipe=job.recipe,
        work_dir=job.last_dir,
        checkpoints=partial(saver_of, job, on_alert),
        out_dir=job.out_dir,
        system_prompt=job.system_prompt,
        on_progress=on_progress,
        provenance=job.provenance,
        callbacks=stops(job.stop_after_steps, list(job.training_ids)[-1]),
        on_alert=on_alert,
        tokens_dir=job.tokens_dir,
        lowerings=job.lowerings,
    )


def saver_of(job: DeviceJob, on_alert: Callable[[str], object], objective: str) -> CheckpointSaver:
    """What saves the checkpoints of one stage of the job, under the stage's own training id."""
    training_id = job.training_ids[objective]
    store = checkpoint_store(job.lake_url, job.work_dir / training_id, training_id)
    may_commit = job.lease.require if job.lease else bool
    return CheckpointSaver(store, job.keep_last, job.grace_seconds, on_alert=on_alert, may_commit=may_commit)
