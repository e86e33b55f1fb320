import pytest

from ft_assets.dataset.expectations_limits import Expectations, HardFloor
from ft_assets.dataset.readiness import readiness_warnings, refuse_below_floor
from ft_assets.dataset.snapshot import SnapshotSummary
from ft_assets.errors import BadInput


def summary(train: int, eval_clusters: int = 80, **differs) -> SnapshotSummary:
    values = {
        "rows_by_side": {"train": train, "validation": 50, "eval": 100},
        "clusters_by_side": {"train": train, "validation": 50, "eval": eval_clusters},
        "rows_by_task": {},
        "drops": {"duplicate": 3},
        "coverage_gaps": {},
        "largest_cluster_share": 0.01,
        "human_verified_share": 0.3,
        **differs,
    }
    return SnapshotSummary.model_validate(values)


def test_a_snapshot_that_has_everything_warns_of_nothing():
    assert readiness_warnings(summary(10_000)) == []


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (summary(640), "640 train rows, 360 fewer than the recommended minimum of 1,000"),
        (summary(2_000), "2,000 train rows are enough for SFT; 10,000 would be ideal"),
        (summary(10_000, eval_clusters=10), "10 independent eval clusters, 40 fewer than the 50"),
        (summary(10_000, coverage_gaps={"code_generation": 0}), "code_generation has 0"),
        (summary(10_000, human_verified_share=0.012), "1.2% of the train rows are verified by a person"),
        (summary(10_000, largest_cluster_share=0.2), "20.0% of all rows"),
        (summary(10_000, rows_by_side={"train": 10_000, "validation": 0, "eval": 9}), "no validation row"),
    ],
)
def test_each_shortcoming_is_one_warning_with_its_numbers(snapshot, said):
    warnings = readiness_warnings(snapshot)
    assert len(warnings) == 1
    assert said in warnings[0]


def test_the_golden_set_supplies_missing_eval_clusters():
    assert readiness_warnings(summary(10_000, eval_clusters=10), 50, golden_clusters=40) == []


def test_the_hard_floor_stops():
    refuse_below_floor(summary(100), 100)
    with pytest.raises(BadInput, match=r"99 train rows, fewer than the hard floor of 100.*'duplicate': 3"):
        refuse_below_floor(summary(99), 100)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (300, "300 preference pairs, 700 fewer than the recommended minimum of 1,000 (5,000 is ideal)"),
        (2_000, "2,000 preference pairs are enough; 5,000 would be ideal"),
        (5_000, None),
        (None, None),
    ],
)
def test_preference_pairs_are_judged_where_the_line_learns_from_them(pairs, said):
    assert readiness_warnings(summary(10_000), preference_pairs=pairs) == ([said] if said else [])


def test_a_role_with_few_rows_is_a_gap_like_a_task():
    (warning,) = readiness_warnings(summary(10_000), role_gaps={"qa-engineer": 3})
    assert warning == "coverage gaps, fewer than 20 train rows: qa-engineer has 3"


def test_the_thresholds_are_the_lines_own():
    limits = Expectations(sft_minimum=100, sft_ideal=200, least_human_verified_share=0.5)
    (warning,) = readiness_warnings(summary(200), limits=limits)
    assert "30.0% of the train rows are verified by a person, less than 50%" in warning


@pytest.mark.parametrize(
    ("floor", "said"),
    [
        (HardFloor(eval_clusters=100), "90 independent eval clusters of 100"),
        (HardFloor(preference_pairs=1_000), "7 preference pairs of 1,000"),
        (HardFloor(human_verified_share=0.5), "30.0% human-verified train rows of 50.0%"),
    ],
)
def test_the_configured_floor_stops_and_names_its_knob(floor, said):
    refuse_below_floor(summary(100), 100, HardFloor(), preference_pairs=7, golden_clusters=10)
    with pytest.raises(BadInput, match=rf"{said}.*expectations\.hard_floor"):
        refuse_below_floor(summary(100), 100, floor, preference_pairs=7, golden_clusters=10)
