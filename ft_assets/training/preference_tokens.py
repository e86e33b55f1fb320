"""Pairs and judged answers as token ids: the prompt up to where an answer begins, and the answer with its end token."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ft_assets.chat import Chat
from ft_assets.errors import BadInput
from ft_assets.system_prompts import SystemPrompt, prompt_of
from ft_assets.training.packed_rows import NAMED_IN_A_MESSAGE

if TYPE_CHECKING:
    from ft_assets.training.stage_data import JudgedRow, Messages, PreferencePair

Tokens = list[int]


def pair_tokens(
    pairs: "Sequence[PreferencePair]", side: str, chat: Chat, system_prompt: SystemPrompt, max_length: int
) -> list[dict[str, Tokens]]:
    """One {prompt_ids, chosen_ids, rejected_ids} per pair, in the pairs' order; `side` is named in errors.

    Both answers begin behind the same `prompt_ids`, where generation would begin, and end with the end token.

    Raises:
        BadInput: there is no pair, an answer with its prompt is longer than `max_length` tokens, a pair lacks an
            answer, or both of its answers are the same tokens.
    """
    _refuse_none(pairs, side, "pairs")
    rows = [_pair(pair, chat, system_prompt) for pair in pairs]
    names = [pair.pair_id for pair in pairs]
    longest = [len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"])) for row in rows]
    _refuse_long(names, longest, f"{side} pairs", max_length)
    _refuse_mute(names, [min(len(row["chosen_ids"]), len(row["rejected_ids"])) for row in rows], f"{side} pairs")
    alike = [name for name, row in zip(names, rows, strict=True) if row["chosen_ids"] == row["rejected_ids"]]
    if alike:
        raise BadInput(
            f"{len(alike)} of {len(rows)} {side} pairs prefer an answer to itself, as tokens: {_some(alike)}. "
            "No training can tell the two apart; materialize preference_pairs and train_eval_split again."
        )
    return rows


def judged_tokens(
    rows: "Sequence[JudgedRow]", side: str, chat: Chat, system_prompt: SystemPrompt, max_length: int
) -> list[dict[str, Any]]:
    """One {prompt_ids, completion_ids, label} per judged answer, in the rows' order; label is True where it was liked.

    Raises:
        BadInput: there is no row, a row is longer than `max_length` tokens, a row has no answer, or all have the same
            thumb.
    """
    _refuse_none(rows, side, "judged answers")
    cut = [_cut(*_answer(row.messages, chat, prompt_of(system_prompt, row))) for row in rows]
    names = [row.example_id for row in rows]
    _refuse_long(names, [len(prompt) + len(answer) for prompt, answer in cut], f"{side} judged answers", max_length)
    _refuse_mute(names, [len(answer) for _, answer in cut], f"{side} judged answers")
    liked = sum(row.liked for row in rows)
    if liked in (0, len(rows)):
        raise BadInput(
            f"{liked} of {len(rows)} {side} judged answers are liked. KTO learns from the difference, so it needs some "
            "that are and some that are not. Widen the specialization's selector, or train by sft."
        )
    return [
        {"prompt_ids": prompt, "completion_ids": answer, "label": row.liked}
        for row, (prompt, answer) in zip(rows, cut, strict=True)
    ]


def _pair(pair: "PreferencePair", chat: Chat, system_prompt: SystemPrompt) -> dict[str, Tokens]:
    own = prompt_of(system_prompt, pair)
    chosen, begins = _answer([*pair.prompt, *pair.chosen], chat, own)
    rejected, others_begin = _answer([*pair.prompt, *pair.rejected], chat, own)
    # a tokenizer may merge the prompt's last character into one answer's first token, and not into the other's
    begins = min(begins, others_begin)
    prompt, chosen_ids = _cut(chosen, begins)
    return {"prompt_ids": prompt, "chosen_ids": chosen_ids, "rejected_ids": rejected[begins:]}


def _answer(messages: "Messages", chat: Chat, system_prompt: str | None) -> tuple[Tokens, int]:
    """The tokens up to the last answer's end token, and where that answer begins; all and their number without one."""
    encoded = chat.encode(messages, system_prompt)
    mask = encoded.assistant_mask
    if not any(mask):
        return encoded.input_ids, len(mask)
    end = len(mask) - mask[::-1].index(1)
    begins = end - [*mask[:end][::-1], 0].index(0)
    return encoded.input_ids[:end], begins


def _cut(tokens: Tokens, begins: int) -> tuple[Tokens, Tokens]:
    return tokens[:begins], tokens[begins:]


def _refuse_none(rows: Sequence[object], side: str, what: str) -> None:
    if not rows:
        raise BadInput(
            f"the {side} side has no {what}, so there is nothing to {'learn from' if side == 'train' else 'stop by'}. "
            "Widen the specialization's selector, wait for more feedback, or train by sft."
        )


def _refuse_long(names: Sequence[str], lengths: Iterable[int], what: str, max_length: int) -> None:
    too_long = [f"{name} ({n} tokens)" for name, n in zip(names, lengths, strict=True) if n > max_length]
    if too_long:
        raise BadInput(
            f"{len(too_long)} of {len(names)} {what} are longer than max_length {max_length}: {_some(too_long)}. "
            "Nothing is cut silently: raise max_length in the recipe, or leave such rows out in the selector."
        )


def _refuse_mute(names: Sequence[str], answers: Iterable[int], what: str) -> None:
    mute = [name for name, length in zip(names, answers, strict=True) if not length]
    if mute:
        raise BadInput(
            f"{len(mute)} of {len(names)} {what} lack the assistant's answer: {_some(mute)}. "
            "Curation should have dropped them; materialize train_eval_split again."
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED_IN_A_MESSAGE
    return ", ".join(names[:NAMED_IN_A_MESSAGE]) + (f" and {more} more" if more > 0 else "")
