"""Kernels that compare texts by their words, on the byte buffers of Arrow. Compiled once per machine (numba, cached).

A word is a run of letters, digits and underscores, ASCII letters in lower case; a character of a script without spaces
(CJK, kana, Hangul) is a word of its own. Everything else separates. A text is its turns' words in a row, so that a
copy is found inside a longer conversation. All hashes are 64-bit; the words of a shared n-gram are not looked at again.

The fingerprints of a text are a part of its 5-grams, chosen by winnowing (Schleimer, Wilkerson, Aiken, SIGMOD 2003):
the least hash of every four neighbours. Two texts that share eight words in a row share at least one fingerprint.
"""

from typing import Any

import numpy as np
from numba import njit

Array = np.ndarray[Any, Any]

CONTAINED_WORDS = 13  # the n-grams of containment
FINGERPRINT_WORDS = 5
WINNOW_WINDOW = 4
NEAR_COPY_WORDS = 3  # the n-grams of the Jaccard similarity

_SEED, _PRIME = np.uint64(1469598103934665603), np.uint64(1099511628211)
NOTHING_SAID = _SEED  # the key of an empty prompt, which every conversation begins with
_MIX_1, _MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_FOLD = np.uint64(0x9E3779B97F4A7C15)
_SHIFT, _ZERO, _ONE = np.uint64(33), np.uint64(0), np.uint64(1)
_SIX, _EIGHT, _LOW = np.uint64(6), np.uint64(8), np.uint64(63)


def _word_bytes() -> Array:
    """For each byte what it counts as inside a word; 0 separates."""
    table = np.zeros(256, np.uint8)
    for code in (*range(48, 58), *range(97, 123), 95, *range(128, 256)):
        table[code] = code
    for code in range(65, 91):
        table[code] = code + 32
    return table


WORD_BYTES = _word_bytes()


@njit(inline="always")
def _mixed(value):  # type: ignore[no-untyped-def]
    value ^= value >> _SHIFT
    value *= _MIX_1
    value ^= value >> _SHIFT
    value *= _MIX_2
    return value ^ (value >> _SHIFT)


@njit(nogil=True, cache=True)
def asked_and_said(turns, first_turn, answers):  # type: ignore[no-untyped-def]
    """Keys of what a row replies to and says: row and hash of each; the last two of a row are its prompt and its whole.

    `answers` marks the assistant's turns. Before them, for each answer: everything said before it, and the turn before
    it together with it (a pair that is copied into another conversation).
    """
    rows, hashes = (
        np.empty(2 * len(turns) + 2 * len(first_turn), np.int64),
        np.empty(2 * len(turns) + 2 * len(first_turn), np.uint64),
    )
    count = 0
    for row in range(len(first_turn) - 1):
        whole, prompt = _SEED, _SEED
        for turn in range(first_turn[row], first_turn[row + 1]):
            prompt = whole
            if answers[turn] and turn > first_turn[row]:
                rows[count], hashes[count] = row, prompt
                pair = _mixed(_mixed(_SEED * _FOLD ^ turns[turn - 1]) * _FOLD ^ turns[turn])
                rows[count + 1], hashes[count + 1] = row, pair
                count += 2
            whole = _mixed(whole * _FOLD ^ turns[turn])
        rows[count], hashes[count] = row, prompt
        rows[count + 1], hashes[count + 1] = row, whole
        count += 2
    return rows[:count], hashes[:count]


@njit(nogil=True, cache=True)
def read_turns(data, offsets, first_turn, table):  # type: ignore[no-untyped-def]
    """One hash per turn, of its words and signs with white space as single spaces; and the words.

    Words: their hashes row by row, where each row's begin, and where those of its last turn do.
    """
    turns = np.empty(len(offsets) - 1, np.uint64)
    words = np.empty(offsets[-1] - offsets[0] + 1, np.uint64)
    starts = np.zeros(len(first_turn), np.int64)
    last_turn = np.zeros(len(first_turn) - 1, np.int64)
    count = 0
    for row in range(len(first_turn) - 1):
        for turn in range(first_turn[row], first_turn[row + 1]):
            last_turn[row] = count
            text, space = _SEED, False
            place, end = offsets[turn], offsets[turn + 1]
            while place < end:
                byte = table[data[place]]
                if byte == 0:
                    sign = data[place]
                    place += 1
                    if sign == 32 or 9 <= sign <= 13:
                        space = text != _SEED
                        continue
                    hashed = np.uint64(sign)
                else:
                    value, packed, size = _SEED, _ZERO, 0  # eight bytes at a time: a multiplication is what costs
                    alone = 0xE3 <= byte <= 0xED  # begins a character of three bytes that is a word of its own
                    while byte != 0 and (size < 3 if alone else not 0xE3 <= byte <= 0xED):
                        packed = (packed << _EIGHT) | np.uint64(byte)
                        size += 1
                        if size & 7 == 0:
                            value, packed = (value ^ packed) * _PRIME, _ZERO
                        place += 1
                        byte = table[data[place]] if place < end else np.uint8(0)
                    hashed = _mixed((value ^ packed) * _PRIME)
                    words[count] = hashed
                    count += 1
                if space:
                    text = (text ^ np.uint64(32)) * _FOLD
                    space = False
                text = (text ^ hashed) * _FOLD
            turns[turn] = _mixed(text)
        starts[row + 1] = count
    return turns, words[:count].copy(), starts, last_turn


@njit(nogil=True, cache=True)
def n_grams(words, size):  # type: ignore[no-untyped-def]
    """The hash of each `size` words in a row."""
    out = np.empty(max(0, len(words) - size + 1), np.uint64)
    power = _ONE
    for _ in range(size):
        power *= _FOLD
    value = _ZERO
    for place in range(len(words)):
        value = value * _FOLD + words[place]
        if place >= size:
            value -= words[place - size] * power
        if place >= size - 1:
            out[place - size + 1] = _mixed(value)
    return out


@njit(nogil=True, cache=True)
def fingerprints(words, starts, size, window):  # type: ignore[no-untyped-def]
    """The winnowed n-grams of each row, one row after the other, the word each begins at, and where a row's begin."""
    hashes, places = np.empty(len(words), np.uint64), np.empty(len(words), np.int32)
    bounds = np.zeros(len(starts), np.int64)
    count = 0
    for row in range(len(starts) - 1):
        grams = n_grams(words[starts[row] : starts[row + 1]], size)
        chosen = -1
        for end in range(min(window, len(grams)), len(grams) + 1):
            begin = max(0, end - window)
            if chosen < begin or grams[end - 1] <= grams[chosen]:
                least = begin
                for place in range(begin, end):
                    if grams[place] <= grams[least]:
                        least = place
                chosen = least
                if len(grams) > 0:
                    hashes[count], places[count] = grams[chosen], chosen
                    count += 1
        bounds[row + 1] = count
    return hashes[:count], places[:count], bounds


@njit(nogil=True, cache=True)
def bits_of(keys, size_bits):  # type: ignore[no-untyped-def]
    """A bit per key in 2**size_bits: a look there is far cheaper than one among the keys."""
    bits = np.zeros(1 << (size_bits - 6), np.uint64)
    mask = (_ONE << np.uint64(size_bits)) - _ONE
    for key in keys:
        place = key & mask
        bits[place >> _SIX] |= _ONE << (place & _LOW)
    return bits


@njit(nogil=True, cache=True)
def lookups(hashes, bounds, rows, keys, bits):  # type: ignore[no-untyped-def]
    """Place in the sorted `keys` of each hash of the `rows` that is among them, and where each row's begin."""
    size = 0
    for row in rows:
        size += bounds[row + 1] - bounds[row]
    out, starts = np.empty(size, np.int32), np.zeros(len(rows) + 1, np.int64)
    mask = np.uint64(len(bits)) * np.uint64(64) - _ONE
    count = 0
    for at in range(len(rows)):
        for place in range(bounds[rows[at]], bounds[rows[at] + 1]):
            bit = hashes[place] & mask
            if (bits[bit >> _SIX] >> (bit & _LOW)) & _ONE:
                found = np.searchsorted(keys, hashes[place])
                if found < len(keys) and keys[found] == hashes[place]:
                    out[count] = found
                    count += 1
        starts[at + 1] = count
    return out[:count].copy(), starts


@njit(nogil=True, cache=True)
def rows_per_key(hits, starts, counted, keys):  # type: ignore[no-untyped-def]
    """How many of the `counted` rows hold each key."""
    out, last = np.zeros(keys, np.int32), np.full(keys, -1, np.int64)
    for row in range(len(starts) - 1):
        if counted[row]:
            for place in range(starts[row], starts[row + 1]):
                if last[hits[place]] != row:
                    last[hits[place]] = row
                    out[hits[place]] += 1
    return out


@njit(nogil=True, cache=True)
def shared_pairs(hits, starts, looked_at, rare, items, item_starts, most_items):  # type: ignore[no-untyped-def]
    """Row and item (int64 pair) for each rare key that both hold; of the items of a key the first `most_items`."""
    size = 0
    for row in range(len(starts) - 1):
        if looked_at[row]:
            for place in range(starts[row], starts[row + 1]):
                if rare[hits[place]]:
                    size += min(most_items, item_starts[hits[place] + 1] - item_starts[hits[place]])
    out = np.empty(size, np.int64)
    count = 0
    for row in range(len(starts) - 1):
        if looked_at[row]:
            for place in range(starts[row], starts[row + 1]):
                key = hits[place]
                if rare[key]:
                    for at in range(item_starts[key], min(item_starts[key + 1], item_starts[key] + most_items)):
                        out[count] = (np.int64(row) << 32) | np.int64(items[at])
                        count += 1
    return out
