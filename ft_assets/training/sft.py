"""Supervised fine-tuning of a LoRA adapter with TRL and PEFT, on packed rows, with the loss on the answers only."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.chat import Chat, load_model
from ft_assets.compute import compute_device, use_available_cores
from ft_assets.errors import BadConfiguration
from ft_assets.training.checkpoint_callback import sealing
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.intervals import Intervals
from ft_assets.training.packed_rows import TrainingRow, packed, tokenised
from ft_assets.training.provenance import describe
from ft_assets.training.recipe import Recipe
from ft_assets.training.watchdog import kept_log, watchdog

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PreTrainedModel
    from trl import SFTConfig, SFTTrainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """How a training went. Losses are nats per answer token; `tokens` counts all that was read, padding left out."""

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

    @property
    def stopped_early(self) -> bool:
        """Whether the validation loss ended the run before its last planned step."""
        return self.steps < self.planned_steps


def train_sft(
    base_dir: Path,
    rows_train: Sequence[TrainingRow],
    rows_validation: Sequence[TrainingRow],
    recipe: Recipe,
    work_dir: Path,
    saver: CheckpointSaver,
    out_dir: Path,
    system_prompt: str | None,
    on_progress: Callable[[dict[str, Any]], None],
    provenance: Mapping[str, Any],
) -> TrainingResult:
    """Trains an adapter and writes it to `out_dir`: weights, config, `training_log.json`, `provenance.json`.

    The checkpoint with the lowest validation loss is the one that is kept. A run that was cut off goes on from the
    newest valid checkpoint of `saver`, whose files lie under `work_dir`, and ends with the same bytes. Random are the
    adapter's first weights, the order of rows and dropout, all from `recipe.seed`: the same machine, thread count and
    libraries give the same bytes. `provenance` names at least `snapshot`, `base_id` and `base_digest`. `on_progress`
    gets step, steps and the losses of each log entry.

    Raises:
        BadInput: a side is empty, a row is too long or holds no answer, or `provenance` lacks an id.
        BadConfiguration: the recipe asks for modules or a length that this base model does not have.
        TrainingDiverged: the loss stopped being a number; nothing was saved.
    """
    started = time.monotonic()
    threads = use_available_cores()
    made_from = describe(provenance, recipe, system_prompt, threads)
    chat = Chat(base_dir)
    train = packed(tokenised(rows_train, "train", chat, system_prompt, recipe.max_length), recipe.max_length)
    unseen = tokenised(rows_validation, "validation", chat, system_prompt, recipe.max_length)
    validation = packed(unseen, recipe.max_length)
    planned = recipe.steps(len(train))
    intervals = recipe.intervals(planned)
    trainer = _trainer(base_dir, chat, train, validation, recipe, intervals, work_dir, saver, on_progress)
    with _lm_head_on_answer_tokens():
        outcome = trainer.train()
    seconds = trainer.seconds_before + time.monotonic() - started
    result = _result(trainer, outcome.training_loss, planned, intervals, seconds)
    _save(trainer, out_dir, result, made_from)
    return result


def _trainer(
    base_dir: Path,
    chat: Chat,
    train: "Dataset",
    validation: "Dataset",
    recipe: Recipe,
    intervals: Intervals,
    work_dir: Path,
    saver: CheckpointSaver,
    on_progress: Callable[[dict[str, Any]], None],
) -> "SFTTrainer":
    from transformers import EarlyStoppingCallback, PrinterCallback
    from trl import SFTTrainer

    model = load_model(base_dir)
    trainer = sealing(SFTTrainer)(
        saver=saver,
        model=model,
        args=_arguments(recipe, intervals, work_dir, bf16=model.dtype.itemsize == 2),
        train_dataset=train,
        eval_dataset=validation,
        processing_class=chat.tokenizer,
        peft_config=_adapter(recipe, model),
        callbacks=[
            watchdog(on_progress),
            EarlyStoppingCallback(recipe.early_stopping_patience, recipe.early_stopping_threshold),
        ],
    )
    trainer.remove_callback(PrinterCallback)  # prints every log entry to stdout
    return trainer


def _arguments(recipe: Recipe, intervals: Intervals, work_dir: Path, bf16: bool) -> "SFTConfig":
    from trl import SFTConfig

    return SFTConfig(
        output_dir=str(work_dir),
        seed=recipe.seed,
        # rows and batches: already tokenised and packed; the packing flag makes the collator restart positions
        dataset_kwargs={"skip_prepare_dataset": True},
        packing=True,
        packing_strategy="bfd",
        max_length=recipe.max_length,
        pad_to_multiple_of=64,  # few row lengths: a CPU prepares its kernels for each new one, a sixth of the time
        per_device_train_batch_size=recipe.per_device_train_batch_size,
        per_device_eval_batch_size=1,
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        dataloader_pin_memory=False,
        # optimisation
        num_train_epochs=recipe.num_train_epochs,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.lr_scheduler_type,
        warmup_steps=intervals.warmup_steps,
        weight_decay=recipe.weight_decay,
        optim=recipe.optim,
        max_grad_norm=recipe.max_grad_norm,
        # the machine; checkpointing trades time for memory that short chats do not need
        gradient_checkpointing=recipe.gradient_checkpointing,
        bf16=bf16,
        use_cpu=compute_device() == "cpu",
        # looking, keeping the best, stopping
        eval_strategy="steps",
        eval_steps=intervals.eval_steps,
        eval_on_start=True,
        save_strategy="steps",
        save_steps=intervals.save_steps,
        restore_callback_states_from_checkpoint=True,  # early stopping goes on counting; the saver prunes
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=intervals.logging_steps,
        logging_nan_inf_filter=False,  # the default replaces a NaN by the running mean and trains on
        report_to="none",
        disable_tqdm=True,
    )


def _adapter(recipe: Recipe, model: "PreTrainedModel") -> "LoraConfig":
    from peft import LoraConfig

    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and recipe.max_length > context:
        raise BadConfiguration(
            f"max_length is {recipe.max_length}, but this base model reads {context} tokens at most. Lower max_length."
        )
    names = recipe.target_modules.split(",")
    known = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    unknown = sorted(set(names) - known - {"all-linear"})
    if unknown:
        raise BadConfiguration(
            f"target_modules names {', '.join(unknown)}, which this base model does not have. "
            "Write all-linear, or names out of: " + ", ".join(sorted(n for n in known if n.endswith("_proj")))
        )
    return LoraConfig(
        r=recipe.r,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.lora_dropout,
        use_rslora=recipe.use_rslora,
        use_dora=recipe.use_dora,
        target_modules=names[0] if names == ["all-linear"] else names,
        task_type="CAUSAL_LM",
    )


@contextmanager
def _lm_head_on_answer_tokens() -> Iterator[None]:
    """Lets TRL compute the LM head on answer tokens only, on a CPU too: same loss and gradients, a quarter faster.

    TRL does so where it finds Triton and asks a private function; if that is gone, training is slower and right.
    """
    from trl.trainer import utils as trl_utils

    asked = getattr(trl_utils, "_use_triton", None)
    if asked is None:
        log.warning("trl.trainer.utils._use_triton is gone in this TRL: the LM head runs on every token, more slowly")
        yield
        return
    trl_utils._use_triton = lambda device: True
    try:
        yield
    finally:
        trl_utils._use_triton = asked


def _result(
    trainer: "SFTTrainer", train_loss: float, planned: int, intervals: Intervals, seconds: float
) -> TrainingResult:
    state = trainer.state
    history = kept_log(state.log_history)
    return TrainingResult(
        steps=state.global_step,
        planned_steps=planned,
        best_step=state.best_global_step,
        train_loss=train_loss,
        first_eval_loss=next(entry["eval_loss"] for entry in history if "eval_loss" in entry),
        best_eval_loss=float(state.best_metric),
        log_history=history,
        intervals=intervals,
        seconds=seconds,
        tokens=round(sum(map(sum, trainer.train_dataset["seq_lengths"])) * state.epoch),
        trainable_parameters=sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
    )


def _save(trainer: "SFTTrainer", out_dir: Path, result: TrainingResult, made_from: Mapping[str, Any]) -> None:
    trainer.model.save_pretrained(str(out_dir), safe_serialization=True, save_embedding_layers=False)
    (out_dir / "README.md").unlink(missing_ok=True)  # peft's empty model card, with this machine's paths in it
    config = json.loads((out_dir / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = made_from["base_id"]
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # a set in peft: its order changes from process to process
    _write(out_dir / "adapter_config.json", config)
    _write(out_dir / "training_log.json", result.log_history)
    _write(out_dir / "provenance.json", made_from)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
