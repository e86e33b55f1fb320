import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.errors import BadInput
from ft_assets.evaluation.statistics import perplexity_ratio, rate_difference, rate_interval, smallest_visible


def ids(count: int) -> list[str]:
    return [f"c{i}" for i in range(count)]


def test_the_estimate_is_the_mean_difference():
    interval = rate_difference([1, 1, 0, 1], [0, 1, 0, 0], [1, 1, 1, 1], ids(4))
    assert interval.estimate == 0.5
    assert (interval.n_clusters, interval.n_differing) == (4, 2)


def test_the_interval_of_a_large_sample_is_the_normal_one():
    differences = np.random.default_rng(7).normal(0.3, 1.0, 2_000)
    interval = rate_difference(differences, np.zeros(2_000), np.ones(2_000), ids(2_000))
    half = 1.96 * differences.std(ddof=1) / math.sqrt(2_000)
    assert interval.low == pytest.approx(differences.mean() - half, abs=0.003)
    assert interval.high == pytest.approx(differences.mean() + half, abs=0.003)


def test_a_two_cluster_bootstrap_has_its_known_percentiles():
    # Of two clusters, 0 and 1, a draw is 0, 0.5 or 1 with chances 1/4, 1/2, 1/4: both 2.5 % tails end at the extremes.
    interval = rate_difference([0, 1], [0, 0], [1, 1], ids(2))
    assert (interval.low, interval.estimate, interval.high) == (0.0, 0.5, 1.0)


def test_the_same_rows_in_another_order_give_the_same_interval():
    generator = np.random.default_rng(3)
    won, clusters = generator.integers(0, 2, 60), [f"c{i % 20:02d}" for i in range(60)]
    order = generator.permutation(60)
    straight = rate_difference(won, np.zeros(60), np.ones(60), clusters)
    shuffled = rate_difference(won[order], np.zeros(60), np.ones(60), [clusters[i] for i in order])
    assert straight == shuffled


def test_copies_of_a_row_in_one_cluster_add_no_certainty():
    won = np.random.default_rng(5).integers(0, 2, 40)
    single = rate_difference(won, np.zeros(40), np.ones(40), ids(40))
    tenfold = rate_difference(np.repeat(won, 10), np.zeros(400), np.ones(400), list(np.repeat(ids(40), 10)))
    assert (tenfold.low, tenfold.high) == (single.low, single.high)
    assert tenfold.smallest_visible == pytest.approx(single.smallest_visible)


def test_a_rate_weighs_rows_by_what_could_be_won():
    interval = rate_difference([9, 0], [0, 0], [9, 1], ids(2))
    assert interval.estimate == 0.9


def test_one_cluster_has_no_width_and_no_smallest_visible_difference():
    interval = rate_difference([1, 0, 1], [0, 0, 0], [1, 1, 1], ["c", "c", "c"])
    assert interval.low == interval.high == interval.estimate == pytest.approx(2 / 3)
    assert interval.smallest_visible is None


def test_equal_answers_differ_nowhere():
    interval = rate_difference([1, 0, 1], [1, 0, 1], [1, 1, 1], ids(3))
    assert (interval.estimate, interval.low, interval.high, interval.n_differing) == (0, 0, 0, 0)
    assert interval.smallest_visible is None


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_with_its_row(wrong: float):
    with pytest.raises(BadInput, match="row 1"):
        rate_difference([1, wrong], [0, 0], [1, 1], ids(2))


def test_no_rows_and_unequal_lengths_are_refused():
    with pytest.raises(BadInput):
        rate_difference([], [], [], [])
    with pytest.raises(BadInput):
        rate_difference([1, 2], [1], [1, 1], ids(2))


def test_the_perplexity_ratio_is_the_exponential_of_the_mean_loss_difference():
    ratio = perplexity_ratio([2.0, 4.0], [12.0, 24.0], [10, 20], ids(2))
    assert ratio.estimate == pytest.approx(math.exp(-1))
    assert ratio.low == pytest.approx(math.exp(-1))
    assert ratio.high == pytest.approx(math.exp(-1))


def test_the_perplexity_ratio_says_which_factor_it_could_have_seen():
    generator = np.random.default_rng(2)
    ours, theirs = generator.normal(10, 1, 100), generator.normal(10, 1, 100)
    ratio = perplexity_ratio(ours, theirs, np.full(100, 10.0), ids(100))
    assert ratio.low < 1 < ratio.high
    error = (ours - theirs).std(ddof=1) / 10 / 10
    assert ratio.smallest_visible == pytest.approx(math.exp(-2.801585 * error), rel=1e-6)


def test_the_smallest_visible_difference_is_the_textbook_one_for_single_rows():
    differences = np.array([1.0, 0.0, -1.0, 1.0, 0.0])
    expected = 2.801585 * differences.std(ddof=1) / math.sqrt(5)
    assert smallest_visible(differences, np.ones(5)) == pytest.approx(expected, rel=1e-6)


def test_a_difference_of_the_smallest_visible_size_is_found_four_times_in_five():
    generator = np.random.default_rng(11)
    size = 2.801585 * 0.5 / math.sqrt(100)
    found = 0
    for _ in range(200):
        differences = generator.normal(size, 0.5, 100)
        found += rate_difference(differences, np.zeros(100), np.ones(100), ids(100), resamples=1_000).low > 0
    assert 0.72 <= found / 200 <= 0.88


def test_a_rate_has_an_interval_of_its_own():
    interval = rate_interval([1, 1, 1, 0], [1, 1, 1, 1], ids(4))
    assert interval.estimate == 0.75
    assert interval.low < 0.75 < interval.high


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 5)), min_size=1, max_size=30))
def test_the_interval_holds_its_estimate_and_turns_round_with_the_sides(rows):
    won, other, groups = zip(*rows, strict=True)
    clusters, ones = [f"c{group}" for group in groups], np.ones(len(rows))
    forward = rate_difference(won, other, ones, clusters, resamples=500)
    backward = rate_difference(other, won, ones, clusters, resamples=500)
    assert -1 <= forward.low <= forward.high <= 1
    assert backward.estimate == pytest.approx(-forward.estimate, abs=1e-12)
    assert backward.low == pytest.approx(-forward.high, abs=1e-12)
