import math
from typing import Any

from ft_assets.cluster.reaper import left_over

OVER_FOR = {"goes on": None, "just ended": 5.0, "ended": 100.0, "unknown": math.inf}


def job(name: str, run_id: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"dagster/run-id": run_id}, **metadata}}


def test_only_jobs_of_runs_that_are_over_for_a_while_are_left_over() -> None:
    jobs = [job(f"step of {run_id}", run_id) for run_id in OVER_FOR] + [job("another", "ended")]
    assert left_over(jobs, OVER_FOR.__getitem__, 60) == {
        "ended": ["another", "step of ended"],
        "unknown": ["step of unknown"],
    }


def test_jobs_of_others_and_jobs_that_are_being_deleted_are_left_alone() -> None:
    jobs = [{"metadata": {"name": "theirs"}}, job("ending", "ended", deletionTimestamp="2026-01-01T00:00:00Z")]
    assert left_over(jobs, OVER_FOR.__getitem__, 60) == {}
