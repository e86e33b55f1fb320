"""What an evaluation report says, for whoever asks about its model long after."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ft_assets.errors import FtAssetsError
from ft_assets.evaluation.metric import Points
from ft_assets.evaluation.score import RowScore
from ft_assets.lake import Lake

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One metric of a model on one suite, with its 95 % interval where it has one."""

    suite: str
    metric: str
    unit: str
    figure: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Reported:
    """A report, or why it cannot be read. `spent` are the lines of the bill."""

    digest: str
    path: str = ""
    unreadable: str = ""
    outcome: str = ""
    summary: str = ""
    reasons: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    spent: list[dict[str, Any]] = field(default_factory=list)


def reported(lake: Lake, digest: str) -> Reported:
    """What the report says about its candidate. A report that is damaged, erased or gone says so in `unreadable`."""
    try:
        path = lake.artifact("report", digest).path
        report = json.loads((path / "report.json").read_text(encoding="utf-8"))
        verdict = report["verdict"]
        return Reported(
            digest=digest,
            path=str(path / "report.md"),
            outcome=verdict["outcome"],
            summary=verdict.get("summary", ""),
            reasons=list(verdict["reasons"]),
            conditions=[each["sentence"] for each in verdict.get("conditions", []) if each.get("sentence")],
            models=dict(report["models"]),
            figures=_figures(report),
            spent=list(report.get("spent", [])),
        )
    except FtAssetsError as error:
        return Reported(digest, unreadable=str(error))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Reported(digest, unreadable=f"report {digest[:12]} has no readable report.json ({error!r})")


def candidate_rows(lake: Lake, digest: str) -> dict[str, tuple[str, list[RowScore]]]:
    """Suite digest to the suite's name and the candidate's points row by row; empty where the report cannot be read."""
    report = _facts(lake, digest)
    return {
        suite["digest"]: (name, [_row(row) for row in suite["rows"] if "candidate" in row.get("points", {})])
        for name, suite in _suites(report).items()
        if "rows" in suite
    }


def units(lake: Lake, digest: str) -> dict[str, str]:
    """Metric to its unit, in the order of the report."""
    return {name: str(about["unit"]) for name, about in _facts(lake, digest).get("metrics", {}).items()}


def _facts(lake: Lake, digest: str) -> Figures:
    try:
        text = (lake.artifact("report", digest).path / "report.json").read_text(encoding="utf-8")
        facts: Figures = json.loads(text)
        return facts
    except (FtAssetsError, OSError, ValueError):
        return {}


def _suites(report: Figures) -> Mapping[str, Figures]:
    """The judged suite first."""
    suites: Mapping[str, Figures] = report.get("suites", {})
    order = sorted(suites, key=lambda name: (name != report.get("judged_suite"), name))
    return {name: suites[name] for name in order}


def _figures(report: Figures) -> list[Figure]:
    return [
        Figure(
            suite=name,
            metric=metric,
            unit=report.get("metrics", {}).get(metric, {}).get("unit", "rate"),
            figure=sides["candidate"]["figure"],
            low=sides["candidate"]["low"],
            high=sides["candidate"]["high"],
        )
        for name, suite in _suites(report).items()
        for metric, sides in suite.get("figures", {}).items()
        if "candidate" in sides
    ]


def _row(row: Figures) -> RowScore:
    points: Mapping[str, Sequence[float]] = row["points"]["candidate"]
    return RowScore(
        row["row_id"], row["cluster_id"], row["facets"], {name: Points(*its) for name, its in points.items()}
    )
