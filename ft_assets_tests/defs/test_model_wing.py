"""The model wing on the embedded tiny model: from curated rows to a registered model, with real training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ft_assets.defs.conventions import SPECIALIZATIONS
from ft_assets.defs.dataset import train_eval_split
from ft_assets.defs.evaluation import evaluation_report, every_model_answered_the_same_prompts
from ft_assets.defs.preflight_checks import training_can_succeed
from ft_assets.defs.release import champion_was_proved, registered_model
from ft_assets.defs.snapshot_checks import snapshot_checks
from ft_assets.defs.training import base_model, lora_checkpoint
from ft_assets.defs.training_checks import trained_on_no_eval_row
from ft_assets.lake import Lake
from ft_assets_tests.defs.test_data_wing import run_days

pytestmark = pytest.mark.torch
LINE = "qa-engineer"
WING = [
    train_eval_split,
    snapshot_checks,
    base_model,
    training_can_succeed,
    lora_checkpoint,
    trained_on_no_eval_row,
    evaluation_report,
    every_model_answered_the_same_prompts,
    registered_model,
    champion_was_proved,
]
QUICK = {"num_train_epochs": 2, "max_length": 256}


def run_retrain(instance: dg.DagsterInstance, resources: dict[str, Any], **overrides: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        WING,
        partition_key=LINE,
        instance=instance,
        resources=resources,
        run_config={"ops": {"lora_checkpoint": {"config": {"overrides": {**QUICK, **overrides}}}}},
        raise_on_error=False,
    )


@pytest.fixture
def curated(
    lake: Lake,
    land: Callable[..., None],
    instance: dg.DagsterInstance,
    resources: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """220 rated answers of one line, whatever their task. Its models are asked its own questions only."""
    spec = SPECIALIZATIONS[LINE]
    select = spec.select.model_copy(update={"task_types": ()})
    only_its_own = {"general_ability": False, "interference": False, "retrieved_examples": 0}
    evaluation = spec.evaluation.model_copy(update=only_its_own)
    monkeypatch.setitem(SPECIALIZATIONS, LINE, spec.model_copy(update={"select": select, "evaluation": evaluation}))
    land("2026-03-01", 220, role=LINE)
    assert run_days(instance, resources, "2026-03-01", "2026-03-01").success


def metadata(instance: dg.DagsterInstance, asset: str) -> dict[str, Any]:
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[LINE]), limit=1
    ).records
    made = records[0].asset_materialization
    assert made is not None
    return {key: value.value for key, value in made.metadata.items()}


def test_rows_become_a_registered_model_whose_lineage_is_in_the_artifact(
    curated: None, lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    result = run_retrain(instance, resources)
    assert result.success
    snapshot, adapter = metadata(instance, "train_eval_split"), metadata(instance, "lora_checkpoint")
    origin = json.loads((lake.artifact("adapter", adapter["digest"]).path / "provenance.json").read_text())
    assert origin["snapshot"] == snapshot["digest"]
    assert origin["base_digest"] == metadata(instance, "base_model")["digest"]
    assert adapter["loss_curve"].startswith("![plot](data:image/png;base64,")
    registered = metadata(instance, "registered_model")
    assert registered["name"].startswith("ea-qa-engineer-tiny-base-v1.0-")
    version = resources["tracking"].client().get_model_version_by_alias("ea-qa-engineer", "candidate")
    assert version.tags["adapter_digest"] == adapter["digest"]
    assert version.tags["snapshot"] == snapshot["digest"]
    assert version.tags["dagster_run_id"] == result.run_id


def test_too_few_eval_clusters_hold_the_model_back_and_the_run_still_succeeds(
    curated: None, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    assert run_retrain(instance, resources).success
    registered = metadata(instance, "registered_model")
    assert registered["promoted"] is False
    assert "hold" in registered["verdict"]
    assert "fewer than the 50 required" in registered["verdict"]
    assert resources["state"].champion(LINE) is None


def test_a_run_evaluates_its_own_adapter_and_not_a_later_one(
    curated: None, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    first = run_retrain(instance, resources)
    second = run_retrain(instance, resources, seed=1)
    assert first.success
    assert second.success
    names = [version.tags["version_name"] for version in versions(resources)]
    assert len({name.split("-")[-2] for name in names}) == 2, "another seed is another model and another version"
    assert metadata(instance, "evaluation_report")["candidate"] == metadata(instance, "lora_checkpoint")["digest"]


def versions(resources: dict[str, Any]) -> list[Any]:
    return list(resources["tracking"].client().search_model_versions("name = 'ea-qa-engineer'"))


def test_a_flipped_byte_in_the_snapshot_is_not_trained_on(
    curated: None, lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any], tmp_path: Path
) -> None:
    assert run_retrain(instance, resources).success
    train = lake.artifact("snapshot", metadata(instance, "train_eval_split")["digest"]).path / "train.jsonl"
    content = bytearray(train.read_bytes())
    content[100] ^= 1
    train.chmod(0o644)
    train.write_bytes(bytes(content))
    result = dg.materialize(
        WING,
        selection=[lora_checkpoint],
        partition_key=LINE,
        instance=instance,
        resources=resources,
        raise_on_error=False,
    )
    assert not result.success
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "train.jsonl" in str(failure.step_failure_data.error)


def test_a_line_that_trains_nothing_leaves_skip_records(
    curated: None, instance: dg.DagsterInstance, resources: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SPECIALIZATIONS[LINE]
    monkeypatch.setitem(SPECIALIZATIONS, LINE, spec.model_copy(update={"enabled": False}))
    assert run_retrain(instance, resources).success
    for asset in ("lora_checkpoint", "evaluation_report", "registered_model"):
        assert metadata(instance, asset).items() >= {"status": "SKIPPED", "reason": "enabled is false"}.items()
