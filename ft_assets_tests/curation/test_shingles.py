import re
from functools import cache

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.curation.shingles import Fingerprints, fingerprint, near

_WORD = re.compile(rb"[\xe3-\xed][\x80-\xbf]{2}|(?:[a-z0-9_]|[\x80-\xe2\xee-\xff][\x80-\xbf]*)+")
TEXTS = st.text(alphabet="abAB01_ .,\n\u00df\u00e9\u65e5\u672c\ud55c\u3042\uff21\U0001f642", max_size=60)


def words(text: str) -> list[bytes]:
    return _WORD.findall(re.sub(rb"[A-Z]", lambda found: found[0].lower(), text.encode()))


@cache
def grams(text: str) -> set[tuple[bytes, ...]]:
    said = words(text)
    return {tuple(said[at : at + 5]) for at in range(max(1, len(said) - 4))}


def similar(one: str, other: str) -> bool:
    a, b = grams(one), grams(other)
    return 5 * len(a & b) >= 4 * len(a | b)


def sets(found: Fingerprints, side: int) -> list[list[int]]:
    ends = found.offsets
    return [found.shingles[ends[2 * i + side] : ends[2 * i + side + 1]].tolist() for i in range(len(found))]


def of(prompts: list[str], answers: list[str]) -> Fingerprints:
    return fingerprint(pl.Series(prompts, dtype=pl.String), pl.Series(answers, dtype=pl.String))


def shingles(text: str) -> set[int]:
    return set(sets(of([""], [text]), 1)[0])


@settings(deadline=None, max_examples=200)
@given(TEXTS, TEXTS)
def test_shingles_are_shared_just_as_the_word_grams_are(one: str, other: str) -> None:
    a, b = shingles(one), shingles(other)
    assert (len(a), len(b)) == (len(grams(one)), len(grams(other)))
    assert len(a & b) == len(grams(one) & grams(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The quick, brown FOX!", "the quick brown fox"),
        ("", " .,;! \n"),
        ("\u65e5\u672c\u8a9e \u306e\u6587", "\u65e5 \u672c \u8a9e\u306e \u6587"),
        ("\ud55c\u56fdx", "\ud55c \u56fd X"),
    ],
)
def test_case_and_what_stands_between_words_do_not_count(one: str, other: str) -> None:
    assert shingles(one) == shingles(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a b c", "a b"),
        ("a b c d", "a b c d e"),
        ("", "a"),
        ("caf\u00e9", "cafe"),
        ("a_b", "a b"),
        ("a b c d e", "e d c b a"),
    ],
)
def test_what_words_there_are_and_in_which_order_counts(one: str, other: str) -> None:
    assert not shingles(one) & shingles(other)


def test_sets_ascend_without_repetitions_whatever_their_size() -> None:
    texts = ["a " * 100_000, " ".join(str(i % 977) for i in range(20_000)), "x" * 1_000_000, "\u6f22" * 5000]
    texts.append(" ".join(str(i) for i in range(5000)))
    found = sets(of(texts, texts[::-1]), 0)
    assert all(one == sorted(set(one)) for one in found)
    assert [len(one) for one in found] == [1, 977, 1, 1, 4996]


def test_a_slice_of_a_column_and_missing_texts_are_read_right() -> None:
    column = pl.concat([pl.Series(["zero", "one two three"]), pl.Series(["four five", None, ""])])
    found = fingerprint(column[1:], column[1:].reverse())
    assert sets(found, 0) == sets(of(["one two three", "four five", "", ""], [""] * 4), 0)
    assert sets(found, 1) == sets(of([""] * 4, ["", "", "four five", "one two three"]), 1)


def test_no_rows_have_no_fingerprints() -> None:
    found = of([], [])
    assert len(found) == 0 and found.offsets.tolist() == [0] and found.bands.shape == (20, 0)


@settings(deadline=None, max_examples=100)
@given(st.lists(TEXTS, min_size=2, max_size=2), st.lists(TEXTS, min_size=2, max_size=2))
def test_rows_are_near_when_both_sides_are_at_least_four_fifths_alike(prompts: list[str], answers: list[str]) -> None:
    found = of(prompts, answers)
    decided = near(found.shingles, found.offsets, 0, found.shingles, found.offsets, 1)
    assert decided == (similar(*prompts) and similar(*answers))


def test_the_border_of_four_fifths_is_inside() -> None:
    text = " ".join(f"w{i}" for i in range(13))  # 9 shingles
    more = text + " w13"  # 10 shingles, 9 shared: 0.9
    at_border = " ".join(f"w{i}" for i in range(12))  # 8 of 10: 0.8
    below = " ".join(f"w{i}" for i in range(11))  # 7 of 10
    found = of([more, text, at_border, below], ["yes"] * 4)
    shared = [near(found.shingles, found.offsets, 0, found.shingles, found.offsets, row) for row in range(4)]
    assert shared == [True, True, True, False]


def test_band_keys_meet_as_often_as_the_similarities_say() -> None:
    rng = np.random.default_rng(3)
    prompts, answers = [], []
    for _ in range(1500):  # of 54 shingles each, one replaced word in the middle takes 5 away: 49 / 59 = 0.83
        for side in (prompts, answers):
            said = [f"w{i}" for i in rng.integers(0, 1 << 40, 58)]
            edited = said.copy()
            edited[30] = "edited"
            side += [" ".join(said), " ".join(edited)]
    bands = of(prompts, answers).bands
    keys = np.empty(bands.shape, np.uint64)
    np.put_along_axis(keys, bands.astype(np.uint32).astype(np.int64), bands >> np.uint64(32), axis=1)
    met = keys[:, 0::2] == keys[:, 1::2]
    assert abs(met.mean() - (49 / 59) ** 6) < 0.015
    assert met.any(axis=0).mean() > 0.99


def test_a_common_answer_brings_rows_of_other_prompts_into_no_common_band() -> None:
    prompts = [f"question {i} about {i * 7919} and what {i * 104729} means to us in {i} days" for i in range(2000)]
    bands = of(prompts, ["I am sorry, but I can not help you with that request today."] * 2000).bands
    assert (np.diff(bands >> np.uint64(32)) == 0).mean() < 0.01
