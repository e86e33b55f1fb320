"""Rows as the trainer eats them: tokens and labels once, then several conversations to one row of `max_length`.

The order of packed rows follows from the rows and `max_length`; the trainer's sampler shuffles them by `recipe.seed`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from ft_assets.chat import Chat, Encoded, Turn
from ft_assets.errors import BadConfiguration, BadInput
from ft_assets.system_prompts import SystemPrompt, prompt_of

if TYPE_CHECKING:
    from datasets import Dataset

Tokens = dict[str, list[int]]
IGNORED = -100  # the label that torch's cross entropy skips
NAMED_IN_A_MESSAGE = 3
LOOKED_AT = 100  # packed rows


class TrainingRow(Protocol):
    """What a row of a snapshot needs to have to be trained on."""

    @property
    def example_id(self) -> str: ...
    @property
    def messages(self) -> Sequence[Turn | Mapping[str, str]]: ...


def tokenised(
    rows: Sequence[TrainingRow], side: str, chat: Chat, system_prompt: SystemPrompt, max_length: int
) -> list[Tokens]:
    """One {input_ids, labels} per row, in the rows' order. Labels are -100 except on what the assistant wrote.

    Raises:
        BadInput: there is no row, a row is longer than `max_length` tokens, or a row has nothing to learn from.
    """
    refuse_empty(rows, side)
    encoded = [chat.encode(row.messages, prompt_of(system_prompt, row)) for row in rows]
    refuse_unfit(
        [row.example_id for row in rows],
        [len(each.input_ids) for each in encoded],
        [sum(each.assistant_mask) for each in encoded],
        side,
        max_length,
    )
    return [labelled(each) for each in encoded]


def labelled(encoded: Encoded) -> Tokens:
    """{input_ids, labels} of one conversation. Labels are -100 except on what the assistant wrote."""
    pairs = zip(encoded.input_ids, encoded.assistant_mask, strict=True)
    return {"input_ids": encoded.input_ids, "labels": [token if on else IGNORED for token, on in pairs]}


def refuse_empty(rows: Sequence[TrainingRow], side: str) -> None:
    """Stops on a side without rows.

    Raises:
        BadInput: there is none.
    """
    if not rows:
        raise BadInput(
            f"the {side} side has no rows, so there is nothing to {'learn from' if side == 'train' else 'stop by'}. "
            "Widen the specialization's selector or wait for more data."
        )


def refuse_unfit(
    names: Sequence[str], lengths: Sequence[int], learned: Sequence[int], side: str, max_length: int
) -> None:
    """Stops on rows longer than `max_length` tokens, and on rows of whose tokens none is learned.

    Raises:
        BadInput: there are such rows; names the first of them.
    """
    too_long = [f"{name} ({length} tokens)" for name, length in zip(names, lengths, strict=True) if length > max_length]
    if too_long:
        raise BadInput(
            f"{len(too_long)} of {len(names)} {side} rows are longer than max_length {max_length}: {some(too_long)}. "
            "Nothing is cut silently: raise max_length in the recipe, or leave such rows out in the selector."
        )
    if mute := [name for name, tokens in zip(names, learned, strict=True) if not tokens]:
        raise BadInput(
            f"{len(mute)} of {len(names)} {side} rows have no assistant token to learn: {some(mute)}. "
            "Curation should have dropped a conversation without an answer; materialize train_eval_split again."
        )


def packed(examples: list[Tokens], max_length: int) -> "Dataset":
    """Best-fit packing: rows of at most `max_length` tokens with `seq_lengths`, from which positions restart.

    No conversation is split, and none sees another: attention follows the positions (a test holds that).
    """
    import datasets
    from trl import pack_dataset

    datasets.disable_progress_bars()
    rows = pack_dataset(datasets.Dataset.from_list(examples), max_length, strategy="bfd")
    refuse_mixing(rows)
    return rows


def refuse_mixing(rows: "Dataset") -> None:
    """Stops where the trainer would not restart positions at every sample of a packed row; looks at the first rows.

    Raises:
        BadConfiguration: it would not, so samples would read each other; this TRL cannot be used.
    """
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    first = rows[:LOOKED_AT]
    positions = DataCollatorForLanguageModeling.get_position_ids_from_packed_seq_lengths(first["seq_lengths"])
    for ids, lengths, found in zip(first["input_ids"], first["seq_lengths"], positions, strict=True):
        restarting = [position for length in lengths for position in range(length)]
        if found.tolist() != restarting or len(ids) != len(restarting):
            raise BadConfiguration(
                "this TRL does not restart positions at each sample of a packed row, so samples would read each other. "
                "Install the TRL that constraints.txt names."
            )


def some(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - NAMED_IN_A_MESSAGE
    return ", ".join(names[:NAMED_IN_A_MESSAGE]) + (f" and {more} more" if more > 0 else "")
