"""One spelling of a text, so that equal texts are equal bytes and nothing invisible is learned. Indentation stays."""

import re
import unicodedata

import polars as pl

from ft_assets.curation.byte_scans import is_plain_ascii

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

# Visible characters that stay as they are in NFC whatever stands beside them: letters of Latin, Greek, Cyrillic, Hebrew
# and Arabic, Thai, Chinese, Japanese and Korean, punctuation, signs, emoji. A test holds each against unicodedata.
SETTLED = (
    "\t\n\x20-\x7e\u00a0-\u00ac\u00ae-\u02ff\u0370-\u0373\u0375-\u0377\u037b-\u037d\u037f\u0384-\u0386\u0388-\u038a\u038c"
    "\u038e-\u03a1\u03a3-\u03ff\u0400-\u0482\u048a-\u052f\u05d0-\u05ea\u060c\u061b\u061f-\u064a\u0660-\u066f\u0671-\u06d5"
    "\u06f0-\u06ff\u0e01-\u0e37\u0e3f-\u0e47\u0e4f-\u0e59\u2010-\u2027\u2030-\u205e\u2070\u2071\u2074-\u208e\u20a0-\u20bf"
    "\u2100-\u2125\u2127-\u2129\u212c-\u218b\u2190-\u2328\u232b-\u2426\u2460-\u2adb\u2add-\u2b73\u3000-\u3029\u3030-\u303e"
    "\u3041-\u3096\u309b-\u30ff\u3131-\u318e\u3200-\u321e\u3220-\u9ffc\uac00-\ud7a3\ufe0f\ufe30-\ufe52\uff01-\uffbe"
    "\U0001f000-\U0001f02b\U0001f100-\U0001f1ff\U0001f300-\U0001f6d7\U0001f900-\U0001f9ff\U00020000-\U0002a6dd"
)
_FLOOD = re.compile(f"[^{SETTLED}]{{{MAX_COMBINING_MARKS + 1}}}")  # no combining mark is settled
_BLANKS = "[ \t\u00a0\u3000]"  # the blanks among the settled characters
UNNORMAL = f"[^{SETTLED}]|{_BLANKS}\n|{_BLANKS}$|^\n|\n$"


def may_need_normalising(texts: pl.Series) -> pl.Series:
    """Boolean, one per text: False says for certain that `normalise_text` changes nothing; null counts as empty."""
    texts = texts.fill_null("")
    others = (~is_plain_ascii(texts)).arg_true()
    found = pl.repeat(False, len(texts), dtype=pl.Boolean, eager=True)
    return found.scatter(others, texts.gather(others).str.contains(UNNORMAL)) if len(others) else found


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
    while (composed := _composed_once(text)) != text:
        text = composed
    return text


def _composed_once(text: str) -> str:
    if "\u200c" in text or "\u200d" in text:
        text = _STRAY_JOINER.sub("", text)
    if _FLOOD.search(text):
        text = _limit_combining_marks(text)
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def _limit_combining_marks(text: str) -> str:
    run = 0
    kept = []
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run <= MAX_COMBINING_MARKS:
            kept.append(character)
    return "".join(kept)
