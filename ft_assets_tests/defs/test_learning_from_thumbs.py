"""A line that learns from single thumbs (KTO) through the real assets, and the guard that reads what it was given."""

import json
from typing import Any

import dagster as dg
import pytest

from ft_assets.dataset.judged_rows import read_judged
from ft_assets.defs.conventions import SPECIALIZATIONS
from ft_assets.defs.dataset import train_eval_split
from ft_assets.defs.snapshot_checks import snapshot_checks
from ft_assets.defs.training import base_model, lora_checkpoint
from ft_assets.defs.training_checks import refuse_eval_rows, trained_on_no_eval_row
from ft_assets.lake import Lake
from ft_assets.training.received import RECEIVED_FILE
from ft_assets.training.recipe import Recipe
from ft_assets_tests.defs.test_data_wing import put, run_days
from ft_assets_tests.training.samples import needs_base

pytestmark = [pytest.mark.torch, needs_base]
LINE, LIKED, DISLIKED = "qa-engineer", 220, 60
# Few rows and a model of four million weights: what the preflight says of both is not the matter here.
QUICK = {
    "approach": "kto",
    "num_train_epochs": 1,
    "max_length": 256,
    "learning_rate": 1e-3,
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "outside_range": {"learning_rate": "a tiny model"},
}


def thumb(number: int) -> dict[str, Any]:
    liked = number < LIKED
    said = f"Worker {number} lost its lease on queue {number % 17}; restart it and look again."
    return {
        "interaction_id": f"log-{number}",
        "role": LINE,
        "task_type": "debugging",
        "input_text": f"qa asks why request number {number} of the {number % 17} queue fails",
        "output_text": said
        if liked
        else f"No idea what is wrong with {number}, ask somebody else about {number % 17}.",
        "user_feedback": 5 if liked else 1,
        "source": "test",
    }


def test_a_line_that_learns_from_thumbs_is_given_all_of_its_side_and_nothing_else(
    lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPECIALIZATIONS[LINE]
    every_task = spec.select.model_copy(update={"task_types": ()})
    learner = {"approach": "kto", "recipe": Recipe.model_validate(QUICK), "select": every_task}
    monkeypatch.setitem(SPECIALIZATIONS, LINE, spec.model_copy(update=learner))
    put(lake, "2026-03-01", *map(thumb, range(LIKED + DISLIKED)))
    assert run_days(instance, resources, "2026-03-01", "2026-03-01").success
    result = dg.materialize(
        [train_eval_split, snapshot_checks, base_model, lora_checkpoint, trained_on_no_eval_row],
        partition_key=LINE,
        instance=instance,
        resources=resources,
    )
    (check,) = (e for e in result.get_asset_check_evaluations() if e.check_name == "trained_on_no_eval_row")
    assert check.passed
    snapshot, adapter = (digest_of(result, name) for name in ("train_eval_split", "lora_checkpoint"))
    folder, judged = (
        lake.artifact("adapter", adapter).path,
        read_judged(lake.artifact("snapshot", snapshot).path, "train"),
    )
    received = json.loads((folder / RECEIVED_FILE).read_text())["train"]
    assert list(received) == ["judged"] and sorted(received["judged"]) == [row.example_id for row in judged]
    liked = sum(row.liked for row in judged)
    assert liked >= 100 and len(judged) - liked > 30
    assert json.loads((folder / "provenance.json").read_text())["recipe"]["approach"] == "kto"
    refuse_eval_rows(lake, SPECIALIZATIONS[LINE], adapter)


def digest_of(result: dg.ExecuteInProcessResult, asset: str) -> str:
    (made,) = result.asset_materializations_for_node(asset)
    return str(made.metadata["digest"].value)
