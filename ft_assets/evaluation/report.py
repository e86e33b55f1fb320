"""The evaluation report: report.json holds everything, report.md tells it, two pictures show it.

The same facts give the same bytes: nothing here looks at a clock, a machine or a random number.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ft_assets.errors import EvaluationIncomplete
from ft_assets.evaluation.gate import Comparison, GateRules, Metric, Verdict, compare, evaluation_problems, paired
from ft_assets.evaluation.generate import EvalItem, Prediction
from ft_assets.evaluation.score import Grouping, RowScore, rate_of, score_rows, summarize, summarize_by
from ft_assets.evaluation.statistics import Interval, perplexity_ratio

FORMAT = 1
COMPARED: tuple[Metric, ...] = ("rouge_l", "exact_match", "token_accuracy")
EXAMPLES_PER_DIRECTION = 3
FEW_CLUSTERS = 10  # a group below this gets its numbers, and a warning that they are an anecdote


@dataclass(frozen=True)
class Suite:
    """A set of questions with what each side answered: "candidate", "base", and "champion" where there is one."""

    name: str
    digest: str
    items: Sequence[EvalItem]
    predictions: Mapping[str, Sequence[Prediction]]
    scores: Mapping[str, Sequence[RowScore]]


@dataclass(frozen=True)
class ReportFacts:
    """What a report is written from. `models` maps a side to its digest; the verdict is about `judged_suite`."""

    specialization: str
    models: Mapping[str, str]
    snapshot: str
    recipe_digest: str
    rules: GateRules
    verdict: Verdict
    judged_suite: str
    suites: Sequence[Suite]
    decoding: Mapping[str, str | int]
    not_measured: Sequence[str] = field(default_factory=tuple)
    preferences: Mapping[str, float] = field(default_factory=dict)  # on validation pairs, by the candidate's training


def suite_of(
    name: str, digest: str, items: Sequence[EvalItem], predictions: Mapping[str, Sequence[Prediction]]
) -> Suite:
    """The suite with every side scored.

    Raises:
        EvaluationIncomplete: the predictions may not be judged; the message lists what `evaluation_problems` found.
    """
    if problems := evaluation_problems(predictions, items):
        raise EvaluationIncomplete(
            f"Suite {name} cannot be judged: {' '.join(problems)} Materialize evaluation_report again; what is missing "
            "is generated anew."
        )
    return Suite(
        name, digest, items, predictions, {side: score_rows(items, rows) for side, rows in predictions.items()}
    )


def write_report(directory: Path, facts: ReportFacts) -> dict[str, Any]:
    """Writes report.json, report.md, metrics.png, differences.png into `directory`; returns what report.json says."""
    from ft_assets.evaluation.markdown import render
    from ft_assets.evaluation.plots import draw_differences, draw_metrics

    directory.mkdir(parents=True, exist_ok=True)
    report = describe(facts)
    text = json.dumps(report, sort_keys=True, indent=1, allow_nan=False) + "\n"
    (directory / "report.json").write_text(text, encoding="ascii")
    (directory / "report.md").write_bytes(render(report).encode("utf-8", "replace"))
    draw_metrics(directory / "metrics.png", report)
    draw_differences(directory / "differences.png", report)
    return report


def describe(facts: ReportFacts) -> dict[str, Any]:
    """Everything the report says, as JSON values: numbers as they were computed, texts unescaped."""
    judged = next(suite for suite in facts.suites if suite.name == facts.judged_suite)
    return {
        "format": FORMAT,
        "specialization": facts.specialization,
        "models": dict(facts.models),
        "snapshot": facts.snapshot,
        "recipe_digest": facts.recipe_digest,
        "rules": facts.rules.model_dump(),
        "verdict": {**facts.verdict.model_dump(), "summary": facts.verdict.summary},
        "judged_suite": facts.judged_suite,
        "suites": {suite.name: _describe_suite(suite, facts.rules) for suite in facts.suites},
        "examples": _examples(judged, facts.rules.primary_metric),
        "decoding": dict(facts.decoding),
        "not_measured": [*facts.not_measured, *_gaps(facts)],
        **({"preferences": dict(facts.preferences)} if facts.preferences else {}),
    }


def _describe_suite(suite: Suite, rules: GateRules) -> dict[str, Any]:
    others = [side for side in ("base", "champion") if side in suite.scores]
    return {
        "digest": suite.digest,
        "summaries": {side: asdict(summarize(rows)) for side, rows in suite.scores.items()},
        "comparisons": [_compared(suite, side, metric).model_dump() for side in others for metric in COMPARED],
        "perplexity_ratios": {side: asdict(_ratio(suite, side)) for side in others},
        "by_task": _groups(suite, "task_type", rules.primary_metric),
        "by_slice": _groups(suite, "slice", rules.primary_metric),
        "rows": _rows(suite),
    }


def _compared(suite: Suite, side: str, metric: Metric) -> Comparison:
    return compare(suite.scores["candidate"], suite.scores[side], side, metric)


def _ratio(suite: Suite, side: str) -> Interval:
    ours, theirs = paired(suite.scores["candidate"], suite.scores[side], side)
    nll, other_nll = [row.answer_nll for row in ours], [row.answer_nll for row in theirs]
    return perplexity_ratio(nll, other_nll, [row.answer_tokens for row in ours], [row.cluster_id for row in ours])


def _groups(suite: Suite, grouping: Grouping, metric: Metric) -> dict[str, Any]:
    """Per task type or slice: each side's summary, and the primary metric against each other side."""
    summaries = {side: summarize_by(rows, grouping) for side, rows in suite.scores.items()}
    groups: dict[str, Any] = {}
    for name in summaries["candidate"]:
        part = {side: [r for r in rows if getattr(r, grouping) == name] for side, rows in suite.scores.items()}
        others = [side for side in ("base", "champion") if side in part]
        groups[name] = {
            "summaries": {side: asdict(summaries[side][name]) for side in part},
            "comparisons": [compare(part["candidate"], part[side], side, metric).model_dump() for side in others],
        }
    return groups


def _rows(suite: Suite) -> list[dict[str, Any]]:
    """The evidence row by row, without any text: a later reader can compute every number again."""
    by_side = {side: {row.row_id: row for row in rows} for side, rows in suite.scores.items()}
    shared = ("row_id", "cluster_id", "task_type", "slice", "answer_tokens")
    own = ("rouge_l", "exact_match", "answer_nll", "answer_tokens_right", "n_tokens", "seconds")
    return [
        {key: getattr(row, key) for key in shared}
        | {side: {key: getattr(by_side[side][row.row_id], key) for key in own} for side in by_side}
        for row in suite.scores["candidate"]
    ]


def _examples(suite: Suite, metric: Metric) -> dict[str, list[dict[str, Any]]]:
    """The answers that gained and lost most against the incumbent: the champion, or the base while there is none."""
    incumbent = "champion" if "champion" in suite.scores else "base"
    ours, theirs = paired(suite.scores["candidate"], suite.scores[incumbent], incumbent)
    change = {
        ours_row.row_id: _share(ours_row, metric) - _share(row, metric)
        for ours_row, row in zip(ours, theirs, strict=True)
    }
    order = sorted(change, key=lambda row_id: (-change[row_id], row_id))
    improved = [row_id for row_id in order if change[row_id] > 0][:EXAMPLES_PER_DIRECTION]
    worsened = [row_id for row_id in reversed(order) if change[row_id] < 0][:EXAMPLES_PER_DIRECTION]
    items = {item.row_id: item for item in suite.items}
    answers = {side: {row.row_id: row.answer for row in rows} for side, rows in suite.predictions.items()}

    def example(row_id: str) -> dict[str, Any]:
        item = items[row_id]
        return {
            "row_id": row_id,
            "task_type": item.task_type,
            "change": change[row_id],
            "prompt": "\n\n".join(f"{message.role}: {message.content}" for message in item.messages[:-1]),
            "reference": item.reference,
            "candidate": answers["candidate"][row_id],
            incumbent: answers[incumbent][row_id],
        }

    return {"improved": [example(i) for i in improved], "worsened": [example(i) for i in worsened]}


def _share(row: RowScore, metric: Metric) -> float:
    won, possible = rate_of(row, metric)
    return won / possible


def _gaps(facts: ReportFacts) -> list[str]:
    """What these numbers leave open, found in the facts themselves."""
    gaps = []
    if "champion" not in facts.models:
        gaps.append("No model of this line is in use yet, so the only comparison is with the base.")
    for suite in facts.suites:
        rows = suite.scores["candidate"]
        clusters = summarize(rows).clusters
        if clusters < facts.rules.minimum_clusters:
            gaps.append(f"Suite {suite.name}: {clusters} independent clusters, too few for a verdict of its own.")
        few = [
            f"{name} ({group.clusters})"
            for grouping in ("task_type", "slice")
            for name, group in summarize_by(rows, grouping).items()
            if group.clusters < FEW_CLUSTERS
        ]
        if few:
            gaps.append(f"Suite {suite.name}: too few clusters to say anything about {', '.join(few)}.")
    return [
        *gaps,
        "Whether code in an answer runs: no answer was executed.",
        "Whether a person finds the answers relevant and correct: only their words were compared with the reference.",
        "Latency for one user: seconds per answer come from batches on the machine of this run.",
    ]
