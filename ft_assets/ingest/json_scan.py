"""JSON lines scanned where they lie: what stands where in each plain line, in compiled code, without a Python object.

A line is plain when it is one JSON object of short names and values that any decoder reads alike. The others (broken,
deep, with large numbers or exponents, with half a surrogate pair) are left to a decoder, which says what is wrong.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from ft_assets.ingest.json_grammar import DIGIT, TEXT, blanks, is_word, number, skipped, text
from ft_assets.ingest.turns import ROLES

NULL, TURNS, METADATA, OTHER = 0, 4, 5, 6  # kinds beside those of the grammar
INSIDE = 8  # added to the kind of what stands inside of the metadata
MOST_LINES = 10_000  # scanned at once
_MEMBERS, _TURNS = 24 * MOST_LINES, 8 * MOST_LINES
_FULL = -2

_METADATA, _MESSAGES, _ROLE, _CONTENT = (
    np.frombuffer(name, np.uint8) for name in (b"metadata", b"messages", b"role", b"content")
)
_ROLE_NAMES = np.frombuffer("".join(ROLES).encode(), np.uint8)
_ROLE_ENDS = np.cumsum([0, *map(len, ROLES)])
_START, _PRIME, _MIX = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)


class Scan(NamedTuple):
    """Lines in their order, with their line ends left out; members and turns of the plain ones, in the same order.

    `lines` (n, 5): start, stop, whether it is plain, how many members and how many turns. `shapes`: a hash of the names
    and kinds. `members` (m, 6): start and stop of the name, kind, start and stop of the value (a text's without its
    quotation marks), whether it has escapes. `turns` (t, 4): place of the role in ROLES; start, stop, escapes of the
    content.
    """

    lines: np.ndarray
    shapes: np.ndarray
    members: np.ndarray
    turns: np.ndarray
    next: int  # where to go on


def scan(data: np.ndarray, at: int) -> Scan:
    """The next lines of `data` (uint8, ends with a line end) from `at` on, at most MOST_LINES."""
    lines, shapes = np.empty((MOST_LINES, 5), np.int64), np.empty(MOST_LINES, np.uint64)
    members, turns = np.empty((_MEMBERS, 6), np.int64), np.empty((_TURNS, 4), np.int64)
    count, member, turn, at = _scan(data, at, lines, shapes, members, turns)
    return Scan(lines[:count], shapes[:count], members[:member], turns[:turn], at)


@njit(cache=True, nogil=True)
def _scan(data, at, lines, shapes, members, turns):  # type: ignore[no-untyped-def]
    count = member = turn = 0
    while at < len(data) and count < len(lines):
        stop, new_member, new_turn, shape = _record(data, at, members, member, turns, turn)
        if stop == _FULL and count > 0:
            break
        lines[count, 0], shapes[count] = at, shape
        if stop < 0:
            stop, new_member, new_turn = at, member, turn
            while data[stop] != 10:
                stop += 1
        lines[count, 1], lines[count, 2] = stop, new_member > member
        lines[count, 3], lines[count, 4] = new_member - member, new_turn - turn
        member, turn, at, count = new_member, new_turn, stop + 1, count + 1
    return count, member, turn, at


@njit(cache=True, nogil=True)
def _record(data, at, members, member, turns, turn):  # type: ignore[no-untyped-def]
    """Its members from `member` on. Returns where its line ends (negative where it is not plain), the next places for
    members and turns, and the hash."""
    shape, outer = _START, -1  # outer: the metadata that we are inside of
    at = blanks(data, at)
    if data[at] != 123:
        return -1, member, turn, shape
    at = blanks(data, at + 1)
    while True:
        if data[at] != 34:
            return -1, member, turn, shape
        name = at + 1
        name_stop, escaped = text(data, name)
        if name_stop < 0 or escaped:
            return -1, member, turn, shape
        at = blanks(data, name_stop + 1)
        if data[at] != 58:
            return -1, member, turn, shape
        if member == len(members):
            return _FULL, member, turn, shape
        at = blanks(data, at + 1)
        byte, start, stop, kind, escaped = data[at], at, -1, OTHER, False
        opens = False
        if byte == 34:
            start, kind = at + 1, TEXT
            stop, escaped = text(data, start)
            at = stop + 1 if stop >= 0 else -1
        elif DIGIT[byte]:
            at, kind = number(data, at)
        elif byte == 110:
            at, kind = skipped(data, at), NULL
        elif byte == 123 and outer < 0 and is_word(data, name, name_stop, _METADATA):
            kind = METADATA
            inside = blanks(data, at + 1)
            opens = data[inside] != 125
            at = inside if opens else inside + 1
        elif byte == 91 and outer < 0 and is_word(data, name, name_stop, _MESSAGES):
            after, new_turn = _turns(data, at, turns, turn)
            if after == _FULL:
                return _FULL, member, turn, shape
            if after >= 0:
                at, turn, kind = after, new_turn, TURNS
            else:
                at = skipped(data, at)
        else:
            at = skipped(data, at)
        if at < 0:
            return -1, member, turn, shape
        if outer >= 0:
            kind += INSIDE
        members[member, 0], members[member, 1], members[member, 2] = name, name_stop, kind
        members[member, 3], members[member, 4], members[member, 5] = start, stop if stop >= 0 else at, escaped
        for place in range(name, name_stop):
            shape = (shape ^ np.uint64(data[place])) * _PRIME
        shape = (shape ^ np.uint64(256 + kind)) * _MIX
        shape ^= shape >> np.uint64(32)
        if opens:
            outer = member
        member += 1
        if opens:
            continue
        at = blanks(data, at)
        if outer >= 0 and data[at] == 125:
            at = blanks(data, at + 1)
            members[outer, 4], outer = at, -1
        if data[at] == 44:
            at = blanks(data, at + 1)
        elif outer < 0 and data[at] == 125:
            at = blanks(data, at + 1)
            return at if data[at] == 10 else -1, member, turn, shape
        else:
            return -1, member, turn, shape


@njit(cache=True, nogil=True)
def _turns(data, at, turns, turn):  # type: ignore[no-untyped-def]
    """The turns of a list of {role, content} with known roles and texts; negative where one is not."""
    at = blanks(data, at + 1)
    while data[at] == 123:
        if turn == len(turns):
            return _FULL, turn
        role = content = -1
        for part in range(2):
            at = blanks(data, at + 1)
            if data[at] != 34:
                return -1, turn
            name = at + 1
            name_stop, _ = text(data, name)
            if name_stop < 0:
                return -1, turn
            at = blanks(data, name_stop + 1)
            if data[at] != 58:
                return -1, turn
            at = blanks(data, at + 1)
            if data[at] != 34:
                return -1, turn
            start = at + 1
            stop, escaped = text(data, start)
            if stop < 0:
                return -1, turn
            if is_word(data, name, name_stop, _ROLE):
                role = _role(data, start, stop)
                turns[turn, 0] = role
            elif is_word(data, name, name_stop, _CONTENT):
                content = start
                turns[turn, 1], turns[turn, 2], turns[turn, 3] = start, stop, escaped
            at = blanks(data, stop + 1)
            if data[at] != (44 if part == 0 else 125):
                return -1, turn
        if role < 0 or content < 0:
            return -1, turn
        turn += 1
        at = blanks(data, at + 1)
        if data[at] == 93:
            return at + 1, turn
        if data[at] != 44:
            return -1, turn
        at = blanks(data, at + 1)
    return -1, turn


@njit(cache=True, nogil=True)
def _role(data, start, stop):  # type: ignore[no-untyped-def]
    for role in range(len(_ROLE_ENDS) - 1):
        if is_word(data, start, stop, _ROLE_NAMES[_ROLE_ENDS[role] : _ROLE_ENDS[role + 1]]):
            return role
    return -1


@njit(cache=True, nogil=True)
def same_names(data, members, firsts, counts, models):  # type: ignore[no-untyped-def]
    """Boolean per line: whether its members have the names and kinds of the line `models` says. Hashes can collide."""
    same = np.ones(len(firsts), np.bool_)
    for line in range(len(firsts)):
        model = models[line]
        same[line] = counts[line] == counts[model]
        for place in range(counts[line] if same[line] else 0):
            mine, its = members[firsts[line] + place], members[firsts[model] + place]
            if mine[2] != its[2] or not is_word(data, mine[0], mine[1], data[its[0] : its[1]]):
                same[line] = False
                break
    return same
