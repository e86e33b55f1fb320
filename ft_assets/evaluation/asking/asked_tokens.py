"""Questions as token ids, and which of them are asked together."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from ft_assets.chat import Chat
from ft_assets.errors import NotRerunnable
from ft_assets.evaluation.asking.backend import Question


@dataclass(frozen=True)
class AskedTokens:
    """`conversation` is the prompt with the reference, `answer` the reference's tokens, its end token last.

    `allowance`: the most tokens that the model may answer with, as many as were asked for or as have a position left.
    """

    question: Question
    prompt: list[int]
    conversation: list[int]
    answer: list[int]
    allowance: int


def asked_tokens(chat: Chat, question: Question, positions: int, max_new_tokens: int) -> AskedTokens | str:
    """The question as tokens, or why this model cannot be asked it. Nothing is cut: it would be another question."""
    messages = question.item.messages
    try:
        encoded = chat.encode(messages, question.system_prompt)
        prompt = chat.prompt_ids(messages[:-1], question.system_prompt)
    except NotRerunnable as refusal:  # its chat template does not read such roles, or a tool call is no JSON
        return str(refusal)
    end = len(encoded.assistant_mask) - encoded.assistant_mask[::-1].index(1)
    start = next((i + 1 for i in range(end - 1, -1, -1) if not encoded.assistant_mask[i]), 0)
    if max(end, len(prompt) + 1) > positions:
        return f"it has {max(end, len(prompt) + 1)} tokens and the model {positions} positions"
    allowance = min(max_new_tokens, positions - len(prompt))
    return AskedTokens(question, prompt, encoded.input_ids[:end], encoded.input_ids[start:end], allowance)


def in_asking_order(rows: Sequence[AskedTokens]) -> list[AskedTokens]:
    """Rows of like length together, longest first: little padding, and what does not fit into memory fails at once."""
    return sorted(rows, key=lambda row: (-len(row.prompt), row.question.digest))


def next_batch(waiting: Sequence[AskedTokens], most_rows: int) -> list[AskedTokens]:
    """The first rows, at most so many. All have one allowance: a neighbour's would change where an answer is cut."""
    first = waiting[:most_rows]
    return list(takewhile(lambda row: row.allowance == first[0].allowance, first))
