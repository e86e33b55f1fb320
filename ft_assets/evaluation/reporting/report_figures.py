"""The numbers of a report: figures per suite, metric and side, differences, and slices, each with its interval."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ft_assets.evaluation.deciding.paired_points import paired_points
from ft_assets.evaluation.metric import LARGEST_EXPONENT, Metric
from ft_assets.evaluation.reporting.report_facts import AnsweredSuite, ReportFacts
from ft_assets.evaluation.score import FACETS, RowScore, answered_rows

FEW_CLUSTERS = 10  # a slice below this gets its numbers, and a warning that they are an anecdote
LEVEL_WORSE = 0.05  # of the whole family of slices that are called worse


def describe_suite(suite: AnsweredSuite, metrics: Sequence[Metric]) -> dict[str, Any]:
    """Everything about one suite as JSON values; the candidate is set against every other side that answered it."""
    figures, differences = figures_of(suite, metrics)
    return {
        "kind": suite.kind,
        "of": suite.of,
        "digest": suite.digest,
        "items": len(suite.items),
        "clusters": len({item.cluster_id for item in suite.items}),
        "sides": suite.sides,
        "figures": figures,
        "differences": differences,
        "missing": {side: dict(sorted(rows.items())) for side, rows in sorted(suite.missing.items()) if rows},
        "batch_disagreement": {
            side: {"rows": found.rows, "differing": len(found.differing), "largest_nll_gap": found.largest_nll_gap}
            for side, found in sorted(suite.batch_disagreement.items())
        },
        "rows": _rows(suite),
    }


def figures_of(
    suite: AnsweredSuite, metrics: Sequence[Metric]
) -> tuple[dict[str, dict[str, dict[str, Any]]], list[dict[str, Any]]]:
    """Figures by metric and side, and the candidate's differences to every other side, with 95 % intervals. Metrics
    that apply to no row are left out; so are differences in seconds, which kept answers took at another time."""
    figures, differences = {}, []
    for metric in metrics:
        by_side, gains = (_of_group if metric.of_group else _of_rows)(suite, metric)
        if any(figure["figure"] is not None for figure in by_side.values()):
            figures[metric.name] = by_side
            differences += gains if metric.unit != "seconds" else []
    order = {side: place for place, side in enumerate(suite.sides)}
    return figures, sorted(differences, key=lambda difference: order[difference["against"]])


def _of_rows(suite: AnsweredSuite, metric: Metric) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    figures = {side: figure_of(suite.scores[side], metric) for side in suite.sides}
    found = (difference_of(suite.scores["candidate"], suite.scores[side], metric, side) for side in suite.sides[1:])
    return figures, [difference for difference in found if difference]


def _of_group(suite: AnsweredSuite, metric: Metric) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    from ft_assets.evaluation.reporting.group_intervals import group_intervals

    counted = {side: {row.row_id for row in suite.scores[side] if metric.name in row.points} for side in suite.sides}
    rows = {side: answered_rows(suite.items, suite.predictions[side]) for side in suite.sides if counted[side]}
    found = group_intervals({s: [r for r in its if r.item.row_id in counted[s]] for s, its in rows.items()}, metric)
    figures, differences = {}, []
    for side in suite.sides:
        own = found.get(side)
        told = (None, None, None) if own is None else (own.estimate, own.low, own.high)
        figures[side] = dict(zip(("figure", "low", "high"), told, strict=True)) | {"rows": len(counted[side])}
        if (gain := found.get(f"candidate - {side}")) and gain.estimate is not None:
            clusters = len({row.item.cluster_id for row in rows[side]})
            shown = {"n_clusters": clusters, "n_differing": None, "smallest_visible": None}
            differences.append({"metric": metric.name, "against": side, "ratio": False, **asdict(gain), **shown})
    return figures, differences


def figure_of(scores: Sequence[RowScore], metric: Metric) -> dict[str, Any]:
    """One side's figure over the rows that the metric applies to, and its 95 % interval."""
    from ft_assets.evaluation.statistics import rate_interval

    rows = [row for row in scores if metric.name in row.points and row.points[metric.name].possible > 0]
    points = [row.points[metric.name] for row in rows]
    figure = metric.figure(points)
    if figure is None:
        return {"figure": None, "low": None, "high": None, "rows": 0}
    found = rate_interval([p.won for p in points], [p.possible for p in points], [row.cluster_id for row in rows])
    low, high = found.low, found.high
    if metric.unit == "perplexity":
        low, high = (math.exp(min(bound, LARGEST_EXPONENT)) for bound in (low, high))
    return {"figure": figure, "low": low, "high": high, "rows": len(rows)}


def difference_of(
    candidate: Sequence[RowScore], other: Sequence[RowScore], metric: Metric, against: str
) -> dict[str, Any] | None:
    """Candidate minus the other side on the rows that both have points for, with its 95 % interval; for perplexity a
    `ratio`. None where there is no such row, or where the rows count for more on one side (another tokenizer, more code
    blocks): then a difference of sums means nothing."""
    from ft_assets.evaluation.statistics import perplexity_ratio, rate_difference

    if not comparable(candidate, other, metric.name):
        return None
    pairs = paired_points(candidate, other, metric.name)
    ratio = metric.unit == "perplexity"
    compare = perplexity_ratio if ratio else rate_difference
    interval = compare(pairs.candidate, pairs.other, pairs.possible, pairs.clusters)
    return {"metric": metric.name, "against": against, "ratio": ratio, **asdict(interval)}


def comparable(candidate: Sequence[RowScore], other: Sequence[RowScore], metric: str) -> bool:
    """Whether both sides have points for some rows, and each of these counts alike on both."""
    theirs = {row.row_id: row.points[metric].possible for row in other if metric in row.points}
    both = [row for row in candidate if metric in row.points and row.row_id in theirs]
    counts = [row.points[metric].possible for row in both]
    return any(counts) and counts == [theirs[row.row_id] for row in both]


def slices_of(facts: ReportFacts) -> list[dict[str, Any]]:
    """Every slice of the judged suite in the primary metric, candidate against incumbent. `worse` marks those that stay
    worse after Holm's correction over all of them: any of many slices may look worse by chance."""
    from ft_assets.evaluation.statistics import holm

    metric, suite = facts.metric(facts.primary_metric), facts.judged
    found = []
    for facet in FACETS:
        names = sorted({row.facets[facet] for row in suite.scores["candidate"] if facet in row.facets})
        for name in names if len(names) > 1 else ():
            found.append({"by": facet, "name": name, **_slice(suite, facet, name, metric, facts.incumbent)})
    tested = [part for part in found if part["p_worse"] is not None]
    for part, worse in zip(tested, holm([part["p_worse"] for part in tested], LEVEL_WORSE), strict=True):
        part["worse"] = worse
    return found


def _slice(suite: AnsweredSuite, facet: str, name: str, metric: Metric, incumbent: str) -> dict[str, Any]:
    wanted = {row.row_id for row in suite.scores["candidate"] if row.facets.get(facet) == name}
    part = suite.only(wanted)
    rows = part.scores["candidate"]
    others = part.scores.get(incumbent, ())
    return {
        "rows": len(rows),
        "clusters": len({row.cluster_id for row in rows}),
        "figures": {side: figure_of(part.scores[side], metric) for side in part.sides},
        "difference": difference_of(rows, others, metric, incumbent),
        "p_worse": _p_worse(rows, others, metric),
        "worse": False,
    }


def _p_worse(candidate: Sequence[RowScore], other: Sequence[RowScore], metric: Metric) -> float | None:
    """How easily two equal models look as bad as this; None with one cluster, of which nobody can tell."""
    from ft_assets.evaluation.statistics import differences, superiority_p_value

    if not comparable(candidate, other, metric.name):
        return None
    pairs = paired_points(candidate, other, metric.name)
    found = differences(pairs.candidate, pairs.other, pairs.possible, pairs.clusters)
    if len(found.gains) < 2:
        return None
    return superiority_p_value(found.reversed() if metric.higher_is_better else found)


def _rows(suite: AnsweredSuite) -> list[dict[str, Any]]:
    """The evidence row by row, without any text: a later reader can compute every number again."""
    points = {side: {row.row_id: row.points for row in suite.scores[side]} for side in suite.sides}
    facets = {row.row_id: row.facets for side in suite.sides for row in suite.scores[side]}
    return [
        {
            "row_id": item.row_id,
            "cluster_id": item.cluster_id,
            "facets": dict(facets.get(item.row_id, {})),
            "points": {
                side: {name: list(its) for name, its in sorted(points[side][item.row_id].items())}
                for side in suite.sides
                if item.row_id in points[side]
            },
        }
        for item in sorted(suite.items, key=lambda item: item.row_id)
    ]
