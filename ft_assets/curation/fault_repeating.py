"""Answers that got into a loop."""

import re
from collections import Counter

import numpy as np
import polars as pl
from numba import njit

from ft_assets.curation.fault_answers import Answer, Answers

_LEAST_PLACES = 4  # of sixteen
_WINDOW = 8  # bytes at a place
_BLOCK = 248  # positions whose hits fit into a byte
_LEAST_BYTES = 60

_FENCED = re.compile(r"```[\s\S]*?(?:```|\Z)")
_NUMBERING = re.compile(r"^[ \t]*(?:[-*•]|\(?\d{1,3}[.):]|step \d+:?)\s*|\bstep \d+:?", re.IGNORECASE | re.MULTILINE)
_NO_PROSE = re.compile(r"[|;={}<>\[\]\\]|\w\(|^[ \t]*[+#]|^\W*\d{4}-\d\d|\d\d:\d\d:\d\d")
_CODE = re.compile(
    r"^[ \t]*(?:(?:def|class|return|import|from|for|if|elif|else|while|public|const|let|var)\b.*[\w:;)}\]\"']"
    r"|SELECT .*|INSERT .*)$",
    re.MULTILINE,
)
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]|[^\W_]+")
_SENTENCE = re.compile(r"[.!?。！？]+\s*|\n+")
_SEPARATORS = frozenset("-=_*#~+|.:/\\ \t\n")
_WANTED = re.compile(
    r"\brepeat|\b\w+ times\b|\bsong|\blyric|\bchorus|\bsing\b|\bpoem|\brhyme|\bchant|\bmantra|\bascii|\bverse",
    re.IGNORECASE,
)
_LONGEST_PERIOD = 200  # words
_MANY_WORDS = 100


def may_be_repeating(answers: Answers) -> pl.Series:
    """Boolean: whether the bytes at several places of a text come three times in it: those of a loop do."""
    return pl.Series(_comes_back(*answers.bytes_of_texts), dtype=pl.Boolean)


@njit(cache=True, nogil=True)
def _comes_back(data, ends):  # type: ignore[no-untyped-def]
    """A loop over a third of a text reaches one of four places; where one comes back, sixteen places are looked at."""
    found = np.zeros(len(ends) - 1, np.bool_)
    places = np.empty(4, np.int64)
    for row in range(len(found)):
        start, stop = ends[row], ends[row + 1]
        room = stop - start - _WINDOW
        if room + _WINDOW < _LEAST_BYTES:
            continue
        for each in range(4):
            places[each] = start + room * (2 * each + 1) // 8
        if _back(data, start, stop, places) == 0:
            continue
        number = 0
        for part in range(4):
            back = 15
            for shift in range(3):  # ten bytes in a row; overlapping looks are cheaper than a wider one
                for each in range(4):
                    places[each] = start + (room - 2) * (8 * part + 2 * each + 1) // 32 + shift
                back &= _back(data, start, stop, places)
            number += (back & 1) + (back >> 1 & 1) + (back >> 2 & 1) + (back >> 3)
        found[row] = number >= _LEAST_PLACES
    return found


@njit(cache=True, nogil=True)
def _back(data, start, stop, places):  # type: ignore[no-untyped-def]
    """At which of four places (a bit each) the bytes come three times in the text; four of eight bytes are compared.

    Unsigned and without branches, so that the compiler takes 32 bytes at a time.
    """
    n = np.uint64
    a, b, c, d = n(places[0]), n(places[1]), n(places[2]), n(places[3])
    a0, a1, a2, a3 = data[a], data[a + n(2)], data[a + n(5)], data[a + n(7)]
    b0, b1, b2, b3 = data[b], data[b + n(2)], data[b + n(5)], data[b + n(7)]
    c0, c1, c2, c3 = data[c], data[c + n(2)], data[c + n(5)], data[c + n(7)]
    d0, d1, d2, d3 = data[d], data[d + n(2)], data[d + n(5)], data[d + n(7)]
    at, end = n(start), n(stop - _WINDOW + 1)
    of_a = of_b = of_c = of_d = 0
    while at < end:
        size = min(n(_BLOCK), end - at)
        in_a = in_b = in_c = in_d = np.uint8(0)
        for each in range(size):
            p = at + each
            x0, x1, x2, x3 = data[p], data[p + n(2)], data[p + n(5)], data[p + n(7)]
            in_a += np.uint8(((x0 ^ a0) | (x1 ^ a1) | (x2 ^ a2) | (x3 ^ a3)) == np.uint8(0))
            in_b += np.uint8(((x0 ^ b0) | (x1 ^ b1) | (x2 ^ b2) | (x3 ^ b3)) == np.uint8(0))
            in_c += np.uint8(((x0 ^ c0) | (x1 ^ c1) | (x2 ^ c2) | (x3 ^ c3)) == np.uint8(0))
            in_d += np.uint8(((x0 ^ d0) | (x1 ^ d1) | (x2 ^ d2) | (x3 ^ d3)) == np.uint8(0))
        of_a, of_b, of_c, of_d = of_a + in_a, of_b + in_b, of_c + in_c, of_d + in_d
        at += size
    return (of_a >= 3) | (of_b >= 3) << 1 | (of_c >= 3) << 2 | (of_d >= 3) << 3


def repeating(answer: Answer) -> bool:
    """A loop: the same words again and again, the same sentence or line over most of the text, or a run of few signs.

    Code, tables, logs, separators and drawings are left out before it is looked for. Not where the question repeats
    itself, or asks for repetition or verses, and not in code.
    """
    if answer.is_code() or _WANTED.search(answer.prompt):
        return False
    text = _FENCED.sub("\n", answer.text)
    return (_is_loop(text) or _is_run_of_signs(text)) and not _is_loop(answer.prompt)


def _is_loop(text: str) -> bool:
    if len(_CODE.findall(text)) >= 2:
        return False
    lines = [line for line in _NUMBERING.sub("", text).split("\n") if line.strip() and not _NO_PROSE.search(line)]
    prose = "\n".join(lines).casefold()
    words = _TOKEN.findall(prose)
    if len(words) < 12:
        return False
    return _has_period(words, len(_TOKEN.findall(text))) or _has_one_sentence(prose, len(words))


def _has_period(words: list[str], of_words: int) -> bool:
    """Whether some words come again and again without a break: often enough for their number, over enough text."""
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
    ids = np.array([numbers[word] for word in words])
    periods = np.arange(1, min(_LONGEST_PERIOD, len(ids) // 3) + 1)
    covered = _covered_by_period(ids, len(periods))
    often = np.select([periods == 1, periods < 5, periods < 20], [12, 8, 4], 3)
    return bool(np.any((covered >= often * periods) & (covered >= min(0.3 * of_words, _MANY_WORDS))))


@njit(cache=True, nogil=True)
def _covered_by_period(ids, longest):  # type: ignore[no-untyped-def]
    """For each period from 1 on, over how many words in a row each is the same as the one so far before it."""
    covered = np.zeros(longest, np.int64)
    for period in range(1, longest + 1):
        run = best = 0
        for place in range(period, len(ids)):
            run = run + 1 if ids[place] == ids[place - period] else 0
            best = max(best, run)
        covered[period - 1] = best + period
    return covered


def _has_one_sentence(prose: str, of_words: int) -> bool:
    """Whether sentences or lines of four words that come four times, or of three, six times, are 60 % of the words."""
    said = Counter(tuple(_TOKEN.findall(sentence)) for sentence in _SENTENCE.split(prose))
    repeated = sum(
        len(words) * times
        for words, times in said.items()
        if (times >= 4 and len(words) >= 4) or (times >= 6 and len(words) == 3)
    )
    return repeated >= 0.6 * of_words


def _is_run_of_signs(text: str) -> bool:
    """Whether one to eight signs, again and again, are half of the text. Digits need a hundred of the same."""
    signs = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    longest = min(8, len(signs) // 20)
    for period in np.flatnonzero(_covered_by_period(signs, longest) >= max(60, len(signs) / 2)) + 1:
        same = np.concatenate(([False], signs[period:] == signs[:-period], [False]))
        differs = np.flatnonzero(~same)
        place = int(np.diff(differs).argmax())
        covered = int(differs[place + 1] - differs[place]) - 1 + period
        unit = set(text[differs[place] : differs[place] + period])
        if covered < 20 * period or unit <= _SEPARATORS:
            continue
        if not all(sign.isdigit() or sign in ",. " for sign in unit) or (period == 1 and covered >= 100):
            return True
    return False
