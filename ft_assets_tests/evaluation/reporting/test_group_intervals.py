from collections.abc import Sequence

import pytest

from ft_assets.evaluation.metric import Answered, Metric, Points
from ft_assets.evaluation.reporting.group_intervals import group_intervals
from ft_assets_tests.evaluation.samples import answered


def share_right(rows: Sequence[Answered]) -> float | None:
    """As a figure of the whole group, so that its interval is known from the theory of shares."""
    return sum(row.prediction.answer == row.item.reference for row in rows) / len(rows) if rows else None


def no_points(rows: Sequence[Answered]) -> list[Points | None]:
    return [None for _ in rows]


SHARE = Metric("share", "rate", True, no_points, of_group=share_right)


def rows_of(right: int, count: int, cluster_size: int = 1) -> list[Answered]:
    return [
        answered(f"r{i:03d}", "yes" if i < right else "no", "yes", cluster_id=f"c{i // cluster_size:03d}")
        for i in range(count)
    ]


def test_the_interval_of_a_share_is_that_of_the_theory():
    found = group_intervals({"candidate": rows_of(60, 100)}, SHARE)["candidate"]
    assert found.estimate == 0.6
    assert (found.low, found.high) == pytest.approx((0.504, 0.696), abs=0.03)  # 0.6 -+ 1.96 sqrt(0.24 / 100)


def test_rows_of_one_cluster_count_once():
    single = group_intervals({"candidate": rows_of(60, 100)}, SHARE)["candidate"]
    tens = group_intervals({"candidate": rows_of(60, 100, cluster_size=10)}, SHARE)["candidate"]
    assert tens.high - tens.low > 2 * (single.high - single.low)


def test_a_difference_is_paired_so_that_equal_answers_have_none():
    found = group_intervals({"candidate": rows_of(60, 100), "base": rows_of(60, 100)}, SHARE)["candidate - base"]
    assert (found.estimate, found.low, found.high) == (0, 0, 0)


def test_a_metric_that_applies_to_nothing_has_no_interval():
    never = Metric("never", "rate", True, no_points, of_group=lambda rows: None)
    found = group_intervals({"candidate": rows_of(1, 2), "base": rows_of(1, 2)}, never)
    assert {(one.estimate, one.low, one.high) for one in found.values()} == {(None, None, None)}
    assert group_intervals({}, SHARE) == {}
