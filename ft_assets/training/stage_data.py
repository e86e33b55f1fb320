"""Rows of a snapshot, and what each objective makes of them: one function per objective, all in `DATA`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ft_assets.chat import Chat, Turn
from ft_assets.system_prompts import SystemPrompt
from ft_assets.training.packed_rows import TrainingRow, packed, tokenised
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_ranges import Objective
from ft_assets.training.token_store import packed_once

if TYPE_CHECKING:
    from datasets import Dataset

Messages = Sequence[Turn | Mapping[str, str]]


class PreferencePair(Protocol):
    """What a pair needs to have; `chosen` and `rejected` are one turn of the assistant each, after `prompt`."""

    @property
    def pair_id(self) -> str: ...
    @property
    def prompt(self) -> Messages: ...
    @property
    def chosen(self) -> Messages: ...
    @property
    def rejected(self) -> Messages: ...


class JudgedRow(Protocol):
    """What an answer with one thumb needs to have; the last message is the answer."""

    @property
    def example_id(self) -> str: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def liked(self) -> bool: ...


@dataclass(frozen=True)
class SideRows:
    """The rows of one side of a snapshot. An objective reads its own kind and leaves the others alone."""

    examples: Sequence[TrainingRow] = ()
    pairs: Sequence[PreferencePair] = ()
    judged: Sequence[JudgedRow] = ()


@dataclass(frozen=True)
class TrainingRows:
    """What a training may see: rows to learn from, and rows to stop and to choose by."""

    train: SideRows
    validation: SideRows


def sft_data(
    rows: SideRows, side: str, recipe: Recipe, chat: Chat, system_prompt: SystemPrompt, tokens_dir: Path | None = None
) -> "Dataset":
    """Packed rows of whole conversations, with labels on the assistant's tokens; `side` is named in errors.

    They are made once and read from `tokens_dir` by whoever comes later; without it they are made in memory.

    Raises:
        BadInput: no rows, one longer than `max_length`, or one without an answer.
    """
    if tokens_dir is not None:
        return packed_once(rows.examples, side, chat, system_prompt, recipe.max_length, tokens_dir)
    return packed(tokenised(rows.examples, side, chat, system_prompt, recipe.max_length), recipe.max_length)


def tokens_in(dataset: "Dataset") -> int:
    """Tokens that one pass over tokenised rows reads, padding left out."""
    if "seq_lengths" in dataset.column_names:
        return sum(map(sum, dataset["seq_lengths"]))
    ids = [name for name in dataset.column_names if name.endswith("_ids")]
    return sum(len(row[name]) for row in dataset for name in ids)


# objective -> module and function; the module is imported when a stage needs it
DATA: dict[Objective, tuple[str, str]] = {
    "sft": ("ft_assets.training.stage_data", "sft_data"),
    "dpo": ("ft_assets.training.dpo", "dpo_data"),
    "kto": ("ft_assets.training.kto", "kto_data"),
}
KEPT_ON_DISK: tuple[Objective, ...] = ("sft",)  # pairs and thumbs are few; what is dear there is their reference


def data_of(
    objective: Objective, tokens_dir: Path | None = None
) -> "Callable[[SideRows, str, Recipe, Chat, SystemPrompt], Dataset]":
    """The function that tokenises one side's rows for that objective; its arguments are those of `sft_data`."""
    module, name = DATA[objective]
    found: Callable[..., Dataset] = getattr(import_module(module), name)
    return partial(found, tokens_dir=tokens_dir) if objective in KEPT_ON_DISK else found
