"""Answers that only say the question again."""

import re

import numpy as np
import polars as pl
from numba import njit

from ft_assets.curation.fault_answers import Answer, Answers

_MOST_BYTES = 600
_MOST_TIMES = 3.5  # of the question: longer answers say more
_READ_BYTES = 800  # of a prompt, from its end
_FIRST_BYTES = 200  # of an answer
_WORD = re.compile(r"[^\W\d_]{2,}|\d+")
_SAYS_NOTHING_WORDS = (
    "a|an|and|are|as|asked|asking|ask|answer|answering|at|be|been|but|by|can|could|did|do|does|for|from|good"
    "|great|had|has|have|how|i|if|important|in|interesting|is|it|its|let|like|many|may|me|much|must|my|of|on"
    "|one|or|our|people|question|questions|should|so|some|such|thank|thanks|that|the|their|there|these|they"
    "|this|those|to|us|very|want|was|we|were|what|when|where|which|while|who|why|will|with|would|you|your|know"
    "|about|also|topic|really|aber|als|auch|auf|aus|das|der|die|ein|eine|einen|es|für|ich|im|ist|man|mit|oder"
    "|sie|und|von|was|wie|wir|zu|ce|comment|de|des|du|en|est|et|il|la|le|les|ou|pour|que|qui|quoi|un|une|vous"
    "|como|cual|el|los|por"
)
_SAYS_NOTHING = frozenset(_SAYS_NOTHING_WORDS.split("|"))
_ASKS = re.compile(r"\?|^\W*(?:explain|describe|tell|discuss|list|give|name|erkläre|explique)\b", re.IGNORECASE)
_MAY_REPEAT = re.compile(
    r"\b(?:fix|correct|re-?writ|rephras|paraphras|repeat|translat|convert|upper|lower|capital|spell|grammar"
    r"|format|extract|quote"
    r"|summar|title|copy|sort|confirm|simplif|shorten|complete|which words|rewrite|proofread|echo|say\b|übersetz|tradu)"
    r"|\bor\b|\boder\b|\bou\b",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(r"\W*(?:yes|no|ja|nein|oui|non|sí|not|correct|true|false)\b", re.IGNORECASE)
_CODE = re.compile(r"```|^[ \t]*(?:def|return|import|class) |[;=][ \t]*$", re.MULTILINE)
_LEAST_WORDS = 4
_MOST_NEW = 0.12
_LEAST_SHARED = 0.7


def may_restate(answers: Answers) -> pl.Series:
    """Boolean: whether half of the first words of a short answer stand in its question, by their hashes."""
    found = _most_is_asked(*answers.bytes_of_texts, *answers.bytes_of_prompts)
    return pl.Series(found, dtype=pl.Boolean) & ~answers.closed


@njit(cache=True, nogil=True)
def _most_is_asked(said, said_ends, asked, asked_ends):  # type: ignore[no-untyped-def]
    """For each row, whether half of the words of five bytes or more at the answer's start are in the prompt."""
    rows = len(said_ends) - 1
    found = np.zeros(rows, np.bool_)
    seen = np.zeros(2048, np.int64)  # the last row that had a word of this hash
    for row in range(rows):
        start, stop = said_ends[row], said_ends[row + 1]
        first, last = asked_ends[row], asked_ends[row + 1]
        if stop - start > min(_MOST_BYTES, _MOST_TIMES * (last - first)):
            continue
        _count(asked, max(first, last - _READ_BYTES), last, seen, row + 1, True)
        shared, words = _count(said, start, min(stop, start + _FIRST_BYTES), seen, row + 1, False)
        found[row] = words > 0 and 2 * shared >= words
    return found


@njit(cache=True, nogil=True)
def _count(data, start, stop, seen, row, remember):  # type: ignore[no-untyped-def]
    shared = words = size = 0
    word = np.uint32(2166136261)
    for at in range(start, stop + 1):
        byte = data[at] | np.uint8(32) if at < stop else np.uint8(0)
        if byte >= 128 or 97 <= byte <= 122:
            word = (word ^ np.uint32(byte)) * np.uint32(16777619)
            size += 1
            continue
        if size >= 5:
            place = (word ^ (word >> np.uint32(15))) & np.uint32(2047)
            words += 1
            shared += seen[place] == row
            if remember:
                seen[place] = row
        word, size = np.uint32(2166136261), 0
    return shared, words


def restates_the_prompt(answer: Answer) -> bool:
    """The answer says the question again, with nothing but phrases such as "a good question" around it.

    At most 12 % of its words that mean something are new, and it holds 70 % of the question's. Questions with "or", and
    those that want a text back, may be answered in their own words; so may closed tasks.
    """
    asked = answer.prompt[-_READ_BYTES:].strip().rpartition("\n\n")[2]
    if answer.is_closed() or not _ASKS.search(asked) or _MAY_REPEAT.search(asked) or _YES_OR_NO.match(answer.text):
        return False
    if _CODE.search(answer.text):
        return False
    question, said = _content_words(asked), _content_words(answer.text)
    if len(said) < _LEAST_WORDS:
        return False
    known = set(question)
    new = sum(word not in known for word in said)
    return new <= _MOST_NEW * len(said) and len(known & set(said)) >= _LEAST_SHARED * len(known)


def _content_words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.casefold()) if word not in _SAYS_NOTHING]
