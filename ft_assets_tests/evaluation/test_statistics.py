import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binomtest, norm

from ft_assets.errors import BadInput
from ft_assets.evaluation.deciding.bootstrap_bounds import bounds, share_at_most
from ft_assets.evaluation.deciding.gate_simulation import rare_large_losses
from ft_assets.evaluation.deciding.sign_flip import sign_flip
from ft_assets.evaluation.statistics import (
    differences,
    exact_mcnemar,
    holm,
    interval,
    perplexity_ratio,
    rate_difference,
    rate_interval,
    relative_differences,
    smallest_visible,
    standard_error,
    superiority_p_value,
)


def drawn_figures(gains, sizes, worst: float, draws: int = 30_000):
    """The bootstrap as it is defined, with real draws: exponential weights, and the worst cluster added."""
    generator = np.random.default_rng(11)
    weights = generator.standard_exponential((draws, len(gains) + 1))
    all_gains, all_sizes = np.append(gains, worst * sizes.mean()), np.append(sizes, sizes.mean())
    return (weights @ all_gains) / (weights @ all_sizes)


@pytest.mark.parametrize(
    ("gains", "sizes"),
    [
        (np.r_[np.ones(12), -np.ones(4), np.zeros(44)], np.ones(60)),
        (np.r_[np.ones(6), np.zeros(54)], np.ones(60)),
        (np.random.default_rng(1).normal(0.05, 0.2, 80), np.ones(80)),
        (np.random.default_rng(2).integers(-3, 5, 50).astype(float), np.random.default_rng(3).integers(3, 9, 50) * 1.0),
        (np.r_[np.full(48, 0.02), -0.6, -0.7], np.ones(50)),
        (np.zeros(50), np.ones(50)),
    ],
)
def test_the_computed_bounds_are_those_of_real_draws(gains, sizes):
    drawn = drawn_figures(gains, sizes, -1.0)
    for level in (0.025, 0.05):
        low, high = bounds(gains, sizes, -1.0, 1.0, level)
        assert (drawn <= low).mean() == pytest.approx(level, rel=0.15)
        assert share_at_most(low, gains, sizes, -1.0) == pytest.approx(level, rel=0.02)
        assert (drawn_figures(gains, sizes, 1.0) >= high).mean() == pytest.approx(level, rel=0.15)


@pytest.mark.parametrize(("right", "asked"), [(9, 20), (50, 60), (3, 100), (0, 30), (30, 30)])
def test_the_bounds_of_a_rate_of_single_rows_are_clopper_and_pearsons(right: int, asked: int):
    found = rate_interval([1] * right + [0] * (asked - right), [1] * asked, range(asked))
    assert found.low == pytest.approx(beta.ppf(0.025, right, asked - right + 1) if right else 0.0, abs=0.001)
    assert found.high == pytest.approx(beta.ppf(0.975, right + 1, asked - right) if right < asked else 1.0, abs=0.001)


@pytest.mark.parametrize(("wins", "losses"), [(6, 0), (12, 4), (4, 12), (30, 15), (0, 3), (0, 0)])
def test_mcnemar_is_the_exact_binomial_and_the_bootstrap_agrees_with_it(wins: int, losses: int):
    exact = binomtest(wins, wins + losses, alternative="greater").pvalue if wins + losses else 1.0
    assert exact_mcnemar(wins, losses) == pytest.approx(exact)
    gains = np.r_[np.ones(wins), -np.ones(losses), np.zeros(40)]
    assert sign_flip(gains) == pytest.approx(exact)
    assert share_at_most(0.0, gains, np.ones(len(gains)), -1.0) == pytest.approx(exact, rel=0.04, abs=1e-9)


def test_the_sign_flip_test_counts_all_flips():
    values = np.array([3.0, -1.0, 2.0, 2.0, 0.0, 1.0, 4.0])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 7)).reshape(7, -1)
    assert sign_flip(values) == pytest.approx((signs.T @ np.abs(values) >= values.sum()).mean())
    assert sign_flip(-values) == pytest.approx((signs.T @ np.abs(values) >= -values.sum()).mean())
    assert sign_flip(np.zeros(5)) == 1.0


def test_the_sign_flip_test_of_fractions_agrees_with_drawn_signs():
    values = np.random.default_rng(5).normal(0.03, 0.2, 60)
    signs = np.random.default_rng(6).choice([-1.0, 1.0], (20_000, 60))
    assert sign_flip(values) == pytest.approx((signs @ np.abs(values) >= values.sum()).mean(), abs=0.015)
    large = np.random.default_rng(7).normal(0.05, 1.0, 5_000)
    assert sign_flip(large) == pytest.approx(norm.sf(large.sum() / math.sqrt(float(large @ large))), rel=0.05)


def test_rows_of_one_cluster_count_once():
    won = np.random.default_rng(5).integers(0, 2, 40)
    single = rate_difference(won, np.zeros(40), np.ones(40), range(40))
    tenfold = rate_difference(np.repeat(won, 10), np.zeros(400), np.ones(400), np.repeat(np.arange(40), 10))
    assert (tenfold.low, tenfold.high) == pytest.approx((single.low, single.high))
    ten = differences(np.repeat(won, 10), np.zeros(400), np.ones(400), np.repeat(np.arange(40), 10))
    assert not ten.is_paired_binary
    assert superiority_p_value(ten) >= 0.5 ** won.sum() * 0.99


def test_mcnemar_is_used_only_with_one_whole_point_per_cluster():
    assert differences([1, 0], [0, 0], [1, 1], ["a", "b"]).is_paired_binary
    assert not differences([1, 0], [0, 0], [1, 1], ["a", "a"]).is_paired_binary
    assert not differences([0.5, 0], [0, 0], [1, 1], ["a", "b"]).is_paired_binary
    assert not differences([1, 0], [0, 0], [1, 2], ["a", "b"]).is_paired_binary


def test_many_small_gains_with_rare_large_losses_are_no_progress():
    """A percentile bootstrap calls a third of these equal models better, a sign-flip test alone does, too."""
    generator, called, flipped = np.random.default_rng(4), 0, 0
    for _ in range(120):
        points = rare_large_losses(50, 0.5, 0.02, generator)
        data = differences(points.candidate, points.other, points.possible, points.clusters)
        called += superiority_p_value(data) <= 0.025
        flipped += sign_flip(data.gains) <= 0.025
    assert called <= 2
    assert flipped > 30


def test_holm_takes_the_smallest_first_and_stops_at_the_first_miss():
    assert holm([0.01, 0.04, 0.03], 0.05) == [True, False, False]
    assert holm([0.01, 0.02, 0.03], 0.05) == [True, True, True]
    assert holm([0.02, 0.04, 0.001], 0.05) == [True, True, True]
    assert holm([0.02], 0.025) == [True]
    assert holm([], 0.05) == []


def test_the_smallest_visible_difference_is_seen_in_four_of_five_cases():
    generator, seen, runs = np.random.default_rng(8), 0, 400
    gains = generator.choice([1.0, 0.0, -1.0], 300, p=[0.1, 0.8, 0.1])
    visible = smallest_visible(gains, np.ones(300))
    assert visible is not None
    for _ in range(runs):
        drawn = generator.choice([1, 0, -1], 300, p=[0.1 + visible / 2, 0.8, 0.1 - visible / 2])
        seen += exact_mcnemar(int((drawn > 0).sum()), int((drawn < 0).sum())) <= 0.025
    assert 0.70 < seen / runs < 0.90


def test_where_nothing_differs_the_smallest_visible_difference_is_that_of_six_wins():
    visible = smallest_visible(np.zeros(100), np.ones(100))
    assert visible == pytest.approx(7.9 / 100, abs=0.001)
    assert smallest_visible(np.ones(1), np.ones(1)) is None


def test_the_standard_error_of_single_rows_is_the_usual_one():
    gains = np.random.default_rng(9).normal(0, 1, 100)
    assert standard_error(gains, np.ones(100)) == pytest.approx(gains.std(ddof=1) / 10)


def test_a_relative_difference_is_a_share_of_the_other():
    data = relative_differences([90, 110], [100, 100], [1, 1], ["a", "b"])
    assert data.estimate == 0.0
    assert relative_differences([110, 110], [100, 100], [1, 1], ["a", "b"]).estimate == pytest.approx(0.1)
    with pytest.raises(BadInput, match="relative: false"):
        relative_differences([1], [0], [1], ["a"])


def test_the_perplexity_ratio_is_the_exponential_of_the_mean_loss_difference():
    ratio = perplexity_ratio([2.0, 4.0], [12.0, 24.0], [10, 20], ["a", "b"])
    assert ratio.estimate == pytest.approx(math.exp(-1))
    assert ratio.low <= ratio.estimate <= ratio.high


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_with_its_row(wrong: float):
    with pytest.raises(BadInput, match="row 1"):
        rate_difference([1, wrong], [0, 0], [1, 1], ["a", "b"])


def test_no_rows_unequal_lengths_and_nothing_possible_are_refused():
    for bad in (([], [], [], []), ([1, 2], [1], [1, 1], ["a", "b"]), ([0], [0], [0], ["a"])):
        with pytest.raises(BadInput):
            rate_difference(*bad)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40), st.randoms()
)
def test_any_rows_in_any_order_give_ordered_bounds_within_what_is_possible(rows, random):
    def of(some):
        return rate_difference([r[1] for r in some], [r[2] for r in some], [4] * len(some), [f"c{r[0]}" for r in some])

    found = of(rows)
    assert -1.0 <= found.low <= found.estimate <= found.high <= 1.0
    shuffled = random.sample(rows, len(rows))
    assert of(shuffled) == found


def test_the_same_rows_give_the_same_bounds_with_names_and_with_numbers():
    won, clusters = np.random.default_rng(3).integers(0, 2, 60), np.arange(60) % 20
    named = rate_difference(won, np.zeros(60), np.ones(60), [f"c{i:02d}" for i in clusters])
    assert named == rate_difference(won, np.zeros(60), np.ones(60), clusters)
    assert interval(differences(won, np.zeros(60), np.ones(60), clusters), 0.05).low > named.low
