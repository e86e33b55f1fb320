"""A small real training with a lake of its own, whose steps take as long as its arguments say. Run as a script.

`FOLDER LAKE SECONDS`: it prints each step as it ends, waits SECONDS, and leaves digests and alerts in result.json.
"""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from ft_assets_tests.training.samples import BASE, commit_rows, tiny_recipe

TRAINING = "7" * 64
ROWS, VALIDATION_ROWS = 72, 4
NEVER = 100  # evaluations without progress that end it


def main(folder: Path, lake_url: str, seconds: float) -> None:
    """Trains in `folder`, with checkpoints in the lake at `lake_url`."""
    from ft_assets.training.device_job import DeviceJob
    from ft_assets.training.launch import launch
    from ft_assets.training.stage_data import SideRows, TrainingRows

    alerts: list[str] = []

    def paced(progress: dict[str, Any]) -> None:
        if "loss" in progress:
            print(progress["step"], flush=True)
            time.sleep(seconds)

    job = DeviceJob(
        base_dir=BASE,
        recipe=tiny_recipe(
            **{"lora_dropout": 0.1, "num_train_epochs": 2, "max_length": 128, "logging_steps": 1},
            **{"eval_steps": 2, "save_steps": 2, "early_stopping_patience": NEVER},
        ),
        work_dir=folder / "work",
        lake_url=lake_url,
        training_ids={"sft": TRAINING},
        out_dir=folder / "out",
        system_prompt=None,
        provenance={"snapshot": "5" * 64, "base_id": "tiny-base", "base_digest": "b" * 64},
        tokens_dir=folder / "tokens",
    )
    job.out_dir.mkdir(parents=True)
    rows = TrainingRows(SideRows(commit_rows(ROWS, 1)), SideRows(commit_rows(VALIDATION_ROWS, 2)))
    result = launch(job, rows, 1, paced, alerts.append).last
    last = job.work_dir / TRAINING / f"checkpoint-{result.steps}"
    # not rng_state.pth: botocore draws its pauses from Python's generator, which no training here uses
    files = [job.out_dir / "adapter_model.safetensors", last / "optimizer.pt", last / "scheduler.pt"]
    told: dict[str, Any] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    told |= {"steps": result.steps, "losses": result.log_history}
    (folder / "result.json").write_text(json.dumps({"told": told, "alerts": alerts}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
