"""Rows as the trainer eats them: tokens and labels once, then several conversations to one row of `max_length`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ft_assets.chat import Chat, Turn
from ft_assets.errors import BadInput

if TYPE_CHECKING:
    from datasets import Dataset

IGNORED = -100  # the label that torch's cross entropy skips
NAMED_IN_A_MESSAGE = 3


class TrainingRow(Protocol):
    """What a row of a snapshot needs to have to be trained on."""

    @property
    def example_id(self) -> str: ...
    @property
    def messages(self) -> Sequence[Turn | Mapping[str, str]]: ...


def tokenised(
    rows: Sequence[TrainingRow], side: str, chat: Chat, system_prompt: str | None, max_length: int
) -> list[dict[str, list[int]]]:
    """One {input_ids, labels} per row, in the rows' order. Labels are -100 except on what the assistant wrote.

    Raises:
        BadInput: there is no row, a row is longer than `max_length` tokens, or a row has nothing to learn from.
    """
    if not rows:
        raise BadInput(
            f"the {side} side has no rows, so there is nothing to {'learn from' if side == 'train' else 'stop by'}. "
            "Widen the specialization's selector or wait for more data."
        )
    encoded = [chat.encode(row.messages, system_prompt) for row in rows]
    too_long = [
        f"{row.example_id} ({len(e.input_ids)} tokens)"
        for row, e in zip(rows, encoded, strict=True)
        if len(e.input_ids) > max_length
    ]
    if too_long:
        raise BadInput(
            f"{len(too_long)} of {len(rows)} {side} rows are longer than max_length {max_length}: {_some(too_long)}. "
            "Nothing is cut silently: raise max_length in the recipe, or leave such rows out in the selector."
        )
    mute = [row.example_id for row, e in zip(rows, encoded, strict=True) if not any(e.assistant_mask)]
    if mute:
        raise BadInput(
            f"{len(mute)} of {len(rows)} {side} rows have no assistant token to learn: {_some(mute)}. "
            "Curation should have dropped a conversation without an answer; materialize train_eval_split again."
        )
    return [
        {
            "input_ids": e.input_ids,
            "labels": [token if on else IGNORED for token, on in zip(e.input_ids, e.assistant_mask, strict=True)],
        }
        for e in encoded
    ]


def packed(examples: list[dict[str, list[int]]], max_length: int) -> "Dataset":
    """Best-fit packing: rows of at most `max_length` tokens with `seq_lengths`, from which positions restart.

    No conversation is split, and none sees another: attention follows the positions (a test holds that).
    """
    import datasets
    from trl import pack_dataset

    datasets.disable_progress_bars()
    return pack_dataset(datasets.Dataset.from_list(examples), max_length, strategy="bfd")


def _some(names: list[str]) -> str:
    more = len(names) - NAMED_IN_A_MESSAGE
    return ", ".join(names[:NAMED_IN_A_MESSAGE]) + (f" and {more} more" if more > 0 else "")
