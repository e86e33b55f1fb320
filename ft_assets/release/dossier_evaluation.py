"""What a dossier says of the evaluation and of contamination, from report.json. No text of any question or answer."""

from collections.abc import Iterable, Mapping
from typing import Any

from ft_assets.release.dossier_facts import DossierFacts
from ft_assets.release.dossier_page import Block, Lines, Table, Words

Figures = Mapping[str, Any]
SIDE_NAMES = {"candidate": "this model", "champion": "model in use then", "base": "base model"}
PERCENT = ("rate", "share")


def evaluation(facts: DossierFacts) -> list[Block]:
    """Verdict with every condition, figures of every suite with 95 % intervals, slices that are worse."""
    report = facts.report
    if not report:
        return [Words("Nothing can be told: no report about this version can be read.")]
    verdict = report["verdict"]
    against = [
        f"{SIDE_NAMES.get(side, side)}: {facts.name(digest)}" for side, digest in sorted(report["models"].items())
    ]
    conditions = [
        ({True: "shown", False: "the opposite is shown"}.get(each.get("holds"), "open"), each["sentence"])
        for each in verdict.get("conditions", [])
        if each.get("sentence")
    ]
    blocks: list[Block] = [
        Words(verdict.get("summary") or str(verdict["outcome"])),
        Lines([str(reason) for reason in verdict.get("reasons", [])]),
        Words("Asked were:"),
        Lines(against),
    ]
    if conditions:
        blocks += [Words("Conditions of the gate:"), Table(["", "condition"], conditions)]
    for name, suite in sorted(report.get("suites", {}).items()):
        if isinstance(suite.get("figures"), Mapping):
            blocks += _suite(report, name, suite)
    return [*blocks, *_slices(report)]


def contamination(facts: DossierFacts) -> list[Block]:
    """What training rows share with questions, and how well the search for it finds copies that were planted."""
    found = [(str(name), str(value)) for name, value in sorted(facts.report.get("contamination", {}).items())]
    if not found:
        return [Words("Not recorded in its report.")]
    return [
        Words("Before training and again for the report, train rows were compared with every question."),
        Table(["", "found"], found),
    ]


def _suite(report: Figures, name: str, suite: Figures) -> Iterable[Block]:
    judged = ", on which the verdict rests" if name == report.get("judged_suite") else ""
    sides = [side for side in suite.get("sides", []) if side in SIDE_NAMES]
    rows = []
    for metric, figures in suite["figures"].items():
        unit = str(report.get("metrics", {}).get(metric, {}).get("unit", "rate"))
        rows.append((metric.replace("_", " "), *(_figure(figures.get(side), unit) for side in sides)))
    told = f"{name}{judged}: {suite.get('items')} questions in {suite.get('clusters')} independent clusters."
    return [Words(told), Table(["metric", *(SIDE_NAMES[side] for side in sides)], rows)]


def _slices(report: Figures) -> list[Block]:
    slices = report.get("slices", [])
    worse = [(part["by"].replace("_", " "), part["name"], str(part["rows"])) for part in slices if part.get("worse")]
    if not slices:
        return [Words("No slices were compared: by role, task, reasoning mode and difficulty there was one kind each.")]
    told = f"{len(worse)} of {len(slices)} slices are worse than the {SIDE_NAMES[report['incumbent']]}."
    return [Words(told), *([Table(["by", "slice", "questions"], worse)] if worse else [])]


def _figure(figure: Figures | None, unit: str) -> str:
    if figure is None or figure.get("figure") is None:
        return "not measured"
    text, low, high = _number(figure["figure"], unit), figure.get("low"), figure.get("high")
    return text if low is None or high is None else f"{text} [{_number(low, unit)}, {_number(high, unit)}]"


def _number(value: float, unit: str) -> str:
    return f"{100 * value:.1f} %" if unit in PERCENT else f"{value:.3g}"
