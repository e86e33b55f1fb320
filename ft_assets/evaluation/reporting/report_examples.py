"""The answers that gained and lost most, with their questions."""

from typing import Any

from ft_assets.evaluation.items import digest
from ft_assets.evaluation.metric import Metric, Points
from ft_assets.evaluation.reporting.report_facts import AnsweredSuite

PER_DIRECTION = 10


def most_changed(suite: AnsweredSuite, metric: Metric, incumbent: str) -> dict[str, list[dict[str, Any]]]:
    """The ten most improved and the ten most worsened answers by this metric, candidate against incumbent.

    Equal changes (right against wrong has only one size) stand in the order of a hash of their ids, one of a cluster
    before the second of any, so that ten variants of one question do not fill the list.
    """
    change = _changes(suite, metric, incumbent)
    cluster = {item.row_id: item.cluster_id for item in suite.items}
    by_hash = sorted(change, key=lambda row_id: digest(row_id))
    turn, seen = {}, dict.fromkeys(cluster.values(), 0)
    for row_id in by_hash:
        turn[row_id] = seen[cluster[row_id]]
        seen[cluster[row_id]] += 1
    order = sorted(by_hash, key=lambda row_id: (-abs(change[row_id]), turn[row_id]))
    return {
        "improved": [_example(suite, metric, i, change[i], incumbent) for i in order if change[i] > 0][:PER_DIRECTION],
        "worsened": [_example(suite, metric, i, change[i], incumbent) for i in order if change[i] < 0][:PER_DIRECTION],
    }


def _changes(suite: AnsweredSuite, metric: Metric, incumbent: str) -> dict[str, float]:
    """Row id to how much better the candidate's answer is; rows that one side has no points for are left out."""
    theirs = {row.row_id: row.points.get(metric.name) for row in suite.scores.get(incumbent, ())}
    sign = 1.0 if metric.higher_is_better else -1.0
    changes: dict[str, float] = {}
    for row in suite.scores["candidate"]:
        ours, other = row.points.get(metric.name), theirs.get(row.row_id)
        if ours and other and ours.possible and other.possible:
            changes[row.row_id] = sign * (_share(ours) - _share(other))
    return changes


def _share(points: Points) -> float:
    return points.won / points.possible


def _example(suite: AnsweredSuite, metric: Metric, row_id: str, change: float, incumbent: str) -> dict[str, Any]:
    item = next(item for item in suite.items if item.row_id == row_id)
    both = ("candidate", incumbent)
    answers = {side: next(p.answer for p in suite.predictions[side] if p.row_id == row_id) for side in both}
    points = {side: next(r.points[metric.name] for r in suite.scores[side] if r.row_id == row_id) for side in both}
    return {
        "row_id": row_id,
        "task_type": item.task_type,
        "change": change,
        "scores": {side: metric.figure([its]) for side, its in points.items()},
        "prompt": "\n\n".join(f"{message.role}: {message.content}" for message in item.messages[:-1]),
        "reference": item.reference,
        **answers,
    }
