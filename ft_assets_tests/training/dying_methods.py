"""Small trainings by method full and qlora, killed as their arguments say and resumed until they end. Run as a script.

`full KILL:3,none` trains every weight: the first attempt dies in the middle of step 3, the second one ends.
"""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ft_assets_tests.training import dying_trainings
from ft_assets_tests.training.dying_nodes import enter_node, saver_of
from ft_assets_tests.training.samples import BASE, TINY_REASONS, commit_rows

KNOBS: dict[str, dict[str, Any]] = {
    "full": {"learning_rate": 3e-4},
    "qlora": {"learning_rate": 3e-3, "r": 4, "lora_dropout": 0.1, "optim": "adamw_bnb_8bit"},
}
STEPS = 6


def _train(work_dir: Path, method: str, fault: str) -> None:
    from ft_assets.training.recipe import Recipe
    from ft_assets.training.stage_data import SideRows, TrainingRows
    from ft_assets.training.train import train

    result = train(
        base_dir=BASE,
        rows=TrainingRows(SideRows(commit_rows(24, 1)), SideRows(commit_rows(4, 2))),
        recipe=Recipe.model_validate(
            {
                **{"method": method, **KNOBS[method], "num_train_epochs": 2, "gradient_accumulation_steps": 4},
                **{"max_length": 128, "eval_steps": 2, "save_steps": 2, "outside_range": TINY_REASONS},
            }
        ),
        work_dir=work_dir,
        checkpoints=lambda stage: saver_of(work_dir, stage),
        out_dir=work_dir / "artifact",
        system_prompt=None,
        on_progress=lambda _: None,
        provenance={"snapshot": "5" * 64, "base_id": "tiny-base", "base_digest": "b" * 64},
        callbacks=[dying_trainings._fault(fault)],
    ).last
    last = work_dir / "sft" / f"checkpoint-{result.steps}"
    files = [*(work_dir / "artifact").glob("*.safetensors"), last / "optimizer.pt", last / "scheduler.pt"]
    told: dict[str, Any] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    told |= {"steps": result.steps, "train_loss": result.train_loss, "log": result.log_history}
    (work_dir / "result.json").write_text(json.dumps(told))


def _attempt(work_dir: Path, method: str, fault: str) -> str:
    enter_node(work_dir)
    if (child := os.fork()) == 0:
        code = 1
        try:
            _train(work_dir, method, fault)
            code = 0
        except Exception as error:
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"ended with {status}"


def main(root: Path, trainings: Sequence[str]) -> None:
    """One training for each argument: its attempts in order, in a directory of its own."""
    import bitsandbytes  # noqa: F401  loaded once, every attempt is a fork
    import peft  # noqa: F401
    import torch
    import trl  # noqa: F401

    torch.set_num_threads(1)
    told = {}
    for number, training in enumerate(trainings):
        work_dir = root / str(number)
        work_dir.mkdir(parents=True)
        method, _, faults = training.partition(" ")
        told[training] = {"attempts": [_attempt(work_dir, method, fault) for fault in faults.split(",")]}
        told[training]["result"] = json.loads((work_dir / "result.json").read_text())
    (root / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
