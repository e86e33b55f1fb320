"""The evaluation report: report.json holds everything, report.md and report.html tell it, pictures show it.

The same facts give the same bytes: nothing here looks at a clock, a machine or a random number.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ft_assets.evaluation.metrics import DIMENSIONS
from ft_assets.evaluation.reporting.blind_sample import BlindSample, blind_sample, write_blind_sample
from ft_assets.evaluation.reporting.report_examples import most_changed
from ft_assets.evaluation.reporting.report_facts import AnsweredSuite, ReportFacts
from ft_assets.evaluation.reporting.report_figures import describe_suite, slices_of
from ft_assets.evaluation.reporting.report_gaps import gaps_of

if TYPE_CHECKING:
    from ft_assets.evaluation.judging.pairwise_judge import Preferences

FORMAT = 2


def write_report(directory: Path, facts: ReportFacts) -> dict[str, Any]:
    """Writes the report into `directory`; returns what report.json says.

    report.json, report.md, report.html (one file, pictures included), the pictures as PNG, and the blind sample: its
    CSV for people and blind-key.json, which stays here.
    """
    from ft_assets.evaluation.reporting import html, markdown, plots

    directory.mkdir(parents=True, exist_ok=True)
    sample = _blind_sample(facts)
    report = describe(facts, sample)
    text = json.dumps(report, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"
    (directory / "report.json").write_text(text, encoding="ascii")
    pictures = plots.pictures_of(report)
    for name, png in pictures.items():
        (directory / name).write_bytes(png)
    (directory / "report.md").write_bytes(markdown.render(report).encode("utf-8", "replace"))
    (directory / "report.html").write_bytes(html.render(report, pictures).encode("utf-8", "replace"))
    if sample is not None:
        write_blind_sample(directory, sample)
    return report


def describe(facts: ReportFacts, sample: BlindSample | None = None) -> dict[str, Any]:
    """Everything the report says, as JSON values: numbers as they were computed, texts unescaped."""
    suites = {suite.name: describe_suite(suite, facts.metrics) for suite in facts.suites}
    return {
        "format": FORMAT,
        "specialization": facts.specialization,
        "description": facts.description,
        "models": dict(facts.models),
        "bases": dict(facts.bases),
        "incumbent": facts.incumbent,
        "candidate_is_champion": facts.candidate_is_champion,
        "snapshot": facts.snapshot,
        "snapshot_sizes": dict(facts.snapshot_sizes),
        "recipe_digest": facts.recipe_digest,
        "rules": facts.rules.model_dump(mode="json"),
        "verdict": {**facts.verdict.model_dump(mode="json"), "summary": facts.verdict.summary},
        "judged_suite": facts.judged_suite,
        "primary_metric": facts.primary_metric,
        "metrics": {
            metric.name: {
                "unit": metric.unit,
                "higher_is_better": metric.higher_is_better,
                "of_group": metric.of_group is not None,
                "dimension": DIMENSIONS.get(metric.name),
                "description": metric.description,
            }
            for metric in facts.metrics
        },
        "suites": suites,
        "slices": slices_of(facts),
        "interference": _interference(facts, suites),
        "other_lines": {line: dict(cells) for line, cells in facts.other_lines.items()},
        "examples": most_changed(facts.judged, facts.metric(facts.primary_metric), facts.incumbent),
        "blind_sample": None if sample is None else _given_out(sample),
        "blind": [asdict(result) for result in facts.blind],
        "settings": dict(facts.settings),
        "latency": {side: _typical(seconds) for side, seconds in facts.latency.items() if seconds},
        "spent": [asdict(line) for line in facts.spent],
        "contamination": dict(facts.contamination),
        "preferences": dict(facts.preferences),
        "judge": None if facts.judge is None else _judged(facts.judge),
        "sandbox": list(facts.sandbox),
        "golden_budget": facts.golden_budget,
        "not_measured": [*facts.not_measured, *gaps_of(facts)],
    }


def interference_row(report: Mapping[str, Any]) -> dict[str, float]:
    """What a line's report says about the golden sets of the others: specialization to candidate minus base, as a rate.
    This is the line's row in the matrix of another line's report (`ReportFacts.other_lines`)."""
    rates = [name for name, about in report["metrics"].items() if about["unit"] == "rate"]
    return {
        cell["of"]: cell["estimate"]
        for cell in report["interference"]
        if cell["against"] == "base" and cell["metric"] in rates
    }


def _interference(facts: ReportFacts, suites: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Per golden set of another line, against base and champion: the difference in the primary metric, or in the first
    metric that this suite has."""
    cells = []
    for suite in (suite for suite in facts.suites if suite.kind == "interference"):
        found = suites[suite.name]
        names = [metric for metric in (facts.primary_metric, *found["figures"]) if metric in found["figures"]]
        for difference in found["differences"]:
            if difference["metric"] == names[0] and difference["against"] in ("base", "champion"):
                cells.append({"of": suite.of or suite.name, "suite": suite.name, **difference})
    return sorted(cells, key=lambda cell: (cell["of"], cell["against"]))


def _blind_sample(facts: ReportFacts) -> BlindSample | None:
    """The sample of the judged suite; None where the candidate is its own incumbent or all answers are alike."""
    suite = facts.judged
    candidate, incumbent = (_answers(suite, side) for side in ("candidate", facts.incumbent))
    digests = (facts.models["candidate"], facts.models[facts.incumbent], suite.digest)
    sample = blind_sample(suite.items, candidate, incumbent, digests)
    return sample if sample.lines else None


def _answers(suite: AnsweredSuite, side: str) -> dict[str, str]:
    return {prediction.row_id: prediction.answer for prediction in suite.predictions.get(side, ())}


def _judged(judge: "Preferences") -> dict[str, Any]:
    """What a judge preferred, without how many of its answers were kept from before: no fact about the model."""
    shares = {"preference": judge.preference, "position_bias": judge.position_bias}
    figures = {name: value for name, value in judge.report.items() if name != "cached"}
    return {name: None if share is None else share._asdict() for name, share in shares.items()} | {"figures": figures}


def _typical(seconds: Mapping[str, float]) -> dict[str, float]:
    """Median and longest seconds per answer, and over how many."""
    return {"median": median(seconds.values()), "longest": max(seconds.values()), "answers": len(seconds)}


def _given_out(sample: BlindSample) -> dict[str, Any]:
    return {
        "file": sample.file_name,
        "sample": sample.key.sample,
        "pairs": len(sample.lines),
        "same": sample.key.same,
        "asked": sample.key.asked,
    }
