"""What is expected of a snapshot as a whole: figures with their bounds, counted with Polars before they are judged.

What is expected of each row stands in `expectations.py`, which hands both to Great Expectations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ft_assets.dataset.expectations_limits import Expectations
from ft_assets.dataset.summary import COVERAGE_MINIMUM, WITHOUT_TASK

VOLUME = "snapshot_holds_enough_rows"
BALANCE = "roles_and_tasks_are_balanced"
LENGTHS = "lengths_are_within_bounds"
SCORES = "scores_are_like_in_the_last_snapshot"
READINESS = "snapshot_is_ready_to_train_on"
CHECKS = (VOLUME, BALANCE, LENGTHS, SCORES, READINESS)
DISTRIBUTIONS = {  # column of the rows, what it is called, and the check that compares it with the last snapshot
    "n_tokens": ("tokens of a row", LENGTHS),
    "answer_characters": ("characters of an answer", LENGTHS),
    "quality_score": ("quality score", SCORES),
}
# c(0.01) of the two-sample test: a larger gap between two samples of one population comes once in a hundred.
KOLMOGOROV_1_PERCENT = 1.63


@dataclass(frozen=True)
class Figure:
    """A number of a snapshot and the bounds that it should keep to; a bound of None is none."""

    check: str
    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True)
class Line:
    """What a snapshot's model line says about what it needs."""

    name: str
    roles: tuple[str, ...] = ()
    task_types: tuple[str, ...] = ()
    minimum_examples: int = 1
    minimum_eval_clusters: int = 50
    golden_clusters: int = 0
    max_length: int = 1024
    needs_preferences: bool = False


def figures_of(
    rows: pl.DataFrame, last: pl.DataFrame | None, line: Line, limits: Expectations, preference_pairs: int | None = None
) -> list[Figure]:
    """The figures of a snapshot with `rows` (see `snapshot_rows`), compared with those of the `last` one.

    `preference_pairs` counts the train side's; None where the snapshot has no file of them.
    """
    train = rows.filter(pl.col("side") == "train")
    return [
        *_volume(rows, last, line, limits),
        *_balance(train, line, limits),
        *_drift(rows, last, limits),
        *_readiness(rows, train, line, limits, preference_pairs),
    ]


def largest_gap(first: pl.Series, second: pl.Series) -> float:
    """The two-sample Kolmogorov-Smirnov statistic, 0..1: the largest distance between the two cumulative distributions.

    Nulls are left out; 0 when one side has no value. N. Smirnov, Table for Estimating the Goodness of Fit of Empirical
    Distributions, Annals of Mathematical Statistics 19 (1948).
    """
    one, two = (np.sort(each.drop_nulls().to_numpy()) for each in (first, second))
    if not (one.size and two.size):
        return 0.0
    places = np.concatenate([one, two])
    below = [np.searchsorted(each, places, side="right") / each.size for each in (one, two)]
    return round(float(np.abs(below[0] - below[1]).max()), 6)


def allowed_gap(first: int, second: int, limits: Expectations) -> float:
    """The bound for `largest_gap` of samples of these sizes: the line's own, or what chance does to small ones."""
    if not (first and second):
        return limits.largest_drift
    return round(max(limits.largest_drift, KOLMOGOROV_1_PERCENT * math.sqrt((first + second) / (first * second))), 6)


def share_by(rows: pl.DataFrame, column: str, named: Sequence[str]) -> dict[str, float]:
    """Value of the column to its share of the rows, 0..1; the values that the line names are there with 0."""
    counts = dict(rows.group_by(pl.col(column).fill_null(WITHOUT_TASK)).len().iter_rows())
    return {name: counts.get(name, 0) / max(1, rows.height) for name in sorted({*counts, *named})}


def _volume(rows: pl.DataFrame, last: pl.DataFrame | None, line: Line, limits: Expectations) -> list[Figure]:
    of_side = dict(rows.group_by("side").len().iter_rows())
    figures = [
        Figure(
            VOLUME, "train rows against the line's minimum", of_side.get("train", 0), at_least=line.minimum_examples
        ),
        Figure(VOLUME, "validation rows", of_side.get("validation", 0), at_least=1),
        Figure(VOLUME, "eval rows", of_side.get("eval", 0), at_least=1),
    ]
    if last is not None and last.height:
        share = round(rows.height / last.height, 6)
        figures.append(
            Figure(VOLUME, "rows as a share of the last snapshot", share, at_least=limits.least_rows_of_last)
        )
    return figures


def _balance(train: pl.DataFrame, line: Line, limits: Expectations) -> list[Figure]:
    """Shares of what can be balanced: one role alone has them all, and that is what the line asked for."""
    figures = []
    for what, column, named in (("task", "task_type", line.task_types), ("role", "role", line.roles)):
        shares = share_by(train, column, named)
        if len(named or shares) < 2:
            continue
        largest = round(max(shares.values()), 6)
        figures.append(Figure(BALANCE, f"largest share of one {what}", largest, at_most=limits.largest_share))
        if named:
            smallest = round(min(shares[name] for name in named), 6)
            name = f"smallest share of a {what} that the line names"
            figures.append(Figure(BALANCE, name, smallest, at_least=limits.smallest_share))
    return figures


def _drift(rows: pl.DataFrame, last: pl.DataFrame | None, limits: Expectations) -> list[Figure]:
    if last is None:
        return []
    figures = []
    for column, (name, check) in DISTRIBUTIONS.items():
        sizes = rows[column].count(), last[column].count()
        if all(sizes):
            gap = largest_gap(rows[column], last[column])
            name = f"{name}: gap to the last snapshot's distribution"
            figures.append(Figure(check, name, gap, at_most=allowed_gap(*sizes, limits)))
    return figures


def _readiness(
    rows: pl.DataFrame, train: pl.DataFrame, line: Line, limits: Expectations, preference_pairs: int | None
) -> list[Figure]:
    verified = round(int(train["human_verified"].fill_null(False).sum()) / max(1, train.height), 6)
    clusters = rows.filter(pl.col("side") == "eval")["cluster_id"].n_unique() + line.golden_clusters
    figures = [
        Figure(READINESS, "train rows", train.height, at_least=limits.sft_minimum),
        Figure(READINESS, "eval clusters with the golden set's", clusters, at_least=line.minimum_eval_clusters),
        Figure(
            READINESS, "human-verified share of the train rows", verified, at_least=limits.least_human_verified_share
        ),
    ]
    if line.needs_preferences:
        pairs = preference_pairs or 0
        figures.append(Figure(READINESS, "preference pairs", pairs, at_least=limits.preference_minimum))
    for what, column, named in (("task", "task_type", line.task_types), ("role", "role", line.roles)):
        if named:
            counts = dict(train.group_by(column).len().iter_rows())
            fewest = min(counts.get(name, 0) for name in named)
            name = f"train rows of the rarest {what} that the line names"
            figures.append(Figure(READINESS, name, fewest, at_least=COVERAGE_MINIMUM))
    return figures
