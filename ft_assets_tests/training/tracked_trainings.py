"""Small real trainings while MLflow, S3 or the disk fails, one for each argument. Run as a script.

`up`: MLflow is a database. `nobody`: nobody listens on its port. `silent`: it accepts and never answers. `s3`: the lake
is on S3, which fails for a while. `full`: no file may grow, as on a full disk, from the first step to the last but one.
torch and trl are loaded once and every training is a fork. With `s3`, AWS_ENDPOINT_URL names a FaultyS3.
"""

import hashlib
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from ft_assets.tracking import Tracking
from ft_assets.tracking_stream import RunStream
from ft_assets_tests.mlflow_servers import free_port, silent_server
from ft_assets_tests.training.samples import BASE, commit_rows, tiny_recipe

TRAINING = "7" * 64
LIMIT_BYTES = 1_000  # smaller than any file of a checkpoint and than the journal
GIVEN = {"snapshot": "5" * 64, "base_id": "tiny-base", "base_digest": "b" * 64}


def _train(root: Path, trouble: str, uri: str) -> dict[str, Any]:
    from ft_assets.training.checkpoint_s3 import checkpoint_store
    from ft_assets.training.checkpoint_saver import CheckpointSaver
    from ft_assets.training.progress import ProgressReports
    from ft_assets.training.stage_data import SideRows, TrainingRows
    from ft_assets.training.telemetry import telemetry
    from ft_assets.training.train import train

    work_dir, lines, alerts = root / "work", [], []
    lake_url = os.environ["FT_ASSETS_TEST_LAKE"] if trouble == "s3" else str(root)
    stream = RunStream(Tracking(uri, root / "spool"), TRAINING, trouble, trouble, {"r": 8}, {}, send_seconds=0.3)
    reports = ProgressReports(lines.append, stream.log)
    outcome = train(
        base_dir=BASE,
        rows=TrainingRows(SideRows(commit_rows(40, 1)), SideRows(commit_rows(3, 2))),
        recipe=tiny_recipe(num_train_epochs=2, lora_dropout=0.1),
        work_dir=work_dir,
        checkpoints=lambda stage: CheckpointSaver(
            _often(checkpoint_store(lake_url, work_dir / stage, TRAINING)), alert_after=1, on_alert=alerts.append
        ),
        out_dir=root / "artifact",
        system_prompt=None,
        on_progress=lambda progress: None,
        provenance=GIVEN,
        callbacks=[telemetry(reports, tokens_per_epoch=4000, flops_per_token=1e7, peak_flops=1e11), _trouble(trouble)],
    )
    started = time.monotonic()
    run_id = stream.finish(wait_seconds=10 if trouble in ("up", "full") else 1)
    last = max((work_dir / "sft").glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    return {
        "weights": _digest(root / "artifact" / "adapter_model.safetensors"),
        "state": {name: _digest(last / name) for name in ("optimizer.pt", "rng_state.pth")},
        "losses": [(entry["step"], entry["loss"]) for entry in outcome.log_history if "loss" in entry],
        "last_step": outcome.last.steps,
        "run_id": run_id,
        "seconds_at_the_end": time.monotonic() - started,
        "lines": lines,
        "alerts": alerts,
        "figures": reports.figures(),
    }


def _often(store: Any) -> Any:
    """Copies that failed are tried again after half a second and not after 15: the outage here is a short one."""
    from ft_assets.training import checkpoint_s3

    checkpoint_s3.FIRST_PAUSE_SECONDS = checkpoint_s3.LONGEST_PAUSE_SECONDS = 0.5
    return store


def _trouble(trouble: str) -> Any:
    from transformers import TrainerCallback

    class Trouble(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if trouble == "full":
                limit = LIMIT_BYTES if state.global_step < state.max_steps - 1 else resource.RLIM_INFINITY
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    return Trouble()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _forked(root: Path, trouble: str, uri: str) -> None:
    if (child := os.fork()) == 0:
        code = 1
        try:
            (root / "result.json").write_text(json.dumps(_train(root, trouble, uri)))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"{trouble} failed")


def main(root: Path, database: str, troubles: list[str]) -> None:
    """A directory under `root` for each of the troubles, with its result.json and its spool."""
    import peft  # noqa: F401
    import torch
    import trl  # noqa: F401

    torch.set_num_threads(1)
    for trouble in troubles:
        (root / trouble).mkdir(parents=True)
        with silent_server() as silent:
            uris = {"nobody": f"http://127.0.0.1:{free_port()}", "silent": silent}
            _forked(root / trouble, trouble, uris.get(trouble, database))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
