"""The grammar of JSON over bytes, compiled: each function goes on from `at` to behind what it names, or to -1 where
that is not there. A line end stops all of them, so lines are never left.
"""

import numpy as np
from numba import njit

TEXT, INTEGER, DECIMAL = 1, 2, 3  # kinds of values; numbers are not negative
_MOST_DEPTH = 32
_MOST_DIGITS = 18  # of an integer: no decoder rounds it
_MOST_NUMBER = 40

_ORDINARY = np.array([byte >= 32 and byte < 128 and byte not in b'"\\' for byte in range(256)])
_BLANK = np.array([byte in b" \t\r" for byte in range(256)])
DIGIT = np.array([byte in b"0123456789" for byte in range(256)])
_HEX = np.array([int(chr(byte), 16) if chr(byte) in "0123456789abcdefABCDEF" else -1 for byte in range(256)])
_ESCAPED = np.full(256, -1, np.int16)
for _letter, _byte in zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True):
    _ESCAPED[_letter] = _byte
_NULL, _TRUE, _FALSE = (np.frombuffer(word, np.uint8) for word in (b"null", b"true", b"false"))


@njit(cache=True, nogil=True)
def is_word(data, start, stop, name):  # type: ignore[no-untyped-def]
    if stop - start != len(name):
        return False
    for at in range(len(name)):  # noqa: SIM110 (compiled)
        if data[start + at] != name[at]:
            return False
    return True


@njit(cache=True, nogil=True)
def blanks(data, at):  # type: ignore[no-untyped-def]
    while _BLANK[data[at]]:
        at += 1
    return at


@njit(cache=True, nogil=True)
def text(data, at):  # type: ignore[no-untyped-def]
    """To the closing quotation mark; and whether there are escapes."""
    escaped = False
    while True:
        byte = data[at]
        if _ORDINARY[byte]:
            at += 1
        elif byte == 34:
            return at, escaped
        else:
            if byte == 92:
                at, escaped = _escape(data, at), True
            else:
                at = _character(data, at)
            if at < 0:
                return at, escaped


@njit(cache=True, nogil=True)
def _escape(data, at):  # type: ignore[no-untyped-def]
    if _ESCAPED[data[at + 1]] >= 0:
        return at + 2
    code = _code(data, at)
    if 0xD800 <= code < 0xDC00 and 0xDC00 <= _code(data, at + 6) < 0xE000:
        return at + 12
    return at + 6 if code >= 0 and not 0xD800 <= code < 0xE000 else -1


@njit(cache=True, nogil=True)
def _code(data, at):  # type: ignore[no-untyped-def]
    """The number of the escape backslash, u, four hexadecimal digits."""
    if data[at] != 92 or data[at + 1] != 117:
        return -1
    code = 0
    for place in range(at + 2, at + 6):
        digit = _HEX[data[place]]
        if digit < 0:
            return -1
        code = code << 4 | digit
    return code


@njit(cache=True, nogil=True)
def _character(data, at):  # type: ignore[no-untyped-def]
    """One character beyond ASCII in well-formed UTF-8."""
    first, second = data[at], data[at + 1]
    if 0xC2 <= first <= 0xDF:
        return at + 2 if second & 0xC0 == 0x80 else -1
    if 0xE0 <= first <= 0xEF:
        low, high = 0xA0 if first == 0xE0 else 0x80, 0x9F if first == 0xED else 0xBF
        return at + 3 if low <= second <= high and data[at + 2] & 0xC0 == 0x80 else -1
    if 0xF0 <= first <= 0xF4:
        low, high = 0x90 if first == 0xF0 else 0x80, 0x8F if first == 0xF4 else 0xBF
        if low <= second <= high and data[at + 2] & 0xC0 == 0x80 and data[at + 3] & 0xC0 == 0x80:
            return at + 4
    return -1


@njit(cache=True, nogil=True)
def number(data, at):  # type: ignore[no-untyped-def]
    """A number without a sign, without an exponent; its kind."""
    start = at
    while DIGIT[data[at]]:
        at += 1
    if at == start or (data[start] == 48 and at > start + 1) or at > start + _MOST_DIGITS:
        return -1, INTEGER
    kind = INTEGER
    if data[at] == 46:
        kind, dot = DECIMAL, at
        at += 1
        while DIGIT[data[at]]:
            at += 1
        if at == dot + 1:
            return -1, kind
    if data[at] == 101 or data[at] == 69 or at > start + _MOST_NUMBER:
        return -1, kind
    return at, kind


@njit(cache=True, nogil=True)
def _word(data, at):  # type: ignore[no-untyped-def]
    """true, false or null."""
    if is_word(data, at, at + 4, _NULL) or is_word(data, at, at + 4, _TRUE):
        return at + 4
    return at + 5 if is_word(data, at, at + 5, _FALSE) else -1


@njit(cache=True, nogil=True)
def skipped(data, at):  # type: ignore[no-untyped-def]
    """Any value, checked by the grammar of JSON."""
    objects, depth = np.uint64(0), 0  # which of the open brackets are objects, the innermost lowest
    while True:
        byte = data[at]
        if byte == 123 or byte == 91:
            depth += 1
            if depth > _MOST_DEPTH:
                return -1
            objects = objects << np.uint64(1) | np.uint64(byte == 123)
            at = blanks(data, at + 1)
            if data[at] != byte + 2:
                if byte == 123:
                    at = _name(data, at)
                    if at < 0:
                        return -1
                continue
            at, depth, objects = at + 1, depth - 1, objects >> np.uint64(1)
        elif byte == 34:
            at, _ = text(data, at + 1)
            at = at + 1 if at >= 0 else -1
        elif byte == 45 or DIGIT[byte]:
            at, _ = number(data, at + (byte == 45))
        else:
            at = _word(data, at)
        if at < 0:
            return -1
        while depth > 0:
            at = blanks(data, at)
            is_object = objects & np.uint64(1)
            if data[at] == 44:
                at = blanks(data, at + 1)
                if is_object:
                    at = _name(data, at)
                    if at < 0:
                        return -1
                break
            if data[at] != (125 if is_object else 93):
                return -1
            at, depth, objects = at + 1, depth - 1, objects >> np.uint64(1)
        else:
            return at


@njit(cache=True, nogil=True)
def _name(data, at):  # type: ignore[no-untyped-def]
    """A name and its colon, to the value."""
    if data[at] != 34:
        return -1
    at, _ = text(data, at + 1)
    if at < 0:
        return -1
    at = blanks(data, at + 1)
    return blanks(data, at + 1) if data[at] == 58 else -1


@njit(cache=True, nogil=True)
def unescaped(data, starts, stops, escapes):  # type: ignore[no-untyped-def]
    """The bytes of scanned texts one after the other, without their escapes, and where each ends, from 0 on."""
    out, ends = np.empty((stops - starts).sum(), np.uint8), np.zeros(len(starts) + 1, np.int64)
    end = 0
    for text in range(len(starts)):
        at, stop = starts[text], stops[text]
        if not escapes[text]:
            out[end : end + stop - at] = data[at:stop]
            end, at = end + stop - at, stop
        while at < stop:
            byte = data[at]
            if byte != 92:
                out[end] = byte
                at, end = at + 1, end + 1
            elif _ESCAPED[data[at + 1]] >= 0:
                out[end] = _ESCAPED[data[at + 1]]
                at, end = at + 2, end + 1
            else:
                code, at = _code(data, at), at + 6
                if 0xD800 <= code < 0xDC00:
                    code, at = 0x10000 + ((code - 0xD800) << 10) + _code(data, at) - 0xDC00, at + 6
                end = _encode(code, out, end)
        ends[text + 1] = end
    return out[:end], ends


@njit(cache=True, nogil=True)
def _encode(code, out, end):  # type: ignore[no-untyped-def]
    """Writes a character as UTF-8; where it ends."""
    if code < 0x80:
        out[end] = code
        return end + 1
    size = 2 if code < 0x800 else 3 if code < 0x10000 else 4
    for place in range(size - 1, 0, -1):
        out[end + place] = 0x80 | (code & 0x3F)
        code >>= 6
    out[end] = (0xF00 >> size) & 0xFF | code
    return end + size
