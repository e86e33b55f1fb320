"""Byte-pair encoding of words, compiled: the library's counts at a tenth of its price per word.

Only tokenizers whose every step is known here are counted: byte-level ones that cut words as GPT-2 (SmolLM, StarCoder)
or as Llama 3 and Qwen 2 do. Of their texts only words, digits, punctuation marks, a blank before these and single line
ends. Everything else (apostrophes, more white space, characters that are no letters) is left to the library.
"""

import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numba import njit

MOST_BYTES = 64  # of a word; merging costs the square of it
NOT_COUNTED = -1
_ANY = 1 << 30  # digits in one piece
_OTHER, _LETTER, _MARK, _DIGIT = 0, 1, 2, 3
_APOSTROPHE, _BLANK, _NEWLINE = 39, 32, 10
_ONE, _U29, _U32 = np.uint64(1), np.uint64(29), np.uint64(32)
_NEVER = np.uint64(0xFFFFFFFFFFFFFFFF)
_BASE = np.uint64(0x9E3779B97F4A7C15)
_START, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a

_JOINING = {  # the pattern, and how many digits are one piece (Llama 3: 3, Qwen 2: 1)
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+": most
    for digits, most in ((r"\p{N}{1,3}", 3), (r"\p{N}", 1), (r"\p{N}+", _ANY))
}


class Cut(NamedTuple):
    """How a pre-tokenizer cuts."""

    joins_marks: bool  # "(word" is one piece, and " 12" is two; as GPT-2 cuts it is the other way round
    most_digits: int  # in one piece; 0: not known


class BytePairs:
    """The merges of one tokenizer, for words."""

    def __init__(self, model: Mapping[str, Any], cut: Cut):
        """Takes the `model` of a tokenizer.json, and how its pre-tokenizer cuts."""
        vocabulary: dict[str, int] = model["vocab"]
        alphabet = byte_alphabet()
        merges = [(vocabulary[a], vocabulary[b], vocabulary[a + b]) for a, b in model["merges"]]
        self._byte_ids = np.array([vocabulary[each] for each in alphabet], np.uint64)
        self._pairs = np.zeros((_power_of_two(2 * len(merges) + 2), 2), np.uint64)
        _fill(np.array(merges, np.uint64).reshape(-1, 3), self._pairs)
        self._cut = cut
        self._kinds = _kinds()
        self._whole = np.zeros(0, np.uint64)  # tokens that count as one though no merges lead to them
        if model["ignore_merges"]:
            self._whole = self._unreachable(vocabulary, {each: byte for byte, each in enumerate(alphabet)})

    def count(self, data: np.ndarray, spans: np.ndarray) -> np.ndarray:
        """The tokens of each piece data[start:end] (UTF-8), spans (n, 2); NOT_COUNTED where the library must say."""
        counts = np.empty(len(spans), np.int64)
        _count(data, spans, self._kinds, self._cut, self._byte_ids, self._pairs, self._whole, counts)
        return counts

    def _unreachable(self, vocabulary: Mapping[str, int], bytes_of: Mapping[str, int]) -> np.ndarray:
        """The hashes, ascending, of tokens that `ignore_merges` makes one while merging would leave several."""
        tokens = [
            bytes(bytes_of[each] for each in token)
            for token in vocabulary
            if 1 < len(token) <= MOST_BYTES and all(each in bytes_of for each in token)
        ]
        data, ends = np.array(list(b"".join(tokens)), np.uint8), np.cumsum([0, *map(len, tokens)])
        return np.unique(_hashes_of_several(data, ends, self._byte_ids, self._pairs))


def read_byte_pairs(tokenizer: Mapping[str, Any]) -> BytePairs | None:
    """The merges of a tokenizer, given as the library writes it; None where a step of it is not known here."""
    model = tokenizer["model"]
    strange = ("dropout", "byte_fallback", "continuing_subword_prefix", "end_of_word_suffix")
    if model["type"] != "BPE" or any(model.get(each) for each in strange):
        return None
    if tokenizer["normalizer"] not in (None, {"type": "NFC"}):  # letters that NFC changes are not counted here
        return None
    cut = _known_cut(tokenizer["pre_tokenizer"] or {})
    if cut is None or not all(each in model["vocab"] for each in byte_alphabet()):
        return None
    return BytePairs(model, cut)


def _known_cut(pre_tokenizer: Mapping[str, Any]) -> Cut | None:
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    last = steps[-1] if steps else {}
    others = [step for step in steps[:-1] if step["type"] != "Digits"]
    cuts_digits_apart = len(others) < len(steps) - 1
    if last.get("type") != "ByteLevel" or last["add_prefix_space"]:
        return None
    if not others and last["use_regex"]:
        return Cut(joins_marks=False, most_digits=0 if cuts_digits_apart else _ANY)
    for pattern, most in _JOINING.items():
        split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        if others == [split] and not last["use_regex"]:
            return Cut(joins_marks=True, most_digits=0 if cuts_digits_apart else most)
    return None


def byte_alphabet() -> list[str]:
    """The character that stands for each byte in a byte-level vocabulary (Radford et al. 2019, `bytes_to_unicode`)."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in shown else chr(next(hidden)) for byte in range(256)]


def _kinds() -> np.ndarray:
    """What each character up to U+FFFF is (uint8).

    Letters are those of Unicode 3.2 still, so that every regular-expression engine agrees, if NFC leaves them alone;
    the apostrophe is no mark, for "'s" is a word of its own.
    """
    kinds = np.full(1 << 16, _OTHER, np.uint8)
    for code in range(1 << 16):
        character = chr(code)
        if code < 128:
            if character.isalpha():
                kinds[code] = _LETTER
            elif character.isdigit():
                kinds[code] = _DIGIT
            elif 32 < code < 127 and code != _APOSTROPHE:
                kinds[code] = _MARK
        elif unicodedata.ucd_3_2_0.category(character)[0] == "L" == unicodedata.category(character)[0]:
            joined_by_nfc = 0x1100 <= code < 0x1200  # Hangul parts
            if not joined_by_nfc and unicodedata.is_normalized("NFC", character):
                kinds[code] = _LETTER
    return kinds


def _power_of_two(least: int) -> int:
    return 1 << max(4, (least - 1).bit_length())


@njit(cache=True, nogil=True, inline="always")
def _place(key, mask):  # type: ignore[no-untyped-def]
    key = key * _BASE
    return (key ^ (key >> _U32)) & mask


@njit(cache=True, nogil=True)
def _fill(merges, pairs):  # type: ignore[no-untyped-def]
    """Writes each pair (left << 32 | right, plus 1) with its rank << 32 | merged token."""
    mask = np.uint64(len(pairs) - 1)
    for rank in range(len(merges)):
        key = (merges[rank, 0] << _U32 | merges[rank, 1]) + _ONE
        place = _place(key, mask)
        while pairs[place, 0] != 0:
            place = (place + _ONE) & mask
        pairs[place, 0], pairs[place, 1] = key, np.uint64(rank) << _U32 | merges[rank, 2]


@njit(cache=True, nogil=True)
def _merge_of(left, right, pairs):  # type: ignore[no-untyped-def]
    key = (left << _U32 | right) + _ONE
    mask = np.uint64(len(pairs) - 1)
    place = _place(key, mask)
    while pairs[place, 0] != key:
        if pairs[place, 0] == 0:
            return _NEVER
        place = (place + _ONE) & mask
    return pairs[place, 1]


@njit(cache=True, nogil=True)
def _merged(data, start, stop, byte_ids, pairs, tokens, merges):  # type: ignore[no-untyped-def]
    """How many tokens are left when no pair can be merged any more: the lowest rank first, the leftmost of equals."""
    length = stop - start
    for at in range(length):
        tokens[at] = byte_ids[data[start + at]]
    for at in range(length - 1):
        merges[at] = _merge_of(tokens[at], tokens[at + 1], pairs)
    while length > 1:
        best, merge = 0, merges[0]
        for at in range(1, length - 1):
            if merges[at] < merge:
                best, merge = at, merges[at]
        if merge == _NEVER:
            break
        tokens[best] = merge & np.uint64(0xFFFFFFFF)
        length -= 1
        for at in range(best + 1, length):
            tokens[at], merges[at - 1] = tokens[at + 1], merges[at]
        if best > 0:
            merges[best - 1] = _merge_of(tokens[best - 1], tokens[best], pairs)
        if best + 1 < length:
            merges[best] = _merge_of(tokens[best], tokens[best + 1], pairs)
    return length


@njit(cache=True, nogil=True)
def _hash(data, start, stop):  # type: ignore[no-untyped-def]
    key = _START
    for at in range(start, stop):
        key = (key ^ np.uint64(data[at])) * _PRIME
    return (key ^ (key >> _U29)) * _BASE


@njit(cache=True, nogil=True)
def _hashes_of_several(data, ends, byte_ids, pairs):  # type: ignore[no-untyped-def]
    hashes, found = np.empty(len(ends), np.uint64), 0
    tokens, merges = np.empty(MOST_BYTES, np.uint64), np.empty(MOST_BYTES, np.uint64)
    for each in range(len(ends) - 1):
        if _merged(data, ends[each], ends[each + 1], byte_ids, pairs, tokens, merges) > 1:
            hashes[found] = _hash(data, ends[each], ends[each + 1])
            found += 1
    return hashes[:found]


@njit(cache=True, nogil=True)
def _letters_end(data, at, stop, kinds):  # type: ignore[no-untyped-def]
    """Where the letters that begin at `at` end. Characters beyond U+FFFF are none."""
    while at < stop:
        code, size = np.int64(data[at]), 1
        if code >= 0xF0:
            break
        if code >= 0xE0:
            code, size = (code & 15) << 12 | (np.int64(data[at + 1]) & 63) << 6 | (np.int64(data[at + 2]) & 63), 3
        elif code >= 0xC0:
            code, size = (code & 31) << 6 | (np.int64(data[at + 1]) & 63), 2
        if kinds[code] != _LETTER:
            break
        at += size
    return at


@njit(cache=True, nogil=True)
def _run_end(data, at, stop, kinds, kind):  # type: ignore[no-untyped-def]
    """Where the ASCII characters of that kind end."""
    while at < stop and data[at] < 128 and kinds[data[at]] == kind:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _word_end(data, at, stop, kinds, cut):  # type: ignore[no-untyped-def]
    """Where the pre-tokenizer ends the word, digits, marks or line end that begin at `at`; `at` for anything else."""
    if data[at] == _NEWLINE:
        return at + 1
    first = at + (data[at] == _BLANK)
    end = _letters_end(data, first, stop, kinds)
    if end > first:
        return end
    end = _run_end(data, first, stop, kinds, _DIGIT)
    if end > first and cut.most_digits > 0:
        return first if cut.joins_marks and first > at else min(end, first + cut.most_digits)
    end = _run_end(data, first, stop, kinds, _MARK)
    if end == first:
        return at
    word_end = _letters_end(data, end, stop, kinds)
    if cut.joins_marks and end == at + 1 and word_end > end:
        return word_end
    return end + (cut.joins_marks and end < stop and data[end] == _NEWLINE)


@njit(cache=True, nogil=True)
def _is_among(key, ascending):  # type: ignore[no-untyped-def]
    place = np.searchsorted(ascending, key)
    return place < len(ascending) and ascending[place] == key


@njit(cache=True, nogil=True)
def _count(data, spans, kinds, cut, byte_ids, pairs, whole, counts):  # type: ignore[no-untyped-def]
    tokens, merges = np.empty(MOST_BYTES, np.uint64), np.empty(MOST_BYTES, np.uint64)
    for span in range(len(spans)):
        at, stop, total = spans[span, 0], spans[span, 1], 0
        while at < stop:
            end = _word_end(data, at, stop, kinds, cut)
            two_line_ends = end < stop and data[end - 1] == _NEWLINE == data[end]
            if end == at or end - at > MOST_BYTES or two_line_ends:
                total = NOT_COUNTED
                break
            if len(whole) > 0 and _is_among(_hash(data, at, end), whole):
                total += 1
            else:
                total += _merged(data, at, end, byte_ids, pairs, tokens, merges)
            at = end
        counts[span] = total
