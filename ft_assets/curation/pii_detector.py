"""What a detector is: cheap signs, a pattern, a check in Python, and a trace that Polars finds in whole columns."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Span = tuple[int, int]
Check = Callable[[re.Match[str]], Span | None]
EDGE = r"(?<![A-Za-z0-9])"
BLANK = "[ \t\n\r\u00a0]"  # not \\s, which means one set of characters to Python and another to Rust

# Seven digits close together, or the core of a number with fewer. As every alternative begins with a digit, Rust skips
# from digit to digit, at a quarter of the cost of the numbers' own traces, and few texts go further.
DIGITS = (
    r"[0-9](?:[ .\-/()+\u00a0]{0,3}[0-9]){6}|[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]"  # most; IPv4
    r"|[0-9](?: ?[0-9]){5} ?[A-Da-d]|[0-9]{6}[-+A][0-9]{3}|[0-9]{4}[A-Z]"  # NINO; HETU; PAN
    r"|[0-9]{6}[HMX][A-Z]|[0-9]{2}[A-EHLMPRST][0-9L-NP-V]{2}[A-Z][0-9L-NP-V]"  # CURP; codice fiscale
)

# The same to Python's engine, which is slow at alternatives: what they all have.
_IN_DIGITS = re.compile(r"[0-9](?:[ .\-/()+\u00a0]{0,3}[0-9]){3}|[0-9]{2}[A-Z][0-9L-NP-V]{2}[A-Z]")

# Digits of other scripts (by the zero of Arabic, Persian, Devanagari, Bengali, Thai, full width) and other signs of
# numbers and addresses are read as their ASCII fellows, so that every rule holds for them, too.
_ZEROS = (0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50, 0xFF10)
_ASCII = {zero + digit: str(digit) for zero in _ZEROS for digit in range(10)} | str.maketrans(
    "\uff0b\uff0d\u2010\u2011\uff0e\uff20\uff1a\u2007\u2009\u202f", "+---.@:   "
)
_BETWEEN_DIGITS = "[0-9)][\u00a0\u2013][0-9(]"  # elsewhere these are too common to look at each text that has them
OTHER_SIGNS = "[" + "".join(map(chr, _ASCII)) + "]|" + _BETWEEN_DIGITS
_OTHER_SIGNS = re.compile(OTHER_SIGNS)
_NO_BREAK = re.compile("(?<=[0-9)])\u00a0(?=[0-9(])")
_EN_DASH = re.compile("(?<=[0-9)])\u2013(?=[0-9(])")


def in_ascii_signs(text: str) -> str:
    """The text, as long as before, with the digits of other scripts and the signs around digits written in ASCII."""
    if text.isascii() or not _OTHER_SIGNS.search(text):
        return text
    return _EN_DASH.sub("-", _NO_BREAK.sub(" ", text.translate(_ASCII)))


@dataclass
class Searched:
    """A text under search, with what several detectors ask of it."""

    text: str
    _lowered: str | None = None
    _hints: dict[re.Pattern[str], bool] = field(default_factory=dict)

    def has_any(self, signs: tuple[str, ...]) -> bool:
        """Whether one of the signs (lower case, ASCII) stands in the text, in whatever case."""
        if self._lowered is None:  # without other characters, because Python searches one-byte strings twice as fast
            self._lowered = self.text.lower().encode("ascii", "replace").decode("ascii")
        lowered = self._lowered
        for sign in signs:  # noqa: SIM110 (a generator under any() costs twice as much; this runs 30 times per text)
            if sign in lowered:
                return True
        return False

    def has(self, hint: re.Pattern[str]) -> bool:
        """Whether the hint matches somewhere; asked once per text."""
        if hint not in self._hints:
            self._hints[hint] = hint.search(self.text) is not None
        return self._hints[hint]


def whole(match: re.Match[str]) -> Span:
    """The group `secret` when the pattern names one, otherwise the whole match."""
    return match.span("secret") if "secret" in match.re.groupindex else match.span()


@dataclass(frozen=True)
class Detector:
    """Finds one kind. A text is searched when a sign (lower case, ASCII) stands in it and `hint` matches.

    `pattern` is linear in the text's length (bounded or possessive repeats only). `trace` is a regex in Rust's syntax
    that matches in every text in which the detector finds something: it may find more, but never less. What a detector
    `in_digits` finds always matches DIGITS as well.
    """

    kind: str
    pattern: re.Pattern[str]
    trace: str
    signs: tuple[str, ...] = ()
    hint: re.Pattern[str] | None = None
    check: Check = whole
    in_digits: bool = False

    def may_find(self, searched: Searched) -> bool:
        """False when the text lacks what every find of this detector has."""
        if self.in_digits and not searched.has(_IN_DIGITS):
            return False
        if self.signs and not searched.has_any(self.signs):
            return False
        return self.hint is None or searched.has(self.hint)

    def spans(self, searched: Searched) -> Iterator[Span]:
        """Where in the text this kind stands, from left to right, without overlaps; for texts in which it may be."""
        end = 0
        for match in self.pattern.finditer(searched.text):
            span = self.check(match)  # may reach beyond the match, so the next match can lie inside it
            if span and span[0] >= end:
                end = span[1]
                yield span
