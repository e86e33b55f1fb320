"""Texts to sets of hashed word 5-grams and to the band keys that near-duplicate rows share, without a Python string.

A word is a run of [a-z0-9_] (ASCII case folded) or of bytes from 0x80 on; a CJK, kana or Hangul character (UTF-8 lead
0xE3 to 0xED) is a word by itself. Five neighbours are one shingle; fewer than five words are one shingle together; a
text without words has one fixed shingle.

The kernels compile once and are kept beside this file, or where NUMBA_CACHE_DIR points to: set it where the package
directory is read-only and the user has no home, or compile into the image when it is built.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numba import njit

from ft_assets.curation.tokens import utf8_buffers

BANDS = 20
_HALF = 3  # minima of the prompt in a band key, and as many of the answer
_HASHES = 64  # 60 are used; whole vector registers
_WORDS = 5

_START, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a, eight bits at a time
_BASE = np.uint64(0x9E3779B97F4A7C15)  # of the polynomial over five words
_MIX1, _MIX2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)  # the final mix of MurmurHash3
_NO_WORDS = np.uint32(0x9D7A4E61)
_ZERO, _U32, _U33 = np.uint64(0), np.uint64(32), np.uint64(33)
_random = np.random.default_rng(20)
_FACTORS = _random.integers(0, 1 << 32, _HASHES, dtype=np.uint32) | np.uint32(1)
_SHIFTS = _random.integers(0, 1 << 32, _HASHES, dtype=np.uint32)


def _folded(byte: int) -> int:
    if 65 <= byte <= 90:
        return byte + 32
    return byte if 48 <= byte <= 57 or 97 <= byte <= 122 or byte == 95 or byte >= 128 else 0


_FOLDED = np.array([_folded(byte) for byte in range(256)], dtype=np.uint8)  # 0 ends a word


@dataclass(frozen=True)
class Fingerprints:
    """What is compared of n rows.

    `bands` (BANDS, n) uint64: for each band, every row as key << 32 | row number, in ascending order.
    `shingles` uint32: the sets, each ascending; the prompt's of row i lies in offsets[2i]:offsets[2i+1], the answer's
    in offsets[2i+1]:offsets[2i+2]. `offsets` (2n+1) int64.
    """

    bands: np.ndarray
    shingles: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return self.bands.shape[1]


def fingerprint(prompts: pl.Series, answers: pl.Series) -> Fingerprints:
    """The fingerprints of rows, from what was asked and what was answered (String; a null counts as an empty text).

    Two rows share a band key when three minima of their prompts' hashed shingles and three of their answers' are the
    same. With J the Jaccard similarity that is J_prompt ** 3 * J_answer ** 3 for one band, so of the pairs with 0.8 in
    both, 99.8 % meet in one of the 20, while the same answer under unrelated prompts meets nowhere.
    """
    asked, asked_ends = utf8_buffers(prompts.fill_null(""))
    answered, answered_ends = utf8_buffers(answers.fill_null(""))
    rows = len(prompts)
    most = (asked_ends[-1] - asked_ends[0] + answered_ends[-1] - answered_ends[0]) // 2 + 4 * rows
    shingles = np.empty(most, np.uint32)  # pages that stay empty are never resident
    offsets, bands = np.zeros(2 * rows + 1, np.int64), np.empty((BANDS, rows), np.uint64)
    longest = max(np.diff(asked_ends).max(initial=0), np.diff(answered_ends).max(initial=0))
    _fingerprint(asked, asked_ends, answered, answered_ends, int(longest), shingles, offsets, bands)
    for band in bands:
        band.sort()
    return Fingerprints(bands, shingles[: offsets[-1]], offsets)


@njit(cache=True, nogil=True)
def _fingerprint(asked, asked_ends, answered, answered_ends, longest, shingles, offsets, bands):  # type: ignore[no-untyped-def]
    words = np.empty(longest + _WORDS, np.uint64)
    hashes = np.empty(longest + 1, np.uint32)
    slots = np.empty(2 * longest + 4, np.int32)
    minima = np.empty((2, _HASHES), np.uint32)
    end = 0
    for row in range(len(asked_ends) - 1):
        for side in range(2):
            if side == 0:
                count = _words(asked, asked_ends[row], asked_ends[row + 1], words)
            else:
                count = _words(answered, answered_ends[row], answered_ends[row + 1], words)
            start, end = end, end + _ascending_set(hashes, _grams(words, count, hashes), slots, shingles[end:])
            offsets[2 * row + side + 1] = end
            _minima(shingles[start:end], minima[side])
        for band in range(len(bands)):
            bands[band, row] = _band_key(minima, band) << _U32 | np.uint64(row)


@njit(cache=True, nogil=True)
def _words(data, start, stop, words):  # type: ignore[no-untyped-def]
    """Writes the hash of each word; returns their number."""
    count, word = 0, _START
    at = start
    while at < stop:
        byte = _FOLDED[data[at]]
        if 0xE3 <= byte <= 0xED and at + 3 <= stop:
            if word != _START:
                words[count] = word
                count += 1
            word = _START
            for each in range(at, at + 3):
                word = (word ^ np.uint64(data[each])) * _PRIME
            words[count] = word
            count, word = count + 1, _START
            at += 3
            continue
        if byte:
            word = (word ^ np.uint64(byte)) * _PRIME
        elif word != _START:
            words[count] = word
            count, word = count + 1, _START
        at += 1
    if word != _START:
        words[count] = word
        count += 1
    return count


@njit(cache=True, nogil=True)
def _grams(words, count, hashes):  # type: ignore[no-untyped-def]
    """Writes a 32-bit hash for each five words in a row; returns how many, at least one."""
    if count == 0:
        hashes[0] = _NO_WORDS
        return 1
    if count < _WORDS:
        gram = _ZERO
        for at in range(count):
            gram = gram * _BASE + words[at]
        hashes[0] = _mixed(gram + np.uint64(count)) >> _U32
        return 1
    for at in range(count - _WORDS + 1):
        gram = words[at]
        for following in range(1, _WORDS):
            gram = gram * _BASE + words[at + following]
        hashes[at] = _mixed(gram) >> _U32
    return count - _WORDS + 1


@njit(cache=True, nogil=True, inline="always")
def _mixed(value):  # type: ignore[no-untyped-def]
    value = (value ^ (value >> _U33)) * _MIX1
    value = (value ^ (value >> _U33)) * _MIX2
    return value ^ (value >> _U33)


@njit(cache=True, nogil=True)
def _ascending_set(hashes, count, slots, out):  # type: ignore[no-untyped-def]
    """Sorts `count` hashes into `out` without repetitions; returns how many are left.

    Hashes are spread evenly, so their upper bits tell nearly where they belong: twice as fast as comparing.
    """
    places, shift = 1, 32
    while places < count:
        places, shift = 2 * places, shift - 1
    shift = np.uint64(shift)
    slots[: places + 1] = 0
    for at in range(count):
        slots[(np.uint64(hashes[at]) >> shift) + np.uint64(1)] += 1
    for place in range(1, places):
        slots[place] += slots[place - 1]
    for at in range(count):
        place = np.uint64(hashes[at]) >> shift
        out[slots[place]] = hashes[at]
        slots[place] += 1
    kept = 0
    for at in range(count):
        value, place = out[at], kept
        while place > 0 and out[place - 1] > value:
            place -= 1
        if place > 0 and out[place - 1] == value:
            continue
        for moved in range(kept, place, -1):
            out[moved] = out[moved - 1]
        out[place] = value
        kept += 1
    return kept


@njit(cache=True, nogil=True)
def _minima(hashes, minima):  # type: ignore[no-untyped-def]
    """The least of each of the 64 multiply-add hashes over the set; eight to sixteen lanes at a time."""
    minima[:] = np.uint32(0xFFFFFFFF)
    for at in range(len(hashes)):
        value = hashes[at]
        for each in range(_HASHES):
            hashed = np.uint32(_FACTORS[each] * value + _SHIFTS[each])
            minima[each] = min(minima[each], hashed)


@njit(cache=True, nogil=True)
def _band_key(minima, band):  # type: ignore[no-untyped-def]
    key = np.uint64(band)
    for side in range(2):
        for at in range(band * _HALF, (band + 1) * _HALF):
            key = (key ^ np.uint64(minima[side, at])) * _BASE
            key ^= key >> _U32
    return _mixed(key) >> _U32


@njit(cache=True, nogil=True)
def near(a, a_offsets, a_row, b, b_offsets, b_row):  # type: ignore[no-untyped-def]
    """Whether prompts and answers of two rows each have a Jaccard similarity of at least 0.8, exactly."""
    for side in range(2):
        i, i_end = a_offsets[2 * a_row + side], a_offsets[2 * a_row + side + 1]
        j, j_end = b_offsets[2 * b_row + side], b_offsets[2 * b_row + side + 1]
        total = i_end - i + j_end - j
        shared = 0
        while i < i_end and j < j_end:
            if 9 * (shared + min(i_end - i, j_end - j)) < 4 * total:  # what is left cannot reach 0.8
                return False
            x, y = a[i], b[j]
            shared += x == y
            i += x <= y
            j += y <= x
        if 9 * shared < 4 * total:
            return False
    return True
