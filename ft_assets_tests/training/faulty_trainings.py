"""Trainings of a Llama of a few thousand weights, milliseconds a step, healthy or with one fault from one step on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ft_assets.training.verdicts import Verdicts
from ft_assets.training.watchdog import watchdog

VOCABULARY, LENGTH, TASK, OTHER_TASK = 64, 12, 3, 7  # a row counts up by 3 modulo 64; the other task by 7
STEPS, EVAL_STEPS = 60, 10
USUAL_SECONDS, SLOW_SECONDS = 1.0, 15.0  # of a step, on a clock that only these trainings move: no machine is too busy
FAR = 1e4


@dataclass
class Training:
    """What differs from a healthy run, and how it went: alerts, and the steps that the optimizer took."""

    fault: str = ""
    at: int = 0
    until: int = 10**9
    seed: int = 0
    rows: int = 64
    validation_task: int = TASK
    batch: int = 4
    learning_rate: float = 0.03
    steps: int = STEPS
    arguments: dict[str, Any] = field(default_factory=dict)
    step: int = 0  # steps taken so far
    now: float = 0.0  # seconds on the watchdog's clock
    alerts: list[str] = field(default_factory=list)
    weights_are_finite: bool = True

    @property
    def is_faulty_now(self) -> bool:
        return self.at <= self.step < self.until


def run(training: Training, folder: Path, resume: Path | None = None) -> Any:
    """Trains to the end or to the verdict; the trainer."""
    from transformers import EarlyStoppingCallback, PrinterCallback, TrainingArguments

    trainer = _faulty_trainer(training)(
        model=_model(training.seed),
        args=TrainingArguments(
            output_dir=str(folder),
            seed=training.seed,
            max_steps=training.steps,
            per_device_train_batch_size=training.batch,
            learning_rate=training.learning_rate,
            eval_strategy="steps",
            eval_on_start=resume is None,
            metric_for_best_model="eval_loss",
            greater_is_better=False,
            logging_nan_inf_filter=False,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
            **{"eval_steps": EVAL_STEPS, "logging_steps": 1, "warmup_steps": 3, "save_strategy": "no"}
            | training.arguments,
        ),
        train_dataset=_rows(training.rows, TASK, training.seed),
        eval_dataset=_rows(8, training.validation_task, training.seed + 1000),
        data_collator=_collator(training),
        callbacks=[_injector(training), EarlyStoppingCallback(3, 0.01)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(
        watchdog(
            trainer,
            Verdicts(),
            on_alert=training.alerts.append,
            clock=lambda: training.now,
        )
    )
    try:
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    finally:
        import torch

        training.weights_are_finite = all(bool(torch.isfinite(p).all()) for p in trainer.model.parameters())
    return trainer


def _model(seed: int) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=LENGTH,
        )
    )


def _rows(count: int, task: int, seed: int) -> list[list[int]]:
    import random

    rng = random.Random(seed)
    starts = [rng.randrange(VOCABULARY) for _ in range(count)]
    return [[(start + task * place) % VOCABULARY for place in range(LENGTH)] for start in starts]


def _collator(training: Training) -> Callable[[list[list[int]]], dict[str, Any]]:
    import torch

    noise = torch.Generator().manual_seed(training.seed)

    def collate(rows: list[list[int]]) -> dict[str, Any]:
        ids = torch.tensor(rows)
        labels = ids.clone()
        if training.is_faulty_now:
            if training.fault == "poisoned rows":
                labels = torch.randint(VOCABULARY, labels.shape, generator=noise)
            elif training.fault == "no labels":
                labels.fill_(-100)
            elif training.fault == "slow loader":
                training.now += SLOW_SECONDS
        return {"input_ids": ids, "labels": labels}

    return collate


def _faulty_trainer(training: Training) -> Any:
    from transformers import Trainer

    class FaultyTrainer(Trainer):
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            found = super().compute_loss(model, inputs, *args, **kwargs)
            if not training.is_faulty_now:
                return found
            change = LOSSES.get(training.fault) if model.training else EVALUATIONS.get(training.fault)
            if change is None:
                return found
            return (change(found[0]), *found[1:]) if isinstance(found, tuple) else change(found)

    return FaultyTrainer


LOSSES: dict[str, Callable[[Any], Any]] = {
    "loss not a number": lambda loss: loss * float("nan"),
    "loss infinite, gradient finite": lambda loss: loss + float("inf"),
    "loss scaled to zero": lambda loss: loss * 0.0,
    "loss scaled up": lambda loss: loss * FAR,
}
EVALUATIONS: dict[str, Callable[[Any], Any]] = {"validation loss not a number": lambda loss: loss * float("nan")}


def _injector(training: Training) -> Any:
    """Faults in weights, gradients and the learning rate."""
    import torch
    from transformers import TrainerCallback

    class Injector(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            training.step = state.global_step
            if training.fault in GRADIENTS:
                weight = next(p for name, p in kwargs["model"].named_parameters() if "down_proj" in name)
                change = GRADIENTS[training.fault]
                weight.register_hook(lambda gradient: change(gradient) if training.is_faulty_now else gradient)

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if training.fault == "weight not a number" and training.is_faulty_now:
                with torch.no_grad():
                    kwargs["model"].lm_head.weight[0, 0] = float("nan")

        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if training.fault == "learning rate times 1000" and training.is_faulty_now:
                for group in kwargs["optimizer"].param_groups:  # the scheduler writes it anew after each step
                    group["lr"] *= 1000

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            training.step = state.global_step
            training.now += USUAL_SECONDS

    return Injector()


GRADIENTS: dict[str, Callable[[Any], Any]] = {
    "gradient infinite": lambda gradient: gradient + float("inf"),
    "gradient not a number": lambda gradient: gradient * float("nan"),
    "gradients scaled up": lambda gradient: gradient * FAR,
}
