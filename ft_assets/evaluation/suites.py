"""Suites of questions: what a model is asked, and with which system prompts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ft_assets.evaluation.items import EvalItem, Expected, suite_digest
from ft_assets.records import Message
from ft_assets.system_prompts import SystemPrompt

Kind = Literal["snapshot", "golden", "general", "interference", "own"]


@dataclass(frozen=True)
class Suite:
    """Named questions. `digest` is their identity with the system prompts, whatever their order."""

    name: str
    kind: Kind
    items: tuple[EvalItem, ...]
    system_prompt: SystemPrompt
    digest: str


class GoldenLike(Protocol):
    """A row of a golden set. `role`, `reasoning_mode`, `difficulty` and `expected` are read where a row has them."""

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
    """A row of a snapshot's eval side. `difficulty` is read where a row has it."""

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


def suite_of(name: str, kind: Kind, items: Iterable[EvalItem], system_prompt: SystemPrompt) -> Suite:
    """The items as a suite, ordered by row id."""
    ordered = tuple(sorted(items, key=lambda item: item.row_id))
    return Suite(name, kind, ordered, system_prompt, suite_digest(ordered, system_prompt))


def golden_suite(rows: Iterable[GoldenLike], system_prompt: SystemPrompt, role: str | None = None) -> Suite:
    """The line's frozen golden set; `role` is whose prompt a row is asked with that names none."""
    return suite_of("golden set", "golden", golden_items(rows, role), system_prompt)


def snapshot_suite(rows: Iterable[SnapshotLike], system_prompt: SystemPrompt) -> Suite:
    """The eval side of the snapshot that the candidate learned from."""
    return suite_of("snapshot eval side", "snapshot", snapshot_items(rows), system_prompt)


def interference_suite(
    line: str, rows: Iterable[GoldenLike], system_prompt: SystemPrompt, role: str | None = None
) -> Suite:
    """The golden set of another line, asked with that line's system prompts: this adapter in its place."""
    return suite_of(f"golden set of {line}", "interference", golden_items(rows, role), system_prompt)


def golden_items(rows: Iterable[GoldenLike], role: str | None = None) -> list[EvalItem]:
    """A golden set as questions, with the slices that its file names."""
    return [
        EvalItem(
            row_id=row.id,
            cluster_id=row.cluster_id,
            task_type=row.task_type,
            slice=row.slice,
            messages=tuple(row.messages),
            role=getattr(row, "role", None) or role,
            reasoning_mode=getattr(row, "reasoning_mode", None),
            difficulty=getattr(row, "difficulty", None),
            expected=getattr(row, "expected", None) or Expected(),
        )
        for row in rows
    ]


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
            difficulty=getattr(row, "difficulty", None),
        )
        for row in rows
    ]
