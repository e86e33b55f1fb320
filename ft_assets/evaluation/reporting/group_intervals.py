"""Intervals of figures that belong to a whole group of rows and are no sum over them, as macro F1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ft_assets.evaluation.metric import Answered, Metric

DRAWS = 200  # enough to inform; nothing is decided by them, and each costs the metric once per side
SEED = 20_240_601
TAIL = 0.025


@dataclass(frozen=True)
class GroupInterval:
    """A figure, or a difference of two, with its 95 % interval; None where the metric does not apply."""

    estimate: float | None
    low: float | None
    high: float | None


def group_intervals(rows: Mapping[str, Sequence[Answered]], metric: Metric) -> dict[str, GroupInterval]:
    """By side, its figure; by "candidate - <side>", the difference.

    Percentile bootstrap (Efron and Tibshirani 1993, chapter 13) that draws whole clusters from a generator seeded with
    SEED, the same ones for every side. A percentile interval of a skewed figure is too narrow when clusters are few:
    read it as a rough one.
    """
    import numpy as np

    of_group = metric.of_group
    assert of_group is not None
    clusters = sorted({row.item.cluster_id for side in rows.values() for row in side})
    if not clusters:
        return {}
    by_cluster = {side: _by_cluster(answered) for side, answered in rows.items()}
    generator = np.random.default_rng(SEED)
    draws = [[clusters[at] for at in drawn] for drawn in generator.integers(0, len(clusters), (DRAWS, len(clusters)))]
    values = {
        side: [of_group([row for cluster in draw for row in its.get(cluster, ())]) for draw in draws]
        for side, its in by_cluster.items()
    }
    figures = {side: of_group(answered) for side, answered in rows.items()}
    found = {side: _interval(figures[side], values[side]) for side in rows}
    for side in (side for side in rows if side != "candidate" and "candidate" in rows):
        ours, theirs = figures["candidate"], figures[side]
        pairs = zip(values["candidate"], values[side], strict=True)
        gains = [a - b for a, b in pairs if a is not None and b is not None]
        both = None if ours is None or theirs is None else ours - theirs
        found[f"candidate - {side}"] = _interval(both, gains)
    return found


def _by_cluster(rows: Sequence[Answered]) -> dict[str, list[Answered]]:
    found: dict[str, list[Answered]] = {}
    for row in rows:
        found.setdefault(row.item.cluster_id, []).append(row)
    return found


def _interval(estimate: float | None, values: Sequence[float | None]) -> GroupInterval:
    import numpy as np

    known = [value for value in values if value is not None]
    if estimate is None or not known:
        return GroupInterval(estimate, None, None)
    low, high = np.quantile(known, [TAIL, 1 - TAIL])
    return GroupInterval(estimate, float(low), float(high))
