import re
import unicodedata

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.dataset import similarity
from ft_assets.dataset.texts import (
    NOT_SURELY_NFKC,
    TURNS,
    Texts,
    Words,
    comparable,
    comparable_text,
    fingerprints_of,
    turns_of,
    whole_keys,
    words_of,
)

SENTENCES = st.lists(st.sampled_from(["alpha", "beta", "gamma", "one", "two", "Four_5", "über"]), max_size=40)
SLOW = settings(max_examples=60, deadline=None)


def conversations(*texts: str) -> pl.Series:
    """Each text as one user turn."""
    return pl.Series([[{"role": "user", "content": text}] for text in texts], dtype=TURNS)


def words(*texts: str) -> Words:
    return words_of(turns_of(conversations(*texts)))


def test_words_are_compared_without_case_and_signs():
    found = words("Is foo_bar a Bug?", "is, FOO_BAR: a bug")
    assert found.counts.tolist() == [4, 4]
    assert (found.of(0) == found.of(1)).all()


def test_each_character_of_a_script_without_spaces_is_a_word():
    assert words("日本語 x", "한국", "über naïve", "a日b").counts.tolist() == [4, 2, 2, 3]


@SLOW
@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=6))
def test_any_text_has_as_many_words_as_a_plain_count_gives(texts):
    ascii_texts = [text.encode("ascii", "ignore").decode() for text in texts]
    expected = [len(re.findall(r"[A-Za-z0-9_]+", text)) for text in ascii_texts]
    assert words(*ascii_texts).counts.tolist() == expected
    words(*texts)  # whatever Unicode holds, it does not raise


@SLOW
@given(one=SENTENCES, other=SENTENCES)
def test_jaccard_and_coverage_are_those_of_sets(one, other):
    found = words(" ".join(one), " ".join(other))
    sets = [{tuple(text[i : i + 3]) for i in range(len(text) - 2)} for text in (one, other)]
    shared = sets[0] & sets[1]
    starts = [i for i in range(len(one) - 2) if tuple(one[i : i + 3]) in shared]
    covered = {place for start in starts for place in range(start, start + 3)}
    own = np.ones(len(found.hashes), np.bool_)
    shares = similarity.similarities(
        np.array([1]), np.array([0]), found.hashes, found.starts, found.hashes, found.starts,
        np.array([0, 0]), own, np.array([13, 3]),
    )[0]  # fmt: skip
    assert np.isclose(shares[2], len(shared) / max(1, len(sets[0] | sets[1])))
    assert np.isclose(shares[3], len(covered) / max(1, len(one)))


@SLOW
@given(before=SENTENCES, shared=st.lists(st.integers(0, 99), min_size=8, max_size=20), after=SENTENCES)
def test_texts_that_share_eight_words_share_a_fingerprint(before, shared, after):
    run = " ".join(f"w{number}" for number in shared)
    hashes, _, bounds = fingerprints_of(words(run, f"{' '.join(before)} {run} {' '.join(after)}"))
    assert set(hashes[: bounds[1]].tolist()) & set(hashes[bounds[1] :].tolist())


def test_a_whole_text_is_the_same_in_another_case_spacing_and_unicode_form():
    spellings = ["Fine, the café opens.", "FINE,  the\ncafe\u0301 opens. ", "\ufb01ne, the\u00a0ca\uff46é opens."]
    assert len(set(whole_keys(conversations(*spellings)).tolist())) == 1
    assert len(set(whole_keys(conversations("2+2", "2-2", "22")).tolist())) == 3


def test_a_system_turn_changes_no_key_and_no_word():
    plain = [{"role": "user", "content": "q w"}, {"role": "assistant", "content": "a"}]
    messages = pl.Series([plain, [{"role": "system", "content": "Be kind."}, *plain]], dtype=TURNS)
    texts, found = Texts.of(messages), words_of(turns_of(messages))
    assert (texts.said[: texts.said_bounds[1]] == texts.said[texts.said_bounds[1] :]).all()
    assert (found.counts.tolist(), found.prompts.tolist()) == ([3, 3], [2, 2])


def test_a_row_replies_to_everything_that_stood_before_an_answer():
    said = [("user", "q1"), ("assistant", "a1"), ("user", "q2"), ("assistant", "a2")]
    turns = [{"role": role, "content": content} for role, content in said]
    texts = Texts.of(pl.Series([turns, turns[:2], turns[2:]], dtype=TURNS))
    long, first, second = (texts.said[texts.said_bounds[row] : texts.said_bounds[row + 1]].tolist() for row in range(3))
    assert {first[-2], second[-3]} <= set(long)  # the first prompt; the second question with its answer
    assert second[-2] not in long  # in the conversation, the second question was asked after the first


def test_texts_are_the_same_whatever_the_size_of_a_slice(monkeypatch):
    messages = conversations(*(f"text {number} of many, the café" for number in range(7)))
    whole = Texts.of(messages)
    monkeypatch.setattr("ft_assets.dataset.texts.SLICE_ROWS", 3)
    parts = Texts.of(messages)
    for name in ("said", "said_bounds", "fingerprints", "fingerprint_bounds"):
        assert (getattr(whole, name) == getattr(parts, name)).all()


def test_characters_that_are_not_normalised_would_not_have_changed():
    every = pl.Series([chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000])
    left_alone = every.filter(~every.str.contains(NOT_SURELY_NFKC))
    assert left_alone.len() > 30_000
    together = "".join(left_alone)  # beside each other as well
    assert unicodedata.normalize("NFKC", together) == together


@SLOW
@given(text=st.text(max_size=80))
def test_a_column_is_compared_as_a_single_text_is(text):
    assert comparable_text(comparable(pl.Series([text]))[0]) == comparable_text(text)


def test_no_rows_and_empty_turns_are_nothing_to_compare():
    assert whole_keys(conversations()).tolist() == []
    assert words("", " \n").counts.tolist() == [0, 0]
    assert Texts.of(conversations()).rows == 0
