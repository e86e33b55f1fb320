"""A small installation as the assets leave it: curated rows, snapshots, adapters, reports, registry. No torch needed:
the weights are a few bytes, everything that is said about them is written by the project's own functions."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from ft_assets.dataset.rows import read_side
from ft_assets.dataset.select import Selector
from ft_assets.dataset.snapshot import build_snapshot
from ft_assets.dataset.split import SplitFractions
from ft_assets.evaluation.report import describe
from ft_assets.evaluation.reporting.report_facts import Spent
from ft_assets.lake import Artifact, Lake
from ft_assets.release.promotion import promote_if_allowed, read_verdict
from ft_assets.release.registration import register_version
from ft_assets.state import State
from ft_assets.state_registry import record_evaluation
from ft_assets.training.received import write_received
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets_tests.dataset.conftest import TYPES
from ft_assets_tests.dataset.curated_rows import curated_row
from ft_assets_tests.evaluation.report_samples import a_suite, facts_of

LINE, CAREFUL = "qa-engineer", "devops-engineer"  # the second one wants a person's approval
YAML = """name: {name}
description: Made for tests.
select: {{roles: [{name}]}}
base_model: tiny-base
release: {{approval: {{required: {careful}, expires_days: 14}}}}
"""
BETTER = {"candidate": 0.9, "base": 0.1, "nearest_answer": 0.2}


class Installation:
    """The lake and the state database under one folder, and what was put there."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.lake = Lake(str(folder / "lake"), folder / "cache")
        self.state = State(f"sqlite:///{folder}/lake/state.db")
        self.lines = folder / "lines"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that name it."""
        names = {"FT_ASSETS_LAKE": "lake", "FT_ASSETS_CACHE": "cache", "FT_ASSETS_SPECIALIZATIONS": "lines"}
        return {name: str(self.folder / place) for name, place in names.items()}

    def write_lines(self) -> None:
        """Two model lines; one of them asks for approvals."""
        self.lines.mkdir(parents=True)
        for name in (LINE, CAREFUL):
            (self.lines / f"{name}.yaml").write_text(YAML.format(name=name, careful=str(name == CAREFUL).lower()))

    def curate(self, line: str, day: str, first: int, count: int, bad: int = 0) -> None:
        """Curated rows of one day; `bad` of them failed the signals."""
        rows = [_curated(line, day, number, number < first + count - bad) for number in range(first, first + count)]
        self.lake.replace("curated_examples", pl.DataFrame(rows, schema=TYPES), {"day": [day]})

    def train(self, line: str, weights: str, by: str | None = None, **knobs: Any) -> Artifact:
        """A snapshot of what is curated, and an adapter that says that it received its rows."""
        snapshot = self._stored("snapshot", lambda folder: self._snapshot(line, folder))
        examples = {side: read_side(snapshot.path, side) for side in ("train", "validation")}
        given = TrainingRows(*(SideRows(examples=examples[side]) for side in ("train", "validation")))

        def write(folder: Path) -> None:
            (folder / "adapter_model.safetensors").write_text(weights)
            (folder / "provenance.json").write_text(json.dumps(_provenance(line, snapshot.digest, knobs)))
            write_received(folder, given)

        adapter = self._stored("adapter", write)
        self.state.record_trained(line, snapshot.digest, "recipe", "b" * 64, adapter.digest, by)
        return adapter

    def report(self, line: str, adapter: Artifact, shares: Mapping[str, float] = BETTER) -> Artifact:
        """A report about the adapter on 120 questions, with the real gate's verdict."""
        champion = self.state.champion(line)
        models = {"candidate": adapter.digest, "base": "b" * 64}
        models |= {"champion": champion.model_digest} if champion and "champion" in shares else {}
        facts = facts_of(
            a_suite(120, shares), specialization=line, models=models, spent=[Spent("training", 61.5, 0.0, 4321, 0.02)]
        )
        text = json.dumps(describe(facts), sort_keys=True)
        return self._stored("report", lambda folder: (folder / "report.json").write_text(text))

    def evaluate(self, line: str, adapter: Artifact, shares: Mapping[str, float] = BETTER) -> Artifact:
        """Such a report, registered with its model like any other."""
        report = self.report(line, adapter, shares)
        verdict = read_verdict(report)
        register_version(self.state, line, "domain-specific", "tiny-base", 1, adapter, "somebody")
        record_evaluation(self.state, line, adapter.digest, report.digest, verdict.outcome, verdict.summary, "run-1")
        return report

    def promote(self, line: str, adapter: Artifact, report: Artifact) -> None:
        """As the asset does it."""
        decision = promote_if_allowed(self.state, line, adapter.digest, read_verdict(report), "dagster run run-1")
        assert decision.promotion, decision.why_not

    def _snapshot(self, line: str, folder: Path) -> None:
        curated, choice = self.lake.scan("curated_examples"), Selector(roles=(line,))
        build_snapshot(curated, choice, "ft_assets", SplitFractions(), [], None, folder, specialization=line)

    def _stored(self, kind: str, write: Any) -> Artifact:
        folder = self.folder / "made" / f"{kind}-{len(list((self.folder / 'made').glob('*')))}"
        folder.mkdir(parents=True)
        write(folder)
        return self.lake.put_artifact(kind, folder)


def _curated(line: str, day: str, number: int, good: bool) -> dict[str, Any]:
    name = f"{line}-{number:03d}"
    again = {"interaction_ids": [f"log-{name}", f"log-{name}-again"]} if number % 10 == 0 else {}
    low = {} if good else {"high_score": False, "quality_score": 0.2, "low_score_reason": "rating too low"}
    return curated_row(line, name, day) | again | low


def _provenance(line: str, snapshot: str, knobs: Mapping[str, Any]) -> dict[str, Any]:
    recipe = {"approach": "sft", "method": "lora", "learning_rate": 3e-3, "r": 16, **knobs}
    return {
        "specialization": line,
        "snapshot": snapshot,
        "base_id": "tiny-base",
        "base_digest": "b" * 64,
        "recipe": recipe,
        "recipe_digest": f"recipe of {sorted(knobs.items())}",
        "seed": 0,
        "system_prompt": None,
        "code_version": "c" * 64,
        "python": "3.11.7",
        "libraries": {"torch": "2.13.0"},
        "device": {"type": "cpu", "kind": "a CPU", "threads": 2},
    }
