import pytest

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
