"""The check that asks, before a GPU is, whether the YAML's recipe can be trained on the snapshot."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ft_assets.defs.conventions import SPECIALIZATIONS
from ft_assets.defs.dataset import train_eval_split
from ft_assets.defs.preflight_checks import training_can_succeed
from ft_assets.defs.training import base_model
from ft_assets.evaluation.deciding.gate_rules import GateRules, Guardrail
from ft_assets.evaluation.deciding.verdict import Condition
from ft_assets.lake import Lake
from ft_assets.training.recipe_overrides import with_overrides
from ft_assets_tests.defs.test_data_wing import run_days

pytestmark = pytest.mark.torch
LINE = "qa-engineer"


@pytest.fixture
def with_line(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes keys of the line; it takes rows of every task."""

    def change(**keys: Any) -> None:
        spec = SPECIALIZATIONS[LINE]
        every_task = spec.select.model_copy(update={"task_types": ()})
        monkeypatch.setitem(SPECIALIZATIONS, LINE, spec.model_copy(update={"select": every_task, **keys}))

    return change


@pytest.fixture
def curated(land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]) -> None:
    land("2026-03-01", 220, role=LINE)
    assert run_days(instance, resources, "2026-03-01", "2026-03-01").success


def snapshot_and_check(instance: dg.DagsterInstance, resources: dict[str, Any]) -> dg.ExecuteInProcessResult:
    @dg.asset(name="after", deps=[train_eval_split], partitions_def=train_eval_split.partitions_def)
    def after() -> None:
        """Stands for the training."""

    return dg.materialize(
        [train_eval_split, training_can_succeed, after],
        partition_key=LINE,
        instance=instance,
        resources=resources,
        raise_on_error=False,
    )


def verdict(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def trained(result: dg.ExecuteInProcessResult) -> bool:
    return "after" in [event.step_key for event in result.get_step_success_events()]


def test_a_line_that_can_train_is_green_with_its_figures(
    curated: None, with_line: Callable[..., None], lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    with_line()
    result = snapshot_and_check(instance, resources)
    found = verdict(result)
    assert found.passed
    assert found.metadata["sft_train"].value["rows"] > 100
    assert found.metadata["expected_steps"].value > 10
    assert "rows_under_recommended" in found.metadata["warnings"].value
    assert trained(result)
    assert list(lake.work_dir("tokens").iterdir()), "kept for the training"


def test_a_recipe_that_cannot_work_stops_the_run_before_training_with_every_reason(
    curated: None, with_line: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    short = with_overrides(SPECIALIZATIONS[LINE].recipe, {"max_length": 32, "eval_steps": 5_000, "save_steps": 5_000})
    with_line(recipe=short)
    result = snapshot_and_check(instance, resources)
    found = verdict(result)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert not trained(result)
    for reason in ("rows_over_max_length", "evaluation_never_happens", "saving_never_happens"):
        assert reason in found.description
    assert "lease" not in found.description, "no text of a row"


def test_without_a_tokenizer_the_check_warns_and_never_passes(
    curated: None, with_line: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    with_line(base_model={"path": "models/not-there"})
    result = snapshot_and_check(instance, resources)
    found = verdict(result)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "tokenizer_not_had" in found.description
    assert "holds no tokenizer_config.json" in found.description
    assert trained(result), "a warning stops nothing; the training looks again"


def test_a_stored_base_stands_in_for_a_directory_that_is_gone(
    curated: None,
    with_line: Callable[..., None],
    instance: dg.DagsterInstance,
    resources: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_line()
    made = dg.materialize([base_model], partition_key=LINE, instance=instance, resources=resources)
    assert made.success
    monkeypatch.setattr("ft_assets.training.tokenizer_files.TOKENIZER", "gone.json")
    assert verdict(snapshot_and_check(instance, resources)).passed


def test_a_line_with_too_few_rows_hears_it_from_its_snapshot_and_not_from_the_check(
    land: Callable[..., None],
    with_line: Callable[..., None],
    instance: dg.DagsterInstance,
    resources: dict[str, Any],
) -> None:
    with_line()
    land("2026-03-01", 20, role=LINE)
    assert run_days(instance, resources, "2026-03-01", "2026-03-01").success
    result = snapshot_and_check(instance, resources)
    assert result.get_asset_check_evaluations() == []
    assert [event.step_key for event in result.all_events if event.is_step_failure] == ["train_eval_split"]
    assert not trained(result)


def test_a_line_that_trains_nothing_is_skipped(
    curated: None, with_line: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    with_line(enabled=False)
    found = verdict(snapshot_and_check(instance, resources))
    assert found.passed
    assert found.metadata["status"].value == "SKIPPED"


def test_a_gate_that_could_promote_nobody_is_refused_with_what_the_last_report_saw(
    curated: None,
    with_line: Callable[..., None],
    lake: Lake,
    instance: dg.DagsterInstance,
    resources: dict[str, Any],
    tmp_path: Path,
) -> None:
    seen = Condition(kind="guardrail", suite="golden set", metric="exact_match", level=0.05, n_clusters=60)
    conditions = [seen.model_copy(update={"smallest_visible": 0.4}).model_dump()]
    report = {"format": 2, "judged_suite": "golden set", "verdict": {"conditions": conditions}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    digest = lake.put_artifact("report", tmp_path).digest
    made = dg.AssetMaterialization("evaluation_report", partition=LINE, metadata={"digest": digest})
    instance.report_runless_asset_event(made)
    with_line(gate=GateRules(guardrails=(Guardrail(metric="exact_match", margin=0.15),)))
    result = snapshot_and_check(instance, resources)
    assert not verdict(result).passed and not trained(result)
    assert "gate_without_power" in verdict(result).metadata["refused_because"].value
