"""One spelling of a text, so that equal texts are equal bytes and nothing invisible is learned. Indentation stays."""

import re
import unicodedata

MAX_COMBINING_MARKS = 30  # in a row, as Unicode's stream-safe format; longer runs make normalisation quadratic
_LINE_END = re.compile("\r\n?|[\u2028\u2029\u0085]")
_TERMINAL_COLOUR = re.compile(r"\x1b\[[0-9;?]{0,32}[A-Za-z]")
# Control characters but tab and line feed; soft hyphen; zero-width space, marks and embeddings of direction (which can
# make code read otherwise than it runs), word joiner, byte order mark; tag characters, which can hide whole sentences.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# Joiners belong between letters of some scripts and inside emoji; beside ASCII they only hide.
_STRAY_JOINER = re.compile("(?<![^\x00-\x7f])[\u200c\u200d]+|[\u200c\u200d]+(?![^\x00-\x7f])")


def normalise_text(text: str) -> str:
    """The text in NFC with LF line ends, without invisible characters, trailing blanks and blank lines at both ends.

    Blanks at the start of lines and blank lines inside stay: they are meaning in code. Twice changes nothing more.
    """
    text = _INVISIBLE.sub("", _TERMINAL_COLOUR.sub("", _LINE_END.sub("\n", text)))
    if not text.isascii():
        text = _compose(text)
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def _compose(text: str) -> str:
    """NFC without stray joiners, until neither changes the other's result: seldom more than two rounds."""
    while (composed := unicodedata.normalize("NFC", _limit_combining_marks(_STRAY_JOINER.sub("", text)))) != text:
        text = composed
    return text


def _limit_combining_marks(text: str) -> str:
    run = 0
    kept = []
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run <= MAX_COMBINING_MARKS:
            kept.append(character)
    return "".join(kept)
