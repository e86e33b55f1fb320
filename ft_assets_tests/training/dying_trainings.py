"""A small real training that is killed as its arguments say, and resumed until it ends. Run as a script.

`KILL:5,none` is an SFT training of two attempts; `dpo KILL:5,none` one of preferences, `sft+dpo` one of two stages.

torch and trl are loaded once and every attempt is a fork, because loading them costs more than the training.
"""

import hashlib
import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ft_assets_tests.training.dying_nodes import enter_node, saver_of
from ft_assets_tests.training.samples import BASE, commit_rows, judged_answers, preference_pairs, preference_recipe

STOPPED_EARLY_AT = 8
LIMIT_BYTES = 20_000  # no file may grow past it: the disk is full
PREFERENCE_KNOBS = {
    **{"r": 4, "lora_dropout": 0.1, "max_length": 128, "learning_rate": 3e-4, "num_train_epochs": 2},
    **{"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
    **{"eval_steps": 2, "save_steps": 2, "logging_steps": 3, "disable_dropout": False},
}
EVERY_OTHER = {"gradient_accumulation_steps": 4, "eval_steps": 2, "save_steps": 2}
OF_STAGE_TWO = ("per_device_train_batch_size", "learning_rate", "num_train_epochs", "disable_dropout", "logging_steps")
PREFERENCE_STEPS = 8  # 32 rows, eight to a step, twice


def trainer_for(work_dir: Path, fault: str) -> Any:
    """A trainer with dropout and accumulation 4; the first of its looks counts as the best, so step 8 is the last."""
    import torch
    from peft import LoraConfig
    from transformers import EarlyStoppingCallback, PrinterCallback
    from trl import SFTConfig, SFTTrainer

    from ft_assets.chat import Chat, load_model
    from ft_assets.training.checkpoint_callback import sealing
    from ft_assets.training.packed_rows import packed, tokenised

    torch.manual_seed(0)
    chat = Chat(BASE)
    model = load_model(BASE)
    trainer = sealing(SFTTrainer)(
        saver=saver_of(work_dir),
        model=model,
        args=SFTConfig(
            output_dir=str(work_dir),
            max_steps=12,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=4,
            learning_rate=1e-3,
            max_length=128,
            packing=True,
            packing_strategy="bfd",
            dataset_kwargs={"skip_prepare_dataset": True},
            gradient_checkpointing=False,
            bf16=model.dtype.itemsize == 2,
            use_cpu=True,
            eval_strategy="steps",
            eval_steps=2,
            eval_on_start=True,
            save_strategy="steps",
            save_steps=2,
            logging_steps=3,  # saves fall between two entries of the log
            load_best_model_at_end=True,
            metric_for_best_model="eval_loss",
            greater_is_better=True,
            restore_callback_states_from_checkpoint=True,
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=packed(tokenised(commit_rows(40, 1), "train", chat, None, 128), 128),
        eval_dataset=packed(tokenised(commit_rows(4, 2), "validation", chat, None, 128), 128),
        processing_class=chat.tokenizer,
        peft_config=LoraConfig(r=4, lora_alpha=8, lora_dropout=0.1, target_modules="all-linear", task_type="CAUSAL_LM"),
        callbacks=[EarlyStoppingCallback(3), _fault(fault)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _fault(faults: str, stage: str | None = None) -> Any:
    """What happens to an attempt, in the stage of that name where there are several.

    `KILL:5`, `TERM:5`: in the middle of step 5; `FULL:4`: no space when step 4 is saved; `SAVED:8`: killed after it.
    Several in one attempt: `FULL:4+KILL:6`.
    """
    from transformers import TrainerCallback

    at = {name: int(step) for name, _, step in (fault.partition(":") for fault in faults.split("+")) if step}

    class Fault(TrainerCallback):
        def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            for name in ("KILL", "TERM"):
                if at.get(name) == state.global_step + 1 and stage in (None, Path(args.output_dir).name):
                    os.kill(os.getpid(), getattr(signal, f"SIG{name}"))

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            limit = LIMIT_BYTES if at.get("FULL") == state.global_step else resource.RLIM_INFINITY
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if at.get("SAVED") == state.global_step:
                os.kill(os.getpid(), signal.SIGKILL)

    return Fault()


def _train(work_dir: Path, approach: str, fault: str) -> None:
    result = _train_sft(work_dir, fault) if approach == "sft" else _train_by_preferences(work_dir, approach, fault)
    (work_dir / "result.json").write_text(json.dumps(result))


def _train_sft(work_dir: Path, fault: str) -> dict[str, Any]:
    from ft_assets.training.watchdog import kept_log

    trainer = trainer_for(work_dir, fault)
    outcome = trainer.train()
    trainer.model.save_pretrained(str(work_dir / "adapter"))
    last = work_dir / f"checkpoint-{STOPPED_EARLY_AT}"
    files = {
        "best adapter": work_dir / "adapter" / "adapter_model.safetensors",
        **{
            name: last / name for name in ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth")
        },
    }
    return {
        **{name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items() if path.exists()},
        "steps": trainer.state.global_step,
        "best_step": trainer.state.best_global_step,
        "best_from": trainer.state.best_model_checkpoint,
        "train_loss": outcome.training_loss,
        "log": kept_log(trainer.state.log_history),
    }


def _train_by_preferences(work_dir: Path, approach: str, fault: str) -> dict[str, Any]:
    """The whole way from rows to the artifact, dropout on, accumulation 4; the fault is one of the last stage."""
    from ft_assets.training.stage_data import SideRows, TrainingRows
    from ft_assets.training.train import train

    sides = [
        SideRows(commit_rows(count, seed), preference_pairs(count, seed), judged_answers(count, seed))
        for count, seed in ((32, 1), (6, 2))
    ]
    last = approach.rpartition("+")[2]
    outcome = train(
        base_dir=BASE,
        rows=TrainingRows(*sides),
        recipe=_preference_recipe(approach),
        work_dir=work_dir,
        checkpoints=lambda stage: saver_of(work_dir, stage),
        out_dir=work_dir / "artifact",
        system_prompt=None,
        on_progress=lambda progress: None,
        provenance={"snapshot": "5" * 64, "base_id": "tiny-base", "base_digest": "b" * 64},
        callbacks=[_fault(fault, last), _steps_into(work_dir / "steps")],
    )
    checkpoint = max((work_dir / last).glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    files = [
        work_dir / "artifact" / "adapter_model.safetensors",
        checkpoint / "optimizer.pt",
        checkpoint / "scheduler.pt",
    ]
    return {
        **{path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
        "steps": outcome.last.steps,
        "best_step": outcome.last.best_step,
        "train_loss": outcome.last.train_loss,
        "log": outcome.last.log_history,
        "reference_files": sorted(path.name for path in (work_dir / last).glob("reference-*")),
    }


def _preference_recipe(approach: str) -> Any:
    if approach != "sft+dpo":
        return preference_recipe(approach, **PREFERENCE_KNOBS)
    second = {key: PREFERENCE_KNOBS[key] for key in OF_STAGE_TWO}
    first = {key: value for key, value in PREFERENCE_KNOBS.items() if key != "disable_dropout"}
    reasons = preference_recipe("dpo").outside_range
    return preference_recipe(
        approach,
        **{**first, "per_device_train_batch_size": 1, "num_train_epochs": 1},
        dpo={**second, **EVERY_OTHER, "outside_range": reasons},
    )


def _steps_into(path: Path) -> Any:
    """Writes `<stage> <step>` for every optimizer step of every attempt, so that a step done twice is seen."""
    from transformers import TrainerCallback

    class Steps(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            with path.open("a") as file:
                file.write(f"{Path(args.output_dir).name} {state.global_step}\n")

    return Steps()


def _attempt(work_dir: Path, approach: str, fault: str) -> str:
    """How one attempt went: `ended`, `SIGKILL`, or the name of the error that ended it."""
    enter_node(work_dir)
    if (child := os.fork()) == 0:
        code = 1
        try:
            _train(work_dir, approach, fault)
            code = 0
        except Exception as error:
            print(repr(error), file=sys.stderr)
            (work_dir / "error").write_text(type(error).__name__)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return "ended" if status == 0 else (work_dir / "error").read_text()


def main(root: Path, trainings: Sequence[str]) -> None:
    """One training for each argument, such as `KILL:5,none`: its attempts in order, in a directory of its own."""
    import peft  # noqa: F401
    import torch
    import trl  # noqa: F401

    torch.set_num_threads(1)
    told = {}
    for number, training in enumerate(trainings):
        work_dir = root / str(number)
        work_dir.mkdir(parents=True)
        approach, _, faults = training.rpartition(" ")
        told[training] = {"attempts": [_attempt(work_dir, approach or "sft", fault) for fault in faults.split(",")]}
        told[training]["result"] = json.loads((work_dir / "result.json").read_text())
        if (work_dir / "steps").exists():
            told[training]["steps_done"] = (work_dir / "steps").read_text().splitlines()
    (root / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
