"""What a stored report must show about itself before anybody relies on its verdict."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ft_assets.evaluation.deciding.gate_rules import LEAST_COVERAGE
from ft_assets.evaluation.metric import LARGEST_EXPONENT

NOISE = 1e-9  # what adding floats in another order can move


def integrity_problems(report: Mapping[str, Any]) -> list[str]:
    """Why a report's verdict may not be used, one sentence each; empty when it may.

    `report` is the content of report.json. Looked at: the judged suite has rows of the candidate and of the incumbent;
    every side of a suite answered the same prompts, or says why not, and of a suite that can block no model left out
    more than 2 %; every number is finite; figures, differences and what the verdict calls the difference are those of
    the stored rows; the outcome follows from the conditions; models have digests, and two of one are not compared.
    """
    return [
        *_verdict(report),
        *_digests(report),
        *(problem for name, suite in report["suites"].items() for problem in _rows(name, suite)),
        *_coverage(report),
        *_figures(report),
        *_conditions(report),
    ]


def _verdict(report: Mapping[str, Any]) -> Iterator[str]:
    verdict, judged = report["verdict"], report["judged_suite"]
    suite = report["suites"].get(judged, {})
    if not suite.get("rows"):
        yield f"The suite that decides, {judged!r}, holds no row."
    for side in ("candidate", report["incumbent"]) if suite else ():
        if side not in suite["sides"]:
            yield f"The suite that decides, {judged!r}, was not answered by the {side}."
    if verdict["outcome"] == "not evaluated":
        yield "The evaluation did not finish (not evaluated), so there is no verdict to rely on."
        return
    blocking = [condition for condition in verdict["conditions"] if condition["blocks"]]
    if not any(condition["kind"] == "superior" for condition in blocking):
        yield "The verdict names no condition on being superior, so nothing says what it rests on."
    open_ = [condition["kind"] for condition in blocking if condition["holds"] is not True]
    if verdict["outcome"] == "promote" and open_:
        yield f"The verdict is promote, and {len(open_)} blocking conditions do not hold (first: {open_[0]})."
    if verdict["outcome"] == "reject" and not any(condition["holds"] is False for condition in blocking):
        yield "The verdict is reject, and no blocking condition is shown to be broken."


def _digests(report: Mapping[str, Any]) -> Iterator[str]:
    models = report["models"]
    for side in ("candidate", report["incumbent"]):
        if not models.get(side):
            yield f"The report names no digest of the {side}."
    if models.get("candidate") and models.get("candidate") == models.get(report["incumbent"]):
        yield f"Candidate and {report['incumbent']} are the same model, so nothing was compared."
    if report["bases"].get("base", models.get("base")) != models.get("base"):
        yield "The base that was asked is another one than the base that the report names."


def _rows(name: str, suite: Mapping[str, Any]) -> Iterator[str]:
    ids = [row["row_id"] for row in suite["rows"]]
    if len(set(ids)) != len(ids):
        yield f"Suite {name}: {len(ids) - len(set(ids))} rows are counted twice."
    if len(ids) != suite["items"]:
        yield f"Suite {name}: it has {suite['items']} questions and the report {len(ids)} rows."
    for side in suite["sides"]:
        absent = [row["row_id"] for row in suite["rows"] if side not in row["points"]]
        told = suite["missing"].get(side, {})
        if silent := [row_id for row_id in absent if not told.get(row_id)]:
            yield f"Suite {name}: {len(silent)} rows have no score of the {side} and no reason (first: {silent[0]})."
        odd = [row["row_id"] for row in suite["rows"] if not _finite(row["points"].get(side, {}))]
        if odd:
            yield f"Suite {name}: {len(odd)} rows have no finite score of the {side} (first: {odd[0]})."


def _coverage(report: Mapping[str, Any]) -> Iterator[str]:
    """Models with too few answers to a suite that can block. A baseline without some answers decides nothing."""
    blocking = {condition["suite"] for condition in report["verdict"]["conditions"] if condition["blocks"]}
    for name in sorted(blocking & report["suites"].keys()):
        suite = report["suites"][name]
        for side in (side for side in suite["sides"] if side in report["models"]):
            answered = sum(side in row["points"] for row in suite["rows"])
            if answered < LEAST_COVERAGE * suite["items"]:
                yield f"Suite {name}: the {side} answered {answered} of {suite['items']} rows, less than 98 %."


def _figures(report: Mapping[str, Any]) -> Iterator[str]:
    """Figures and differences that are not those of the stored rows. Figures of groups (macro F1) need the answers."""
    for name, suite in report["suites"].items():
        of_rows = {metric for metric in suite["figures"] if not report["metrics"][metric]["of_group"]}
        for metric in of_rows:
            exponential = report["metrics"][metric]["unit"] == "perplexity"
            for side, told in suite["figures"][metric].items():
                if not _same(told["figure"], _mean(suite, metric, [side], exponential)):
                    yield f"Suite {name}: the {metric} of the {side} is not that of the stored rows."
        for told in (told for told in suite["differences"] if told["metric"] in of_rows):
            if not _same(told["estimate"], _mean(suite, told["metric"], ["candidate", told["against"]], told["ratio"])):
                which = f"{told['metric']} against {told['against']}"
                yield f"Suite {name}: the difference in {which} is not that of the stored rows."


def _conditions(report: Mapping[str, Any]) -> Iterator[str]:
    """Conditions whose number is not that of the stored rows, signed so that more is better for the candidate. Not of
    seconds: those are measured apart, the models in turns."""
    for condition in report["verdict"]["conditions"]:
        suite = report["suites"].get(condition["suite"])
        if condition["estimate"] is None or condition["against"] is None or suite is None:
            continue
        name, against = condition["metric"], condition["against"]
        if report["metrics"].get(name, {}).get("unit") == "seconds":
            continue
        if name not in suite["figures"] or against not in suite["sides"]:
            yield f"The verdict compares {name} with {against}, and suite {condition['suite']} holds no such scores."
            continue
        found = (_share if condition["relative"] else _mean)(suite, name, ["candidate", against])
        if found is not None and not report["metrics"][name]["higher_is_better"]:
            found = -found
        if not _same(condition["estimate"], found):
            yield (
                f"The verdict calls the difference in {name} against {against} {condition['estimate']}, and the stored "
                f"rows of suite {condition['suite']} give {found}."
            )


def _mean(suite: Mapping[str, Any], metric: str, sides: list[str], exponential: bool = False) -> float | None:
    """Points of the first side, less those of the second where there is one, by what is possible; None without rows."""
    rows = _points(suite, metric, sides)
    if not rows:
        return None
    won = math.fsum(points[0][0] - (points[1][0] if len(points) > 1 else 0.0) for points in rows)
    mean = won / math.fsum(points[0][1] for points in rows)
    return math.exp(min(mean, LARGEST_EXPONENT)) if exponential else mean


def _share(suite: Mapping[str, Any], metric: str, sides: list[str]) -> float | None:
    """Points of the first side less those of the second, as a share of the second's."""
    rows = _points(suite, metric, sides)
    others = math.fsum(points[1][0] for points in rows)
    return math.fsum(points[0][0] - points[1][0] for points in rows) / others if others else None


def _points(suite: Mapping[str, Any], metric: str, sides: list[str]) -> list[list[list[float]]]:
    """Per row that all of these sides have points for: [won, possible] of each side."""
    rows = [[row["points"].get(side, {}).get(metric) for side in sides] for row in suite["rows"]]
    return [row for row in rows if all(points and points[1] > 0 for points in row)]


def _same(told: float | None, found: float | None) -> bool:
    if told is None or found is None:
        return told is found
    return math.isfinite(told) and math.isclose(told, found, rel_tol=1e-9, abs_tol=NOISE)


def _finite(points: Mapping[str, Any]) -> bool:
    return all(isinstance(number, int | float) and math.isfinite(number) for pair in points.values() for number in pair)
