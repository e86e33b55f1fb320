"""Whether people like the champion's answers less than they did: its ratings of the last days against those before."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ft_assets.lake import Lake

if TYPE_CHECKING:
    import polars as pl

    from ft_assets.specializations.specialization import Drift

# Looked at again and again, a difference of two standard errors turns up by chance sooner or later.
STANDARD_ERRORS = 3.0


@dataclass(frozen=True)
class Ratings:
    """Rated answers: how many, their mean on 1 to 5, and the variance of one rating (0 for fewer than two)."""

    count: int
    mean: float
    variance: float


@dataclass(frozen=True)
class RatingFall:
    """The champion's ratings before and in the last `days`. `fall` is in points, positive where they fell."""

    before: Ratings
    lately: Ratings
    days: int
    least_fall: float
    least_ratings: int

    @property
    def fall(self) -> float:
        """Mean before minus mean lately; 0 while one of both has no rating."""
        return self.before.mean - self.lately.mean if self.before.count and self.lately.count else 0.0

    @property
    def standard_error(self) -> float:
        """Of `fall`, as the ratings scatter (Welch)."""
        return math.sqrt(sum(each.variance / each.count for each in (self.before, self.lately) if each.count))

    @property
    def is_drift(self) -> bool:
        """It fell by the points that the line names, and by more than chance explains."""
        enough = min(self.before.count, self.lately.count) >= self.least_ratings
        return enough and self.fall >= self.least_fall and self.fall > STANDARD_ERRORS * self.standard_error

    @property
    def in_words(self) -> str:
        """The numbers, whatever they mean."""
        if not self.before.count or not self.lately.count:
            missing = "before" if not self.before.count else f"in the last {self.days} days"
            return f"no rating of the champion's answers {missing}"
        return (
            f"the champion's mean rating was {self.before.mean:.2f} ({self.before.count:,} answers) and is "
            f"{self.lately.mean:.2f} in the last {self.days} days ({self.lately.count:,}): a fall of {self.fall:.2f} "
            f"give or take {self.standard_error:.2f}, where {self.least_fall:g} over {self.least_ratings} answers on "
            "each side would be a reason"
        )


def rating_fall(
    lake: Lake, model_names: Collection[str], drift: "Drift", since: datetime | None, now: datetime
) -> RatingFall:
    """The ratings of answers whose `model_version` is one of the champion's names.

    Lately are the answers of the last `window_days`, but none from before `since`, the line's last training: what that
    training reacted to is no reason for the next one. A rating that came later counts instead of the record's own.
    """
    start = now - timedelta(days=drift.window_days)
    split = max(start, since) if since else start
    rows = _rated(lake, model_names)
    old, new = rows.filter(rows["at"] < start), rows.filter(rows["at"] >= split)
    return RatingFall(_summary(old), _summary(new), drift.window_days, drift.least_fall, drift.least_ratings)


def _rated(lake: Lake, model_names: Collection[str]) -> "pl.DataFrame":
    """One row per rated answer of the model: `at` (UTC) and `rating`."""
    import polars as pl

    if not lake.exists("raw_interactions"):
        return pl.DataFrame(schema={"at": pl.Datetime("us", "UTC"), "rating": pl.Float64})
    day = pl.col("day").str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC")
    answers = (
        lake.scan("raw_interactions")
        .filter(pl.col("model_version").is_in(list(model_names)))
        .select("interaction_id", "rating", at=pl.coalesce(pl.col("timestamp"), day))
    )
    if lake.exists("feedback"):
        later = (
            lake.scan("feedback")
            .filter(pl.col("kind") == "rating")
            .select("interaction_id", "day", "timestamp", later=pl.col("value").cast(pl.Float64, strict=False))
            .sort("day", "timestamp", "later", nulls_last=False)
            .group_by("interaction_id")
            .agg(pl.col("later").last())
        )
        answers = answers.join(later, on="interaction_id", how="left").with_columns(
            rating=pl.coalesce("later", "rating")
        )
    return answers.select("at", "rating").drop_nulls().collect().sort("at", "rating")


def _summary(rows: "pl.DataFrame") -> Ratings:
    values = rows["rating"].to_list()
    mean = math.fsum(values) / len(values) if values else 0.0
    spread = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) if len(values) > 1 else 0.0
    return Ratings(len(values), mean, spread)
