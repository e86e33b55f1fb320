"""First looks at whole columns, byte by byte: half the cost of the regular expressions whose texts they pick out."""

import numpy as np
import polars as pl
from numba import njit

from ft_assets.curation.tokens import utf8_buffers

_GAP = np.array([byte in b" .-/()+\xc2\xa0" for byte in range(256)])  # between digits, \u00a0 as its two bytes
_MOST_GAP = 6  # bytes: three signs of two bytes


def may_hold_digits(texts: pl.Series) -> pl.Series:
    """Boolean, one per text: False says for certain that `pii_detector.DIGITS` matches nothing. No nulls."""
    data, ends = utf8_buffers(texts)
    found = np.zeros(len(texts), np.bool_)
    _find_digits(data, ends, _GAP, found)
    return pl.Series(found)


def is_plain_ascii(texts: pl.Series) -> pl.Series:
    """Boolean, one per text: whether it is ASCII without control characters but tab and line feed, without blanks
    before a line end or the end, and without line feeds at both ends. No nulls."""
    data, ends = utf8_buffers(texts)
    found = np.zeros(len(texts), np.bool_)
    _find_plain(data, ends, found)
    return pl.Series(found)


@njit(cache=True, nogil=True)
def _find_digits(data, ends, is_gap, found):  # type: ignore[no-untyped-def]
    for text in range(len(ends) - 1):
        place, stop = ends[text], ends[text + 1]
        together = run = dots = gap = 0  # digits close together, without a break; dots and bytes between them
        while place < stop:
            byte = data[place]
            place += 1
            if 48 <= byte <= 57:
                together, run, gap = together + 1, run + 1, 0
                if together == 7 or (together >= 4 and dots >= 3):
                    found[text] = True
                    break
                continue
            if together == 0:
                continue
            is_capital = 65 <= byte <= 90
            if is_capital and (run >= 4 or (run >= 2 and _goes_on(data, place, stop))):
                found[text] = True
                break
            if together >= 6 and gap <= 1 and 65 <= (byte & 0xDF) <= 90:  # a letter, perhaps behind a blank
                found[text] = True
                break
            run = 0
            gap += 1
            if not is_gap[byte] or gap > _MOST_GAP:
                together = dots = gap = 0
            elif byte == 46:
                dots += 1


@njit(cache=True, nogil=True, inline="always")
def _goes_on(data, place, stop):  # type: ignore[no-untyped-def]
    """Whether the signs of a codice fiscale may follow: two, a letter and one, all capitals or digits."""
    if place + 4 > stop:
        return False
    for at in range(place, place + 4):  # noqa: SIM110 (compiled)
        if not (48 <= data[at] <= 57 or 65 <= data[at] <= 90):
            return False
    return True


@njit(cache=True, nogil=True)
def _find_plain(data, ends, found):  # type: ignore[no-untyped-def]
    for text in range(len(ends) - 1):
        before, is_plain = 10, True
        for place in range(ends[text], ends[text + 1]):
            byte = data[place]
            if byte < 32:
                if byte == 10:
                    is_plain = before != 32 and before != 9 and (before != 10 or place > ends[text])
                else:
                    is_plain = byte == 9
            elif byte >= 127:
                is_plain = False
            if not is_plain:
                break
            before = byte
        is_empty = ends[text] == ends[text + 1]
        found[text] = is_plain and (is_empty or (before != 32 and before != 9 and before != 10))
