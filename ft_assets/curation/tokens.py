"""How many tokens a text has, by the library's own tokenizer, at the price of a table look-up per word.

A byte-level BPE never joins what its pre-tokenizer separates, and every pre-tokenizer in use ends a word where its
letters end and a number where its digits end. So a text is cut there, each distinct piece is counted once, and a text's
count is the sum of its pieces. A new piece that is a plain word is counted by `byte_pairs`, which is compared with the
library on some pieces of every call; others by the library. Where a vocabulary has a token that reaches over a cut
(merges across blanks, for example) the library counts every text whole, as it does each text that holds the content of
an added token such as "<|im_start|>". Whether the sums are right is tested on some texts of every call besides.
"""

import itertools
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
from numba import njit

from ft_assets.curation.byte_pairs import NOT_COUNTED, byte_alphabet, read_byte_pairs
from ft_assets.errors import MissingInput

TESTED_TEXTS = 8  # of every call
TESTED_PIECES = 100  # of those of a call that are new
_MOST_PIECES = 1 << 22  # distinct pieces that are remembered; then it starts anew, so that memory stays bounded
_BEYOND_BYTES = re.compile("[^\x00-\xff]")
_HAS_TWO_DIGITS = re.compile(r"[0-9][0-9]").search  # of a token; else each digit counts by itself
_START = np.uint64(0xCBF29CE484222325)  # FNV-1a, with a final mix because tables take the low bits
_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_REPRESENTATIVES = (97, 48, 32, 10, 39, 0, 33, 128)  # a byte of each class that the cuts tell apart
_CONTROL = 5  # the class of 0, which also stands for what is outside the text


class TokenCounter:
    """Counts tokens without special tokens at the ends. Remembers the pieces that it has seen."""

    def __init__(self, tokenizer_json: Path):
        """Reads a tokenizer.json. A length that it truncates or pads to is not heeded.

        Raises:
            MissingInput: there is none at that path; set FT_ASSETS_TOKENIZER.
        """
        from tokenizers import Tokenizer

        if not tokenizer_json.is_file():
            raise MissingInput(
                f"{tokenizer_json} does not exist, so tokens cannot be counted. Set FT_ASSETS_TOKENIZER to the "
                "tokenizer.json of the model that most lines use."
            )
        self._tokenizer = Tokenizer.from_file(str(tokenizer_json))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        written = orjson.loads(self._tokenizer.to_str())
        added = written["added_tokens"]
        self._added = [each["content"] for each in added]
        normalized = written["normalizer"] and any(each["normalized"] for each in added)  # then contents may hide
        self._byte_pairs = read_byte_pairs(written)
        words = self._tokenizer.get_vocab(with_added_tokens=False)
        self._cuts = _cut_table(single_digits=not any(map(_HAS_TWO_DIGITS, words)))
        self._classes = np.array([_class_of(byte) for byte in range(256)], np.uint8)
        crosses = self._byte_pairs is None and self._has_token_across_cuts(
            [word for word in words if word not in self._added]
        )
        self._can_cut = not (normalized or crosses or _adds_blanks(written["pre_tokenizer"]))
        self._forget()

    def count(self, texts: pl.Series) -> pl.Series:
        """The number of tokens of each text (Int64); 0 for an empty or missing one."""
        texts = texts.fill_null("")
        if not self._can_cut:
            return pl.Series("n_tokens", self._whole(texts.to_list()), dtype=pl.Int64)
        counts = self._by_pieces(texts)
        odd = np.flatnonzero(texts.str.contains_any(self._added).to_numpy()) if self._added else np.zeros(0, np.int64)
        counts[odd] = self._whole(texts.gather(odd).to_list())
        tested = np.unique(np.linspace(0, max(0, len(texts) - 1), TESTED_TEXTS, dtype=np.int64))[: len(texts)]
        if self._whole(texts.gather(tested).to_list()) != counts[tested].tolist():
            counts = np.array(self._whole(texts.to_list()), dtype=np.int64)
        return pl.Series("n_tokens", counts, dtype=pl.Int64)

    def _whole(self, texts: list[str]) -> list[int]:
        encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [len(each.ids) for each in encoded]

    def _has_token_across_cuts(self, tokens: list[str]) -> bool:
        """Whether a sum of pieces could miss a token, if the pre-tokenizer lets it come about."""
        byte_of = {ord(each): byte for byte, each in enumerate(byte_alphabet())} | {0x2581: 32}  # SentencePiece's blank
        data = _BEYOND_BYTES.sub("\xff", "".join(tokens).translate(byte_of)).encode("latin-1")
        ends = np.cumsum([0, *map(len, tokens)])
        return _most_pieces(np.frombuffer(data, np.uint8), ends, self._classes, self._cuts) > 1

    def _forget(self) -> None:
        self._used, self._counts = 0, np.zeros(0, np.int64)
        self._keys, self._numbers = np.zeros(1 << 16, np.uint64), np.zeros(1 << 16, np.uint32)

    def _by_pieces(self, texts: pl.Series) -> np.ndarray:
        data, offsets = utf8_buffers(texts)
        if self._used > _MOST_PIECES:
            self._forget()
        slots = np.empty(len(data) + 1, np.uint32)
        ends = np.zeros(len(texts) + 1, np.int64)  # ends[i]: how many pieces the first i texts have
        unseen = [np.zeros((0, 2), np.int64)]
        text = 0
        while text < len(texts):
            first = np.empty((len(self._keys) // 2, 2), np.int64)
            before = self._used
            self._used, text = _find_pieces(
                data, offsets, self._classes, self._cuts, text, self._keys, self._numbers, before, slots, first, ends
            )
            unseen.append(first[: self._used - before])
            if text < len(texts):
                self._grow()
        counted = self._counts_of(data, np.concatenate(unseen))
        if counted is None:  # what was remembered is doubtful too
            self._byte_pairs = None
            self._forget()
            return self._by_pieces(texts)
        self._counts = np.concatenate([self._counts, counted])
        return _sums(self._counts, slots, ends)

    def _counts_of(self, data: np.ndarray, spans: np.ndarray) -> np.ndarray | None:
        """The tokens of each new piece; None when `byte_pairs` and the library disagree about one."""
        counts = np.full(len(spans), NOT_COUNTED)
        if self._byte_pairs is not None:
            counts = self._byte_pairs.count(data, spans)
        known = np.flatnonzero(counts != NOT_COUNTED)
        tested = known[:: max(1, len(known) // TESTED_PIECES)]
        if self._whole(_pieces(data, spans[tested])) != counts[tested].tolist():
            return None
        unknown = np.flatnonzero(counts == NOT_COUNTED)
        counts[unknown] = self._whole(_pieces(data, spans[unknown]))
        return counts

    def _grow(self) -> None:
        keys, numbers = np.zeros(4 * len(self._keys), np.uint64), np.zeros(4 * len(self._keys), np.uint32)
        _move(self._keys, self._numbers, keys, numbers)
        self._keys, self._numbers = keys, numbers


def _adds_blanks(pre_tokenizer: dict[str, Any] | None) -> bool:
    """Whether a blank is set before every text, so before every piece as well."""
    steps = (pre_tokenizer or {}).get("pretokenizers", [pre_tokenizer or {}])
    return any(step.get("add_prefix_space") for step in steps)


def _pieces(data: np.ndarray, spans: np.ndarray) -> list[str]:
    return [data[start:end].tobytes().decode(errors="replace") for start, end in spans.tolist()]


@lru_cache(maxsize=2)
def token_counter(tokenizer_json: Path) -> TokenCounter:
    """The counter of a tokenizer, one per process: what it has learned about pieces is of use to the next run.

    Raises:
        MissingInput: see `TokenCounter`.
    """
    return TokenCounter(tokenizer_json)


def utf8_buffers(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """The texts' bytes one after the other (uint8), and where each begins and the last ends (int64). No nulls."""
    import pyarrow as pa

    array = texts.to_arrow()
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    array = array.cast(pa.large_string())
    _, offsets, data = array.buffers()
    starts = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return (np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)), starts


def _is_letter(byte: int) -> bool:
    return 97 <= (byte | 32) <= 122


def _is_digit(byte: int) -> bool:
    return 48 <= byte <= 57


def _class_of(byte: int) -> int:
    if byte in (32, 10, 39):
        return _REPRESENTATIVES.index(byte)
    alike = (_is_letter(byte), _is_digit(byte), False, False, False, byte < 32, byte < 128, True)
    return alike.index(True)


def _ends_a_piece(before: int, byte: int, following: int, after: int, single_digits: bool) -> bool:
    """Only ASCII decides; an apostrophe may belong to the word before it ("don't"), a bracket to the one after it."""
    if following == 32 and _is_letter(after):
        return True
    if following >= 128 or byte >= 128:
        return False
    if _is_letter(byte):
        return not _is_letter(following) and following != 39
    if _is_digit(byte):
        return single_digits or not _is_digit(following)
    return (byte == 10 and before > 32 and following > 32) or (byte > 32 and _is_digit(following))


def _cut_table(single_digits: bool) -> np.ndarray:
    """Whether a piece ends at a byte, by the classes of before, byte, following, after (three bits each)."""
    fours = itertools.product(_REPRESENTATIVES, repeat=4)
    return np.array([_ends_a_piece(a, b, c, d, single_digits) for a, b, c, d in fours])


@njit(cache=True, nogil=True, inline="always")
def _moved_on(window, data, at, stop, classes):  # type: ignore[no-untyped-def]
    """The classes around `at`, from those around the byte before it."""
    return (window << 3 | (np.int64(classes[data[at + 2]]) if at + 2 < stop else _CONTROL)) & 4095


@njit(cache=True, nogil=True, inline="always")
def _window(data, start, stop, classes):  # type: ignore[no-untyped-def]
    """The classes around the byte before a text's first."""
    window = _CONTROL << 6 | _CONTROL << 3 | _CONTROL
    for at in range(start - 2, start):
        window = _moved_on(window, data, at, stop, classes)
    return window


@njit(cache=True, nogil=True)
def _find_pieces(data, offsets, classes, cuts, text, keys, numbers, used, slots, first, ends):  # type: ignore[no-untyped-def]
    """Numbers the pieces of the texts from `text` on, until the table is half full; `first` gets where new ones stand.

    Returns how many pieces are known now, and the text to go on with.
    """
    mask = np.uint64(len(keys) - 1)
    known_before = used
    while text < len(offsets) - 1:
        start, stop, pieces = offsets[text], offsets[text + 1], ends[text]
        most = used + stop - start
        if 2 * most > len(keys) and 2 * (used + _count_pieces(data, start, stop, classes, cuts)) > len(keys):
            break
        key, window = _START, _window(data, start, stop, classes)
        for at in range(start, stop):
            key = (key ^ np.uint64(data[at])) * _PRIME
            window = _moved_on(window, data, at, stop, classes)
            if not cuts[window] and at + 1 < stop:
                continue
            key = (key ^ (key >> np.uint64(29))) * _MIX
            key = (key ^ (key >> np.uint64(32))) | np.uint64(1)  # 0 marks a free place
            place = (key >> np.uint64(1)) & mask
            while keys[place] != 0 and keys[place] != key:
                place = (place + np.uint64(1)) & mask
            if keys[place] == 0:
                keys[place], numbers[place] = key, used
                first[used - known_before, 0], first[used - known_before, 1] = start, at + 1
                used += 1
            slots[pieces] = numbers[place]
            pieces += 1
            start, key = at + 1, _START
        text += 1
        ends[text] = pieces
    return used, text


@njit(cache=True, nogil=True)
def _count_pieces(data, start, stop, classes, cuts):  # type: ignore[no-untyped-def]
    pieces, window = 0, _window(data, start, stop, classes)
    for at in range(start, stop):
        window = _moved_on(window, data, at, stop, classes)
        if cuts[window] or at + 1 == stop:
            pieces += 1
    return pieces


@njit(cache=True, nogil=True)
def _most_pieces(data, offsets, classes, cuts):  # type: ignore[no-untyped-def]
    most = 0
    for text in range(len(offsets) - 1):
        most = max(most, _count_pieces(data, offsets[text], offsets[text + 1], classes, cuts))
    return most


@njit(cache=True, nogil=True)
def _sums(counts, slots, ends):  # type: ignore[no-untyped-def]
    sums = np.zeros(len(ends) - 1, np.int64)
    for text in range(len(sums)):
        for piece in range(ends[text], ends[text + 1]):
            sums[text] += counts[slots[piece]]
    return sums


@njit(cache=True, nogil=True)
def _move(keys, numbers, new_keys, new_numbers):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(new_keys) - 1)
    for old in range(len(keys)):
        if keys[old] == 0:
            continue
        place = (keys[old] >> np.uint64(1)) & mask
        while new_keys[place] != 0:
            place = (place + np.uint64(1)) & mask
        new_keys[place], new_numbers[place] = keys[old], numbers[old]
