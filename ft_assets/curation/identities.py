"""The ids and keys of identity.py for many conversations at once: the same bytes, hashed where they lie in columns."""

import hashlib
from itertools import pairwise

import numpy as np
import polars as pl
from numba import njit

from ft_assets.curation.identity import PART, TURN, conversation_key, loose
from ft_assets.curation.tokens import utf8_buffers
from ft_assets.curation.turns import starts
from ft_assets.example_ids import ID_DIGITS

_BLANK, _PART = np.uint8(32), np.uint8(ord(PART))


def identified(turns: pl.DataFrame, conversation_ids: pl.Series) -> pl.DataFrame:
    """One row per conversation, in order: prompt_id, example_id, answer_id, prompt_key, conversation_key, prompt_text
    and answer_text, each what the function of identity.py gives.

    `turns` are the flat turns of as many conversations as there are ids, each with at least one turn.
    """
    places = starts(turns, len(conversation_ids))
    answers = turns[places[1:] - 1]
    prompts = _prompt_texts(turns, places)
    prompt_ids, example_ids = _prompt_and_example_ids(turns, places)
    return pl.DataFrame(
        {
            "prompt_id": pl.Series(prompt_ids, dtype=pl.String),
            "example_id": pl.Series(example_ids, dtype=pl.String),
            "answer_id": pl.Series(_answer_ids(answers["content"], answers["tool_calls"]), dtype=pl.String),
            "prompt_key": pl.Series(_prompt_keys(prompts), dtype=pl.Binary),
            "conversation_key": pl.Series(list(map(conversation_key, conversation_ids)), dtype=pl.Binary),
            "prompt_text": prompts,
            "answer_text": answers.select(
                pl.when(pl.col("tool_calls") != "")
                .then(pl.concat_str("content", "tool_calls", separator="\n"))
                .otherwise("content")
            ).to_series(),
        }
    )


def _prompt_and_example_ids(turns: pl.DataFrame, places: np.ndarray) -> tuple[list[str], list[str]]:
    said = pl.concat_str(
        "role", pl.lit(PART), "content", pl.lit(PART), pl.col("tool_calls").fill_null(""), pl.lit(TURN)
    )
    data, ends = utf8_buffers(turns.select(said).to_series())
    view = data.data
    prompts, examples = list[str](), list[str]()
    of_row = ends[places].tolist()
    for start, answer, stop in zip(of_row, ends[places[1:] - 1].tolist(), of_row[1:], strict=False):
        digest = hashlib.sha256(view[start:answer])
        prompts.append(digest.hexdigest()[:ID_DIGITS])
        digest.update(view[answer:stop])
        examples.append(digest.hexdigest()[:ID_DIGITS])
    return prompts, examples


def _prompt_texts(turns: pl.DataFrame, places: np.ndarray) -> pl.Series:
    first = places[:-1] + (turns["role"] == "system").to_numpy()[places[:-1]]
    last = places[1:] - 1
    contents = turns["content"]
    texts = contents[np.minimum(first, last)]
    several = np.flatnonzero(last - first != 1)  # or none
    joined = ["\n".join(contents[start:stop]) for start, stop in zip(first[several], last[several], strict=True)]
    return texts.scatter(several, pl.Series(joined, dtype=pl.String)) if len(several) else texts


def _answer_ids(contents: pl.Series, calls: pl.Series) -> list[str]:
    data, ends, others = _loosened(contents)
    view, sha256 = data.data, hashlib.sha256
    ids = [sha256(view[start:stop]).hexdigest()[:ID_DIGITS] for start, stop in pairwise(ends.tolist())]
    for number in np.flatnonzero(others | (calls != "").fill_null(False).to_numpy()).tolist():
        text = f"{loose(contents[number])}{PART}{calls[number] or ''}"
        ids[number] = sha256(text.encode()).hexdigest()[:ID_DIGITS]
    return ids


def _prompt_keys(prompts: pl.Series) -> list[bytes]:
    data, ends, others = _loosened(prompts)
    view, sha256 = data.data, hashlib.sha256
    keys = [sha256(view[start : stop - 1]).digest()[:16] for start, stop in pairwise(ends.tolist())]
    for number in np.flatnonzero(others).tolist():
        keys[number] = sha256(loose(prompts[number]).encode()).digest()[:16]
    return keys


def _loosened(texts: pl.Series) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bytes of `loose` of each text with one PART after it, where they end, and which texts are not done."""
    data, ends = utf8_buffers(texts)
    changed, new_ends = np.empty(ends[-1] - ends[0] + len(texts), np.uint8), np.zeros(len(ends), np.int64)
    others = np.zeros(len(texts), np.bool_)
    _loosen(data, ends, changed, new_ends, others)
    return changed[: new_ends[-1]], new_ends, others


@njit(cache=True, nogil=True)
def _loosen(data, ends, changed, new_ends, others):  # type: ignore[no-untyped-def]
    at = 0
    for text in range(len(ends) - 1):
        start, place = at, ends[text]
        while place < ends[text + 1]:
            byte = data[place]
            if byte >= 128:
                size = _size_of_unchanged(data, place)
                if size == 0 and not _has_twin(byte, data[place + 1]):
                    others[text] = True
                    break
                for _ in range(size):
                    changed[at] = data[place]
                    at, place = at + 1, place + 1
                if size == 0:
                    changed[at], changed[at + 1] = _lower(byte, data[place + 1])
                    at, place = at + 2, place + 2
                continue
            place += 1
            if byte == 32 or byte == 10 or byte == 9:
                if at > start and changed[at - 1] != _BLANK:
                    changed[at] = _BLANK
                    at += 1
                continue
            changed[at] = byte | np.uint8(32) if 65 <= byte <= 90 else byte
            at += 1
        if at > start and changed[at - 1] == _BLANK:
            at -= 1
        changed[at] = _PART
        at += 1
        new_ends[text + 1] = at


# What follows is UTF-8 by its bytes. A test holds each character against `loose`; what is not here is left to it.
@njit(cache=True, nogil=True, inline="always")
def _size_of_unchanged(data, place):  # type: ignore[no-untyped-def]
    """The bytes of a character that is no blank and the same in lower case; 0 where that is not known."""
    first, second = data[place], data[place + 1]
    if first == 0xC2:
        return 2 if second >= 0xA1 and second != 0xB5 else 0
    if first == 0xC3:
        return 2 if second >= 0xA0 or second == 0x97 else 0
    if first == 0xD0 or first == 0xD1:
        return 2 if (second >= 0xB0) == (first == 0xD0) and second < 0xC0 and (first == 0xD0 or second <= 0x9F) else 0
    if 0xD8 <= first <= 0xDB:  # Arabic
        return 2
    if first == 0xE2:
        return 3 if _is_caseless_sign(second, data[place + 2]) else 0
    if 0xE3 <= first <= 0xED:  # Chinese, Japanese, Korean
        return 0 if (first == 0xE3 and second < 0x81) or (first == 0xEA and second < 0xB0) else 3
    if first == 0xE0:  # the scripts of India, Thai, Lao, Tibetan
        return 3
    return 4 if first == 0xF0 and second == 0x9F else 0  # emoji


@njit(cache=True, nogil=True, inline="always")
def _is_caseless_sign(second, third):  # type: ignore[no-untyped-def]
    """Dashes, quotation marks, bullets; currencies; arrows, mathematics, boxes, dingbats."""
    if second == 0x80:
        return 0x90 <= third <= 0xA7 or third >= 0xB0
    if second == 0x82 or second == 0x86:
        return third >= (0xA0 if second == 0x82 else 0x90)
    return 0x87 <= second <= 0x91 or 0x94 <= second <= 0xAF


@njit(cache=True, nogil=True, inline="always")
def _has_twin(first, second):  # type: ignore[no-untyped-def]
    """Whether `_lower` knows this capital letter of Latin-1 or Cyrillic."""
    return (first == 0xC3 and second <= 0x9E) or (first == 0xD0 and second <= 0xAF)


@njit(cache=True, nogil=True, inline="always")
def _lower(first, second):  # type: ignore[no-untyped-def]
    if first == 0xC3 or 0x90 <= second <= 0x9F:
        return first, second + np.uint8(0x20)
    if second <= 0x8F:
        return np.uint8(0xD1), second + np.uint8(0x10)
    return np.uint8(0xD1), second - np.uint8(0x20)
