"""How a training went, and the artifact that it leaves."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.training.checkpoint_ranks import from_first_process, whole_weights
from ft_assets.training.intervals import Intervals
from ft_assets.training.recipe_ranges import Objective
from ft_assets.training.stage import StageSetup
from ft_assets.training.stage_data import tokens_in
from ft_assets.training.training_log import TRAINING_LOG
from ft_assets.training.watchdog import kept_log

if TYPE_CHECKING:
    import torch
    from transformers import Trainer


@dataclass(frozen=True)
class StageResult:
    """How one stage went. SFT losses are nats per answer token; `tokens` counts all that was read, padding left out."""

    objective: Objective
    steps: int
    planned_steps: int
    best_step: int
    train_loss: float
    first_eval_loss: float
    best_eval_loss: float
    log_history: list[dict[str, float]]
    intervals: Intervals
    seconds: float
    tokens: int
    trainable_parameters: int
    reference: dict[str, str] | None = None  # what preferences were measured against: kind, digest, base
    lowered: list[str] = field(default_factory=list)  # what was lowered for want of memory, a sentence each

    @property
    def stopped_early(self) -> bool:
        """Whether the validation loss ended the stage before its last planned step."""
        return self.steps < self.planned_steps

    def at_best(self, metric: str) -> float | None:
        """That metric in the evaluation whose weights were kept; None where it was not measured.

        DPO: `eval_rewards/margins` (nats, times beta) and `eval_rewards/accuracies` (0 to 1); KTO has the margins.
        """
        found = [entry[metric] for entry in self.log_history if entry["step"] == self.best_step and metric in entry]
        return found[-1] if found else None


@dataclass(frozen=True)
class TrainingResult:
    """How a training went, stage by stage. The weights are those of the last one."""

    stages: tuple[StageResult, ...]

    @property
    def last(self) -> StageResult:
        """The stage whose weights were kept."""
        return self.stages[-1]

    @property
    def log_history(self) -> list[dict[str, float]]:
        """The log of the only stage; of several, all their entries, each metric named `sft/loss`, `dpo/loss`."""
        if len(self.stages) == 1:
            return self.last.log_history
        return [
            {key if key == "step" else f"{stage.objective}/{key}": value for key, value in entry.items()}
            for stage in self.stages
            for entry in stage.log_history
        ]

    @property
    def seconds(self) -> float:
        """Wall time of all stages, earlier attempts included where their steps were not repeated."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def tokens(self) -> int:
        """Tokens read by all stages, padding left out."""
        return sum(stage.tokens for stage in self.stages)


def result_of(trainer: "Trainer", setup: StageSetup, train_loss: float, seconds: float) -> StageResult:
    """What the trainer of a stage knows once it has ended."""
    state = trainer.state
    history = kept_log(state.log_history)
    return StageResult(
        objective=setup.recipe.objective,
        steps=state.global_step,
        planned_steps=state.max_steps,
        best_step=state.best_global_step,
        train_loss=train_loss,
        first_eval_loss=next(entry["eval_loss"] for entry in history if "eval_loss" in entry),
        best_eval_loss=float(state.best_metric),
        log_history=history,
        intervals=setup.intervals,
        seconds=seconds,
        tokens=round(tokens_in(setup.train) * state.epoch),
        trainable_parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        reference=asdict(trainer.reference) if hasattr(trainer, "reference") else None,
    )


def write_weights(trainer: "Trainer", out_dir: Path, base_dir: Path, base_id: str, dtype: "torch.dtype") -> None:
    """Writes what was trained, without a path of this machine: an adapter, or the whole model in `dtype`.

    An adapter is adapter_model.safetensors with adapter_config.json; a model is model.safetensors (in shards, if it is
    large) with the base's own config.json and generation_config.json, and no tokenizer: that is the base's. Under
    torchrun every process calls this, and all wait until the first one has written.
    """
    model, state = trainer.accelerator.unwrap_model(trainer.model), whole_weights(trainer)
    write = _write_adapter if hasattr(model, "peft_config") else partial(_write_model, base_dir=base_dir, dtype=dtype)
    from_first_process(lambda: write(model, state, out_dir, base_id=base_id))


def _write_adapter(model: Any, state: dict[str, Any] | None, out_dir: Path, base_id: str) -> None:
    # a second adapter is the frozen reference of a preference stage
    model.save_pretrained(str(out_dir), state_dict=state, save_embedding_layers=False, selected_adapters=["default"])
    (out_dir / "README.md").unlink(missing_ok=True)  # peft's empty model card, with this machine's paths in it
    config = json.loads((out_dir / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base_id
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # a set in peft: its order changes from process to process
    _write(out_dir / "adapter_config.json", config)


def _write_model(
    model: Any, state: dict[str, Any] | None, out_dir: Path, base_dir: Path, dtype: "torch.dtype", **_: str
) -> None:
    if state is None:
        model.to(dtype).save_pretrained(str(out_dir))
    else:
        model.save_pretrained(str(out_dir), state_dict={name: value.to(dtype) for name, value in state.items()})
    for name in ("config.json", "generation_config.json"):  # the trainer's own say use_cache: false, and more
        (out_dir / name).unlink(missing_ok=True)
        if (base_dir / name).exists():
            shutil.copyfile(base_dir / name, out_dir / name)


def write_records(out_dir: Path, result: TrainingResult, made_from: Mapping[str, Any]) -> None:
    """Writes training_log.json, a list of entries (of several stages: such a list for each), and provenance.json."""
    several = {stage.objective: stage.log_history for stage in result.stages}
    _write(out_dir / TRAINING_LOG, several if len(several) > 1 else result.last.log_history)
    references = {stage.objective: stage.reference for stage in result.stages if stage.reference}
    _write(out_dir / "provenance.json", {**made_from, "references": references} if references else made_from)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
