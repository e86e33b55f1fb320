import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.spreadsheet_cells import guarded, guarded_id, unguarded, unguarded_id

ODD = st.text(alphabet="'=+-@\t\r\na1m ", max_size=8)


@settings(max_examples=60, deadline=None)
@given(ODD)
def test_what_was_guarded_comes_back_to_the_letter_and_begins_no_formula(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert unguarded_id(guarded_id(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("name", ["0012", "1e5", "5-3", "mar-5", "TRUE", "=1+1", "'7", "550e8400-e29b"])
def test_an_id_that_a_spreadsheet_would_change_is_guarded(name: str) -> None:
    assert guarded_id(name) == f"'{name}"


@pytest.mark.parametrize("text", ["log-00123", "Why does it fail?", "'quoted'", "", "it's"])
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert guarded(text) == unguarded(text) == text
