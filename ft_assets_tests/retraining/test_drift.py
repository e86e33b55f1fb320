"""The champion's ratings, from the table of what was logged and from feedback that came later."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ft_assets.lake import Lake
from ft_assets.retraining.drift import RatingFall, rating_fall
from ft_assets.specializations.specialization import Drift

NOW = datetime(2026, 3, 20, tzinfo=UTC)
RAW = {
    "interaction_id": pl.String,
    "day": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "model_version": pl.String,
    "rating": pl.Float64,
}
SAID = {**dict.fromkeys(("interaction_id", "day", "kind", "value"), pl.String), "timestamp": pl.Datetime("us", "UTC")}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


def answer(number: int, days_ago: float, rating: float | None, model: str = "ea-qa-v1.0") -> dict[str, Any]:
    at = NOW - timedelta(days=days_ago)
    name, day = f"answer-{number}", at.date().isoformat()
    return {"interaction_id": name, "day": day, "timestamp": at, "model_version": model, "rating": rating}


def log(lake: Lake, rows: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(rows, schema=RAW)
    lake.replace("raw_interactions", frame, {"day": frame["day"].unique().to_list()})


def fall(lake: Lake, since: datetime | None = None) -> RatingFall:
    return rating_fall(lake, {"ea-qa-v1.0", "d" * 64}, Drift(least_ratings=3), since, NOW)


def test_ratings_are_of_the_champion_alone_by_name_or_digest(lake: Lake):
    log(lake, [answer(1, 30, 5), answer(2, 20, 4, "d" * 64), answer(3, 2, 3), answer(4, 2, 1, "another")])
    found = fall(lake)
    assert (found.before.count, found.before.mean) == (2, 4.5)
    assert (found.lately.count, found.lately.mean) == (1, 3.0)
    assert found.fall == 1.5


def test_an_answer_without_a_rating_counts_for_nothing_and_one_without_a_time_by_its_day(lake: Lake):
    log(lake, [answer(1, 30, None), {**answer(2, 30, 4), "timestamp": None}])
    assert (fall(lake).before.count, fall(lake).lately.count) == (1, 0)
    assert "no rating of the champion's answers in the last 7 days" in fall(lake).in_words


def test_a_rating_that_came_later_counts_instead(lake: Lake):
    log(lake, [answer(1, 2, 5), answer(2, 2, None)])
    said = [
        {"interaction_id": name, "day": day, "kind": kind, "value": value, "timestamp": None}
        for name, day, kind, value in (
            ("answer-1", "2026-03-19", "rating", "3"),
            ("answer-1", "2026-03-20", "rating", "1"),
            ("answer-2", "2026-03-20", "rating", "2"),
            ("answer-2", "2026-03-20", "verdict", "accept"),
        )
    ]
    frame = pl.DataFrame(said, schema=SAID)
    lake.replace("feedback", frame, {"day": frame["day"].unique().to_list()})
    assert (fall(lake).lately.count, fall(lake).lately.mean) == (2, 1.5)


def test_what_the_last_training_reacted_to_is_no_reason_for_the_next_one(lake: Lake):
    log(lake, [answer(number, 10 + number, 5) for number in range(5)] + [answer(9 + n, 3, 2) for n in range(5)])
    assert fall(lake).is_drift
    assert not fall(lake, since=NOW - timedelta(days=1)).is_drift
    assert fall(lake, since=NOW - timedelta(days=1)).lately.count == 0


def test_a_lake_without_a_table_has_no_ratings(lake: Lake):
    assert fall(lake).before.count == 0
