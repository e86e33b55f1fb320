"""Suites of questions, and the answers that were already given to them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from ft_assets.compute import use_available_cores
from ft_assets.evaluation.generate import (
    EvalItem,
    Prediction,
    decoding_digest,
    predict,
    prediction_key,
    suite_digest,
)
from ft_assets.lake import Lake
from ft_assets.records import Message
from ft_assets.system_prompts import SystemPrompt


class GoldenLike(Protocol):
    """A row of a golden set."""

    @property
    def id(self) -> str: ...
    @property
    def cluster_id(self) -> str: ...
    @property
    def task_type(self) -> str: ...
    @property
    def slice(self) -> str: ...
    @property
    def messages(self) -> Sequence[Message]: ...


class SnapshotLike(Protocol):
    """A row of a snapshot's eval side."""

    @property
    def example_id(self) -> str: ...
    @property
    def cluster_id(self) -> str: ...
    @property
    def task_type(self) -> str | None: ...
    @property
    def role(self) -> str | None: ...
    @property
    def reasoning_mode(self) -> str: ...
    @property
    def messages(self) -> Sequence[Message]: ...


def golden_items(rows: Iterable[GoldenLike], role: str | None = None) -> list[EvalItem]:
    """The golden set as questions, with the slices that its file names; `role` is whose prompt they are asked with."""
    return [EvalItem(row.id, row.cluster_id, row.task_type, row.slice, tuple(row.messages), role) for row in rows]


def snapshot_items(rows: Iterable[SnapshotLike]) -> list[EvalItem]:
    """The eval side of a snapshot as questions of one slice."""
    return [
        EvalItem(
            row_id=row.example_id,
            cluster_id=row.cluster_id,
            task_type=row.task_type or "without task",
            slice="all",
            messages=tuple(row.messages),
            role=row.role,
            reasoning_mode=row.reasoning_mode,
        )
        for row in rows
    ]


def answered(
    lake: Lake,
    model_digest: str,
    base_dir: Path,
    adapter_dir: Path | None,
    items: Sequence[EvalItem],
    system_prompt: SystemPrompt,
    max_new_tokens: int,
    on_progress: Callable[[int, int], None],
) -> list[Prediction]:
    """The model's answers to all items, from the table `predictions` where they are, otherwise generated and kept."""
    import polars as pl

    use_available_cores()  # before anything below imports torch
    suite = suite_digest(items, system_prompt)
    key = prediction_key(model_digest, suite, decoding_digest(max_new_tokens))
    if lake.exists("predictions"):
        kept = lake.scan("predictions", {"key": [key]}).collect()
        if kept.height == len(items):
            return sorted((Prediction(**row) for row in kept.to_dicts()), key=lambda prediction: prediction.row_id)
    predictions = predict(
        base_dir, adapter_dir, items, system_prompt, max_new_tokens, on_progress, model_digest=model_digest
    )
    lake.replace("predictions", pl.DataFrame([asdict(prediction) for prediction in predictions]), {"key": [key]})
    return predictions
