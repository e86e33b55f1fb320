import re
import sys
import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ft_assets.curation.normalise import MAX_COMBINING_MARKS, SETTLED, may_need_normalising, normalise_text


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("cafe\u0301", "caf\u00e9"),
        ("in\u200bvi\ufeffsi\u00adble\u2060", "invisible"),
        ("nul\x00 bell\x07 delete\x7f c1\x9b", "nul bell delete c1"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("access = \u202euser\u202c", "access = user"),
        ("bob\u200d@example.com", "bob@example.com"),
        ("trailing  \t\nblanks \n\n\n", "trailing\nblanks"),
        ("\n\n  first line", "  first line"),
        (" \t ", ""),
        ("", ""),
        ("plain", "plain"),
    ],
)
def test_a_text_has_one_spelling(text: str, normalised: str) -> None:
    assert normalise_text(text) == normalised


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    if x:\n\treturn x\n\n\n    return 0",
        "    leading blanks of the first line",
        "\U0001f469\u200d\U0001f4bb and \u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "half\u00a0fixed\u3000spaces",
        "a\n\n\nb",
    ],
)
def test_code_scripts_and_emoji_stay_as_they_are(text: str) -> None:
    assert normalise_text(text) == text


def test_a_flood_of_combining_marks_is_cut_and_finishes() -> None:
    flood = "a" + "\u0301\u0323" * 100_000  # plain NFC takes minutes on this
    assert len(normalise_text(flood)) <= MAX_COMBINING_MARKS + 1


@pytest.mark.parametrize("unit", [" ", "\t \n", "\u200d", "\u200d\u0301", "\u00e9\u0301", "\r\n", "\x1b["])
def test_text_made_to_take_long_finishes(unit: str) -> None:
    normalise_text(unit * (200_000 // len(unit)) + "x")


@given(st.text() | st.text(alphabet="a\u0301\u0323\u200d\u200b\u212a \t\n\r\x1b[0m\u0344\u00e9"))
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    once = normalise_text(text)
    assert normalise_text(once) == once


MIXED = st.text(
    alphabet="ab \t\n\u00a0\u3000\u2003\u00e9\u0301\u0323\u200d\u200b\u212a\r\x1b\x85\u4e2d"
    "\u0915\u093c\u1112\u1161\u11ab\uac00\u0627\u0653"
)


@given(st.lists(st.text() | MIXED, min_size=1, max_size=10))
def test_a_text_that_may_stay_stays(texts: list[str]) -> None:
    for text, may in zip(texts, may_need_normalising(pl.Series(texts)), strict=True):
        assert may or normalise_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "plain\n\n  indented\n\tcode",
        "Straße, café, naïve – “quoted” … 20 € \u00a0x",
        "Привет, мир. Γειά σου. שלום. مرحبا",
        "请联系我们。テキストです。한국어",
        "done \U0001f642\ufe0f",
    ],
)
def test_ordinary_texts_of_many_languages_are_not_looked_at(text: str) -> None:
    assert not may_need_normalising(pl.Series([text]))[0]
    assert normalise_text(text) == text


def test_nothing_is_not_looked_at() -> None:
    assert may_need_normalising(pl.Series([None, ""], dtype=pl.String)).to_list() == [False, False]


def test_settled_characters_are_in_nfc_and_nothing_composes_with_them() -> None:
    settled = re.compile(f"[{SETTLED}]")
    composing = {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}  # vowels and ends of Hangul
    for code in range(sys.maxunicode + 1):
        parts = unicodedata.decomposition(chr(code)).split()
        composing |= {chr(int(parts[1], 16))} if len(parts) == 2 and not parts[0].startswith("<") else set()
    for character in map(chr, range(sys.maxunicode + 1)):
        if settled.match(character):
            assert unicodedata.is_normalized("NFC", character) and not unicodedata.combining(character), hex(
                ord(character)
            )
            assert character not in composing, hex(ord(character))
            assert normalise_text(f"a{character}a") == f"a{character}a", hex(ord(character))
