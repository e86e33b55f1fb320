"""The rule by itself: what starts a run, what delays it, and what each answer says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ft_assets.retraining.decision import Situation, Spent, Start, Wait, decide, next_month
from ft_assets.retraining.drift import RatingFall, Ratings
from ft_assets.specializations.specialization import Drift, Trigger

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
AT = Situation("qa", new=100, eligible=400, threshold=100, told="qa 73 of 100: 12 duplicates")
FELL = RatingFall(Ratings(400, 4.4, 0.3), Ratings(100, 3.9, 0.4), days=7, least_fall=0.3, least_ratings=50)


def why(situation: Situation, **trigger: object) -> str:
    decided = decide(situation, Trigger(**trigger), NOW)
    assert isinstance(decided, Start)
    return decided.why


def wait(situation: Situation, **trigger: object) -> Wait:
    decided = decide(situation, Trigger(**trigger), NOW)
    assert isinstance(decided, Wait)
    return decided


def test_99_start_nothing_and_100_start_a_run():
    assert why(AT) == "new examples"
    assert wait(replace(AT, new=99)) == Wait("qa 73 of 100: 12 duplicates")


def test_too_few_rows_in_all_are_told_with_both_numbers():
    assert wait(replace(AT, eligible=120), minimum_examples=500).reason == (
        "qa has 120 train rows, minimum_examples is 500"
    )


def test_a_cooldown_tells_how_long_it_lasts_and_ends():
    trained = replace(AT, last_trained=NOW - timedelta(hours=5))
    waiting = wait(trained, cooldown_hours=24)
    assert waiting.until == NOW + timedelta(hours=19)
    assert "trained 5.0 h ago, cooldown_hours is 24, so it starts after 2026-03-11 07:00 UTC" in waiting.reason
    assert why(trained, cooldown_hours=5) == why(AT, cooldown_hours=24) == "new examples"


def test_a_spent_budget_waits_for_the_next_month():
    spent = replace(AT, spent=Spent(4, 80.5))
    assert why(spent, runs_per_month=5, dollars_per_month=81) == "new examples"
    runs, dollars = wait(spent, runs_per_month=4), wait(spent, dollars_per_month=80)
    assert runs.until == dollars.until == datetime(2026, 4, 1, tzinfo=UTC)
    assert "4 runs this month, those that failed included, of 4" in runs.reason
    assert "80.50 dollars this month, failed runs included, of 80.00" in dollars.reason


def test_a_budget_in_dollars_that_nobody_can_count_starts_nothing():
    assert "compute.dollars_per_gpu_hour is not" in wait(replace(AT, spent=Spent(1)), dollars_per_month=100).reason


def test_who_does_not_know_the_runs_leaves_the_budget_out():
    assert why(AT, dollars_per_month=100, runs_per_month=1) == "new examples"


def test_the_next_month_of_december_is_january():
    assert next_month(datetime(2026, 12, 31, 23, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)


def test_falling_ratings_start_a_run_when_anything_is_new():
    fell = replace(AT, new=1, ratings=FELL)
    assert why(fell, drift=Drift()) == "falling ratings"
    told = wait(replace(fell, new=0), drift=Drift()).reason
    assert "was 4.40 (400 answers) and is 3.90 in the last 7 days (100): a fall of 0.50 give or take 0.07" in told


@pytest.mark.parametrize(
    "lately",
    [Ratings(49, 3.0, 0.4), Ratings(100, 4.15, 0.4), Ratings(60, 4.0, 9.0), Ratings(100, 4.9, 0.4), Ratings(0, 0, 0)],
    ids=["too few", "too little", "within chance", "rising", "none"],
)
def test_what_is_no_drift_starts_nothing(lately: Ratings):
    assert not replace(FELL, lately=lately).is_drift
    assert wait(replace(AT, new=1, ratings=replace(FELL, lately=lately)), drift=Drift()).reason


def test_a_tainted_champion_is_replaced_without_a_new_row_and_without_a_cooldown_but_not_for_money_that_is_not_there():
    tainted = replace(AT, new=0, tainted="qa: its champion is tainted (rows of a forgotten user)", last_trained=NOW)
    assert why(tainted, cooldown_hours=48) == "tainted model"
    assert "its budget is spent" in wait(replace(tainted, spent=Spent(9)), runs_per_month=9).reason
    assert "minimum_examples" in wait(replace(tainted, eligible=3)).reason
