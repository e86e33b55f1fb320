"""Two model lines as their assets leave them before an evaluation, so that `evaluation_report` alone is materialized.

Weights are real where this process answers, and a few bytes where an endpoint does; snapshots, provenance and what the
training received are written by the project's own functions. The lines are YAML files, read by the project's loader.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml

from ft_assets.dataset.rows import read_side
from ft_assets.dataset.select import Selector
from ft_assets.dataset.snapshot import build_snapshot
from ft_assets.dataset.split import SplitFractions
from ft_assets.defs.conventions import SPECIALIZATIONS
from ft_assets.defs.evaluation import evaluation_report, every_model_answered_the_same_prompts
from ft_assets.lake import Artifact, Lake
from ft_assets.settings import PROJECT_ROOT
from ft_assets.specializations.loader import load_specializations
from ft_assets.state import State
from ft_assets.training.received import write_received
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets_tests.dataset.conftest import TYPES
from ft_assets_tests.dataset.curated_rows import curated_row

LINE, OTHER = "qa-engineer", "devops-engineer"
TASKS = ("test_cases", "bug_identification")
BASE_DIR = PROJECT_ROOT / "data" / "tiny_base"
Row = Mapping[str, Any]


class EvaluatedLines:
    """The lake, the state and the instance of a test."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, patch: pytest.MonkeyPatch):
        self.folder, self.instance, self.patch = folder, instance, patch
        self.lake = Lake(str(folder / "lake"), folder / "cache")
        self.state = State(f"sqlite:///{folder}/state.db")
        self.base = self.lake.put_artifact("base_model", BASE_DIR)

    def write_line(
        self, name: str = LINE, gate: Mapping[str, Any] | None = None, golden: Sequence[Row] = (), **evaluation: Any
    ) -> None:
        """A line's YAML file, loaded in the place of the bundled one; its golden set is written beside it."""
        quick: dict[str, Any] = {"max_new_tokens": 12, "general_ability": False, "interference": False}
        if golden:
            quick["golden_set"] = self.questions(f"golden-{name}.jsonl", golden)
        content = {"name": name, "description": "Made for tests.", "select": {"roles": [name]}}
        content |= {"base_model": "tiny-base", "evaluation": {**quick, **evaluation}, "gate": dict(gate or {})}
        folder = self.folder / "lines" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
        self.load_line(name)

    def load_line(self, name: str = LINE) -> None:
        """The line of a file that is there."""
        lines = load_specializations(self.folder / "lines" / name, self.folder)
        self.patch.setitem(SPECIALIZATIONS, name, lines[name])

    def questions(self, name: str, rows: Sequence[Row]) -> str:
        """Rows as a file of questions; returns its path as a line names it."""
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        (self.folder / name).write_text("".join(lines), encoding="utf-8")
        return name

    def snapshot(self, rows: int = 150, eval_fraction: float = 0.10) -> Artifact:
        """Curated rows of the line, split."""
        curated = pl.DataFrame([_curated(number) for number in range(rows)], schema=TYPES)
        folder = self._folder()
        sides = SplitFractions(eval_fraction=eval_fraction)
        build_snapshot(curated, Selector(roles=(LINE,)), "ft_assets", sides, [], None, folder, specialization=LINE)
        return self.lake.put_artifact("snapshot", folder)

    def adapter(self, weights: Path | str, snapshot: Artifact | None = None, base: Artifact | None = None) -> Artifact:
        """A model that says that it received its snapshot's rows. `weights` are a folder of them, or a few bytes."""
        snapshot = snapshot or self.snapshot()
        folder = self._folder()
        if isinstance(weights, Path):
            for file in weights.iterdir():
                (folder / file.name).write_bytes(file.read_bytes())
        else:
            (folder / "adapter_model.safetensors").write_text(weights)
        examples = {side: read_side(snapshot.path, side) for side in ("train", "validation")}
        write_received(folder, TrainingRows(*(SideRows(examples=rows) for rows in examples.values())))
        (folder / "training_log.json").write_text(json.dumps({"train": [], "validation": []}))
        origin = _provenance(snapshot.digest, (base or self.base).digest)
        (folder / "provenance.json").write_text(json.dumps(origin))
        return self.lake.put_artifact("adapter", folder)

    def trained(self, adapter: Artifact, line: str = LINE) -> Artifact:
        """The adapter, after its run of `lora_checkpoint` has told of it."""
        made: dict[str, Any] = {"digest": adapter.digest, "device_seconds": 61.5, "tokens": 4321}
        event = dg.AssetMaterialization("lora_checkpoint", partition=line, metadata=made)
        self.instance.report_runless_asset_event(event)
        return adapter

    def in_use(self, adapter: Artifact, line: str = LINE) -> Artifact:
        """The adapter as the first champion."""
        self.state.promote(line, adapter.digest, None, "a test", "for a test", "e" * 64)
        return adapter

    def evaluate(self, line: str = LINE) -> dg.ExecuteInProcessResult:
        """`evaluation_report` with its check."""
        return dg.materialize(
            [evaluation_report, every_model_answered_the_same_prompts],
            partition_key=line,
            instance=self.instance,
            resources={"lake": self.lake, "state": self.state},
            raise_on_error=False,
        )

    def report(self, line: str = LINE) -> tuple[dict[str, Any], Path]:
        """The content of a new report, and its folder."""
        result = self.evaluate(line)
        assert result.success, why_failed(result)
        made = result.asset_materializations_for_node("evaluation_report")[0].metadata
        folder = self.lake.artifact("report", str(made["digest"].value)).path
        return json.loads((folder / "report.json").read_text()), folder

    def _folder(self) -> Path:
        folder = self.folder / "made" / str(len(list((self.folder / "made").glob("*"))))
        folder.mkdir(parents=True)
        return folder


def why_failed(result: dg.ExecuteInProcessResult) -> str:
    """The kind and the words of what ended a step; nothing where none ended."""
    errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    causes = [error.cause or error for error in errors if error]
    return "\n".join(f"{cause.cls_name}: {cause.message}" for cause in causes)


def golden(count: int, **more: Any) -> list[dict[str, Any]]:
    """Golden questions, each independent of the others; `more` is written into every row."""
    return [
        {
            "id": f"g{number:04d}",
            "cluster_id": f"g{number:04d}",
            "task_type": TASKS[number % 2],
            "slice": "all",
            "difficulty": ("easy", "hard")[number % 3 == 0],
            "messages": [
                {"role": "user", "content": f"What holds in case {number} of the {number % 13} gate?"},
                {"role": "assistant", "content": expected(number)},
            ],
            **more,
        }
        for number in range(count)
    ]


def expected(number: int) -> str:
    """The reference of a golden question."""
    return f"Given case {number}, when gate {number % 13} opens, then it holds."


def _curated(number: int) -> dict[str, Any]:
    said = f"Which test covers item {number}?", f"Item {number} ends, so test {number} passes."
    return curated_row(LINE, f"{LINE}-{number:03d}", "2026-03-01", TASKS[number % 2], said)


def _provenance(snapshot: str, base: str) -> dict[str, Any]:
    return {
        "specialization": LINE,
        "snapshot": snapshot,
        "base_id": "tiny-base",
        "base_digest": base,
        "recipe": {"approach": "sft", "method": "lora"},
        "recipe_digest": "recipe",
        "seed": 0,
        "system_prompt": None,
        "libraries": {"torch": "2.13.0"},
    }
