"""The first looks miss nothing that the expressions behind them find."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.curation.byte_scans import is_plain_ascii, may_hold_digits
from ft_assets.curation.normalise import UNNORMAL
from ft_assets.curation.pii_detector import DIGITS

NUMBERS = st.text(st.sampled_from("0123456789 .-/()+\u00a0ABHMXax\u00e9,"), max_size=24)
LINES = st.text(st.sampled_from("ab \t\n\r\x00\x7f~!\u00e9\u3000"), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=40))
def test_a_text_that_the_expression_for_numbers_finds_is_never_passed_over(texts: list[str]) -> None:
    column = pl.Series(texts)
    assert not (column.str.contains(DIGITS) & ~may_hold_digits(column)).any()


def test_text_without_numbers_is_passed_over() -> None:
    texts = ["The 3 of us met at 10 to talk about version 2.1 of the API.", "1,234 rows", "", "in 2026, on 5 May"]
    assert not may_hold_digits(pl.Series(texts)).any()


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=40))
def test_plain_ascii_is_exactly_what_the_expression_of_normalising_does_not_match(texts: list[str]) -> None:
    column = pl.Series(texts)
    expected = [text.isascii() and not found for text, found in zip(texts, column.str.contains(UNNORMAL), strict=True)]
    assert is_plain_ascii(column).to_list() == expected
