"""What DPO and KTO share: rows that are tokens already, a reference that is asked once, and a look at it before step 1.

TRL prepares a dataset and asks the reference in two methods of its own, `_prepare_dataset` and `_precompute_ref_logps`.
Both are replaced here, and nothing of TRL is copied. If a new TRL renames them, the tests of DPO and KTO fail.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ft_assets.errors import WrongReference
from ft_assets.training.checkpoint_callback import sealing
from ft_assets.training.checkpoint_ranks import from_first_process
from ft_assets.training.distribution import sharded
from ft_assets.training.reference import (
    FROZEN,
    TRAINED,
    Columns,
    Reference,
    adapter_digest,
    keep_log_probabilities,
    kept_log_probabilities,
    log_probabilities_key,
    reference_of,
)
from ft_assets.training.stage import StageSetup

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

FIRST_MARGIN_LIMIT = 0.05  # nats, as mean of the first pairs; bf16 rounding gives a tenth of it
ROWS_LOOKED_AT = 8
ROWS_PER_QUESTION = 2  # without gradients twice as many rows fit as in training


def preference_trainer(trainer_class: type, setup: StageSetup, arguments: Any, columns: tuple[str, ...]) -> Any:
    """A sealed trainer of that class for a stage, with a reference. `arguments` are a DPOConfig or KTOConfig.

    Only full fine-tuning without kept answers holds a second model: a copy, because TRL would load the base, whatever
    was trained on. Where the model is sharded there is one until the answers are kept.
    """
    keeps_answers = setup.recipe.precompute_ref_log_probs
    second_model = setup.recipe.method == "full" and (sharded() or not keeps_answers)
    trainer = sealing(with_reference(trainer_class, setup, columns))(
        saver=setup.saver,
        model=setup.model,
        ref_model=deepcopy(setup.model) if second_model else None,
        args=arguments,
        train_dataset=setup.train,
        eval_dataset=setup.validation,
        processing_class=setup.chat.tokenizer,
        peft_config=setup.peft_config,
        callbacks=list(setup.callbacks),
    )
    if keeps_answers:
        trainer.ref_model = None
    return trainer


def with_reference(trainer_class: type, setup: StageSetup, columns: tuple[str, ...]) -> Any:
    """A subclass of DPOTrainer or KTOTrainer that takes tokenised rows and keeps what the reference answered.

    `columns` are the names under which that trainer expects what `compute_ref_log_probs` gives. The trainer has one
    attribute more, `reference: Reference`.

    Its `train()` raises, beside what the trainer raises:
        WrongReference: before the first step the policy is not at its reference.
    """

    class PreferenceTrainer(trainer_class):
        def __init__(self, **kwargs: Any):
            self._reference: Reference | None = None
            super().__init__(**kwargs)
            _without_dropout(self.model)
            log.info("The reference is %s.", self.reference)

        @property
        def reference(self) -> Reference:
            """The weights that this stage is measured against."""
            if self._reference is None:
                self._reference = reference_of(self.accelerator.unwrap_model(self.model))
            return self._reference

        def _prepare_dataset(self, dataset: "Dataset", *args: Any) -> "Dataset":
            return dataset

        def _precompute_ref_logps(self, dataset: "Dataset", name: str, batch_size: int) -> "Dataset":
            knobs = {"ld_alpha": self.args.ld_alpha if hasattr(self.args, "ld_alpha") else None, "columns": columns}
            key = log_probabilities_key(self.reference, dataset, knobs)
            found = from_first_process(lambda: kept_log_probabilities(setup.work_dir, key, len(dataset)))
            if found is None:
                found = _ask(self, dataset, columns)
                from_first_process(lambda: keep_log_probabilities(setup.work_dir, key, found))
            for column, values in found.items():
                dataset = dataset.add_column(column, values.tolist())
            return dataset

        def train(self, *args: Any, **kwargs: Any) -> Any:
            refuse_wrong_reference(self)  # checkpoints are loaded later: these are the weights the stage starts from
            return super().train(*args, **kwargs)

    return PreferenceTrainer


def refuse_wrong_reference(trainer: Any) -> None:
    """Compares the policy with its reference before the first step, with dropout off: they must be the same model.

    Raises:
        WrongReference: the frozen adapter is missing or is another one; the reference is asked under dropout; or the
            mean margin of the first rows is not under 0.05 nats.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    _refuse_wrong_adapter(model, trainer.reference)
    if not trainer.precompute_ref_logps and not _answers_twice_alike(trainer):
        raise WrongReference(
            "the reference is asked while dropout is on: two answers to the same rows differ, so margins are noise. "
            "Write precompute_ref_log_probs: true or disable_dropout: true."
        )
    told = first_rewards(trainer)
    margin = told.get("rewards/margins", max(told.values(), key=abs, default=math.nan))
    if not abs(margin) < FIRST_MARGIN_LIMIT:
        raise WrongReference(
            f"the first margin is {margin:.3f} nats (limit {FIRST_MARGIN_LIMIT}), as mean of the first "
            f"{ROWS_LOOKED_AT} rows with dropout off. Before the first step the policy is its reference, so it must be "
            f"near 0. The reference here is {trainer.reference.kind} {trainer.reference.digest[:12]}: another adapter "
            "or base answered. Remove the stage's work directory and run again; if it stays, the weights given to the "
            "stage are not those of its reference."
        )


def first_rewards(trainer: Any) -> dict[str, float]:
    """The means of `rewards/...` over the first training rows with dropout off, in nats; no weight changes."""
    import torch

    trainer.model.eval()
    trainer._metrics["eval"].clear()
    try:
        with torch.no_grad(), trainer.accelerator.autocast():
            for batch in _batches(trainer, range(min(ROWS_LOOKED_AT, len(trainer.train_dataset)))):
                trainer.compute_loss(trainer.model, batch)
        told = {key: list(values) for key, values in trainer._metrics["eval"].items() if key.startswith("rewards/")}
    finally:
        trainer._metrics["eval"].clear()
    told.pop("rewards/accuracies", None)
    return {key: sum(values) / len(values) for key, values in told.items()}


def _refuse_wrong_adapter(model: Any, reference: Reference) -> None:
    if reference.kind != "adapter":
        return
    if FROZEN not in model.peft_config:
        raise WrongReference(
            f"the model has no adapter '{FROZEN}' any more, so the base would answer in the place of the frozen "
            f"adapter {reference.digest[:12]}. Run again; a version of TRL that no longer makes it must not be used."
        )
    found, started = adapter_digest(model, FROZEN), adapter_digest(model, TRAINED)
    if not found == started == reference.digest:
        raise WrongReference(
            f"the frozen adapter is {found[:12]}, the stage starts from {started[:12]}, and its reference is "
            f"{reference.digest[:12]}: they must be one and the same. Remove the stage's work directory and run again."
        )


def _answers_twice_alike(trainer: Any) -> bool:
    """Whether the reference gives the same numbers twice in training mode. The random states stay as they were."""
    import torch

    batch = next(_batches(trainer, range(min(ROWS_LOOKED_AT, len(trainer.train_dataset)))))
    trainer.model.train()
    try:
        with torch.random.fork_rng():
            asked = trainer.ref_model or trainer.model
            first, second = (trainer.compute_ref_log_probs(asked, batch) for _ in range(2))
    finally:
        trainer.model.eval()
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True) if a is not None)


def _ask(trainer: Any, dataset: "Dataset", columns: tuple[str, ...]) -> Columns:
    """What the reference answers to every row, dropout off. Rows of one length go together, so little is padding.

    Draws no random number: a run that finds the answers kept goes on exactly as one that computed them. Several
    processes share the rows, each as many as the others, because a sharded model answers to all of them at once.
    """
    import numpy as np

    lengths = [sum(len(row[name]) for name in row if name.endswith("_ids")) for row in dataset]
    order = sorted(range(len(dataset)), key=lengths.__getitem__)
    processes, rank = trainer.accelerator.num_processes, trainer.accelerator.process_index
    own = [order[place % len(order)] for place in range(rank, -(-len(order) // processes) * processes, processes)]
    size = ROWS_PER_QUESTION * trainer.args.per_device_train_batch_size
    answers: list[tuple[int, list[float]]] = []
    with _in_eval_mode(trainer.model):
        for start, batch in enumerate(_batches(trainer, own, dataset, size)):
            told = trainer.compute_ref_log_probs(trainer.ref_model or trainer.model, batch)
            values = zip(*(column.float().tolist() for column in told if column is not None), strict=True)
            answers += zip(own[start * size : (start + 1) * size], map(list, values), strict=True)
    by_row = dict(_of_all_processes(answers, processes))
    table = np.array([by_row[row] for row in range(len(dataset))], dtype=np.float32)
    return {name: np.ascontiguousarray(table[:, place]) for place, name in enumerate(columns)}


def _of_all_processes(own: list[Any], processes: int) -> list[Any]:
    if processes == 1:
        return own
    import torch.distributed as dist

    parts: list[list[Any]] = [[] for _ in range(processes)]
    dist.all_gather_object(parts, own)
    return [entry for part in parts for entry in part]


def _batches(trainer: Any, rows: Any, dataset: "Dataset | None" = None, size: int | None = None) -> Iterator[Any]:
    dataset = trainer.train_dataset if dataset is None else dataset
    size = size or trainer.args.per_device_train_batch_size
    for start in range(0, len(rows), size):
        batch = trainer.data_collator([dataset[row] for row in rows[start : start + size]])
        yield {name: value.to(trainer.accelerator.device) for name, value in batch.items()}


@contextmanager
def _in_eval_mode(model: Any) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _without_dropout(model: Any) -> None:
    """Takes dropout out of the frozen adapter alone: TRL asks it in training mode, and it would answer with noise."""
    import torch

    for module in model.modules():
        dropouts = getattr(module, "lora_dropout", None)
        if isinstance(dropouts, torch.nn.ModuleDict) and FROZEN in dropouts:
            dropouts[FROZEN] = torch.nn.Identity()
