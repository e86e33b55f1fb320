"""What a rule about faults looks at: all answers as columns, or one answer with its question and task."""

import re
from typing import NamedTuple

import numpy as np
import polars as pl

from ft_assets.curation.tokens import utf8_buffers
from ft_assets.tasks import CLOSED_ANSWER_TASKS

Buffers = tuple[np.ndarray, np.ndarray]
CODE_TASKS = ("code", "code_generation", "code_completion")
_HEAD_CHARACTERS = 400
_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)*]*(?:\s+|(?<=[。！？]))|\n+")
_APOSTROPHE = re.compile("[\u2018\u2019\u02bc`\u00b4]")


class Answer(NamedTuple):
    """One answer with what was asked and the name of the task, None where there is none."""

    text: str
    prompt: str
    task_type: str | None

    def is_closed(self) -> bool:
        """Whether the right answer is short by nature, so that its form says little."""
        return self.task_type in CLOSED_ANSWER_TASKS

    def is_code(self) -> bool:
        """Whether the task asks for code."""
        return self.task_type in CODE_TASKS


class Answers(NamedTuple):
    """A batch as columns without nulls: texts, their first 400 characters and sizes in bytes, prompts, closed tasks.

    For the kernels, texts and prompts also as bytes one after the other and where each begins.
    """

    texts: pl.Series
    heads: pl.Series
    sizes: pl.Series
    prompts: pl.Series
    closed: pl.Series
    bytes_of_texts: Buffers
    bytes_of_prompts: Buffers


def answers_of(texts: pl.Series, prompts: pl.Series, task_types: pl.Series) -> Answers:
    """The columns of a batch; a null counts as an empty text, and a null task as free text."""
    texts, prompts = texts.fill_null("").rechunk(), prompts.fill_null("").rechunk()
    closed = task_types.is_in(list(CLOSED_ANSWER_TASKS)).fill_null(False)
    heads, sizes = texts.str.head(_HEAD_CHARACTERS), texts.str.len_bytes()
    return Answers(texts, heads, sizes, prompts, closed, utf8_buffers(texts), utf8_buffers(prompts))


def holds_any(texts: pl.Series, patterns: tuple[str, ...]) -> pl.Series:
    """Boolean: whether one of some regular expressions is found. Several small ones cost a tenth of one large one."""
    found = texts.str.contains(patterns[0])
    for pattern in patterns[1:]:
        found |= texts.str.contains(pattern)
    return found


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text, without blanks around them and without empty ones."""
    return [part for each in _SENTENCE_END.split(text) if (part := each.strip())]


def plain_apostrophes(text: str) -> str:
    """The text with one kind of apostrophe, so that a pattern needs only that."""
    return _APOSTROPHE.sub("'", text)
