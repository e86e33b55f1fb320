import pytest

from ft_assets.evaluation.judging.position_bias import mean_share


def test_the_interval_is_that_of_agresti_and_min():
    # 100 pairs: 12 for one, 4 for the other. Shrunk by two pairs: 8 / 102, variance (16 + 1) / 102 - (8 / 102) ^ 2.
    share = mean_share([(f"c{at}", 1.0 if at < 12 else -1.0 if at < 16 else 0.0) for at in range(100)])
    margin = 1.959964 * ((17 / 102 - (8 / 102) ** 2) / 102) ** 0.5
    assert share.estimate == pytest.approx(0.08)
    assert (share.low, share.high) == (pytest.approx(8 / 102 - margin), pytest.approx(8 / 102 + margin))


def test_values_that_are_all_alike_keep_an_interval_that_shrinks_with_their_number():
    few, many = mean_share([(str(at), 1.0) for at in range(5)]), mean_share([(str(at), 1.0) for at in range(500)])
    assert few.estimate == many.estimate == few.high == 1.0
    assert 0 < few.low < 0.5 < 0.98 < many.low < 1
    none = mean_share([(str(at), 0.0) for at in range(50)])
    assert none.low == -none.high and 0 < none.high < 0.06


def test_a_cluster_counts_once():
    share = mean_share([("big", 1.0)] * 50 + [("small", -1.0)])
    assert (share.estimate, share.clusters) == (0.0, 2)


def test_there_is_no_mean_of_nothing():
    with pytest.raises(ValueError, match="no values"):
        mean_share([])
