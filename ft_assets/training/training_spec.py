"""`training-spec.md`: what was trained, from what, how and why, written from the run's own data (SPEC 11)."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ft_assets.training.decision_log import Decision, base_in_words, decisions, numbered
from ft_assets.training.knob_reasons import knob_reasons
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_ranges import CARRIED_ON, ONE_FOR_BOTH_STAGES, Objective

SPEC_FILE, DECISIONS_FILE = "training-spec.md", "decisions.json"
FORMATS: dict[Objective, str] = {
    "sft": "chat messages; the loss is on the assistant's turns",
    "dpo": "prompt, chosen answer, rejected answer",
    "kto": "chat messages, and whether the answer was liked",
}


@dataclass(frozen=True)
class StageData:
    """What one stage learned from: rows by side, train rows by source, and figures of their quality by name."""

    objective: Objective
    rows: Mapping[str, int]
    sources: Mapping[str, int]
    quality: Mapping[str, str | int | float]


@dataclass(frozen=True)
class TrainedRun:
    """Everything that a spec tells about a run. `estimate` and `outcome` are figures by name; `date` is YYYY-MM-DD."""

    line: str
    description: str
    base: Mapping[str, Any]
    recipe: Recipe
    overrides: Mapping[str, Any]
    snapshot: str
    data: Sequence[StageData]
    adapter: str
    trainable: int
    estimate: Mapping[str, Any]
    outcome: Mapping[str, Any]
    events: Sequence[str]
    date: str

    def decisions(self) -> list[Decision]:
        """The decision log of the run."""
        rows = {stage.objective: stage.rows.get("train", 0) for stage in self.data}
        return decisions(self.base, self.recipe, self.overrides, rows, self.trainable, self.events, self.date)


def write_spec(directory: Path, run: TrainedRun) -> str:
    """Writes training-spec.md and decisions.json into `directory`; returns the spec. Bytes depend on `run` only."""
    return _write(directory, training_spec(run), run.decisions())


def write_skipped_spec(directory: Path, line: str, description: str, reason: str, date: str) -> str:
    """The same two files for a line that trains nothing; returns the spec, whose status is SKIPPED."""
    log = numbered([("approach", "nothing is trained", reason)], date)
    blocks = [
        f"# Training spec: {_text(line)}",
        f"Status: **SKIPPED**, {date}",
        _text(description),
        f"Nothing was trained: {_text(reason)}.",
        "## Decision log",
        _decision_table(log),
    ]
    return _write(directory, "\n\n".join(blocks) + "\n", log)


def training_spec(run: TrainedRun) -> str:
    """The spec as Markdown. Text that people wrote is shown literally."""
    blocks = [
        f"# Training spec: {_text(run.line)}",
        f"Status: **TRAINED**, {run.date}",
        _text(run.description),
        "## Base model",
        *_base(run),
        "## Approach",
        f"{run.recipe.approach}, method {run.recipe.method}.",
        "## Data",
        f"Snapshot `{run.snapshot}`.",
        *map(_data, run.data),
        *(block for stage in run.recipe.stages() for block in _knobs(stage, _given(run, stage))),
        "## Infrastructure and cost",
        "Expected before the run. Hours follow from the peak of the device and an assumed share of it.",
        _figures(run.estimate),
        "## What came out",
        f"Adapter `{run.adapter}`.",
        _figures(run.outcome),
        "## Decision log",
        _decision_table(run.decisions()),
        "## Full configuration",
        f"```json\n{json.dumps(run.recipe.model_dump(), indent=2, sort_keys=True)}\n```",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _base(run: TrainedRun) -> list[str]:
    told = ("source", "hub_id", "revision", "architecture", "instruction_tuned", "context_length", "digest")
    facts = {key: run.base[key] for key in told if run.base.get(key) is not None}
    rationale = run.decisions()[0].rationale
    return [f"{_text(base_in_words(run.base))}. Why: {_text(rationale)}.", _figures(facts)]


def _data(stage: StageData) -> str:
    sides = ", ".join(f"{count:,} {side}" for side, count in stage.rows.items()) or "none"
    sources = ", ".join(f"{_text(source)} {count:,}" for source, count in stage.sources.items()) or "unknown"
    heading = f"**{stage.objective.upper()}**: {FORMATS[stage.objective]}. Rows: {sides}. Sources: {sources}."
    return "\n\n".join(block for block in (heading, _figures(stage.quality)) if block)


def _given(run: TrainedRun, stage: Recipe) -> Mapping[str, Any]:
    """The overrides that reach a stage: the second one has its own under `dpo`, and what it takes over."""
    if run.recipe.approach != "sft+dpo" or stage.objective == "sft":
        return run.overrides
    taken_over = {key: run.overrides[key] for key in (*ONE_FOR_BOTH_STAGES, *CARRIED_ON) if key in run.overrides}
    return {**taken_over, **(run.overrides.get("dpo") or {})}


def _knobs(stage: Recipe, overrides: Mapping[str, Any]) -> list[str]:
    """One table per stage: adapter and optimisation alike, with the reason of every value."""
    rows = [(f"`{each.key}`", each.value, each.origin, each.reason) for each in knob_reasons(stage, overrides)]
    heading = f"## PEFT and hyperparameters: {stage.objective}"
    return [heading, _table(["knob", "value", "from", "reason"], rows)]


def _decision_table(log: Iterable[Decision]) -> str:
    rows = [(each.id, each.date, each.about, each.decided, each.rationale) for each in log]
    return _table(["id", "date", "about", "decided", "rationale"], rows)


def _figures(figures: Mapping[str, Any]) -> str:
    return _table(["", ""], [(key.replace("_", " "), value) for key, value in figures.items()]) if figures else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [list(head), ["---"] * len(head), *([_text(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _text(value: object) -> str:
    """One line that cannot break a table or bring HTML."""
    shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return html.escape(" ".join(shown.split()), quote=False).replace("|", "&#124;")


def _write(directory: Path, spec: str, log: Sequence[Decision]) -> str:
    (directory / SPEC_FILE).write_text(spec, "utf-8")
    (directory / DECISIONS_FILE).write_text(json.dumps([asdict(each) for each in log], indent=1) + "\n", "utf-8")
    return spec
