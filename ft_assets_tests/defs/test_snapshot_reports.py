"""The reports about a snapshot as Dagster runs them: Great Expectations, its Data Docs and the data card."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ft_assets.dataset.expectations_figures import CHECKS
from ft_assets.dataset.expectations_limits import Expectations, HardFloor
from ft_assets.defs.conventions import SPECIALIZATIONS
from ft_assets.defs.dataset import train_eval_split
from ft_assets.defs.snapshot_reports import (
    CARD,
    EXPECTED,
    Reported,
    earlier_snapshot,
    expectation_results,
    snapshot_reports,
)
from ft_assets.lake import Lake
from ft_assets_tests.defs.test_data_wing import evaluation, run_days

LINE = "qa-engineer"
slow = pytest.mark.slow


@pytest.fixture
def rated(
    land: Callable[..., None],
    instance: dg.DagsterInstance,
    resources: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """220 rated answers of one line, whatever their task."""
    spec = SPECIALIZATIONS[LINE]
    select = spec.select.model_copy(update={"task_types": ()})
    rules = spec.rules.model_copy(update={"most_prompts_per_answer": 1_000})
    monkeypatch.setitem(SPECIALIZATIONS, LINE, spec.model_copy(update={"select": select, "rules": rules}))
    land("2026-03-01", 220, role=LINE)
    assert run_days(instance, resources, "2026-03-01", "2026-03-01").success


def report(instance: dg.DagsterInstance, resources: dict[str, Any]) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [train_eval_split, snapshot_reports],
        partition_key=LINE,
        instance=instance,
        resources=resources,
        raise_on_error=False,
    )


def latest_digest(instance: dg.DagsterInstance) -> str:
    event = instance.get_latest_materialization_event(train_eval_split.key)
    assert event and event.asset_materialization
    return str(event.asset_materialization.metadata["digest"].value)


def test_the_checks_are_those_of_the_expectations_and_the_card():
    assert tuple(EXPECTED) == CHECKS
    names = {spec.name for spec in snapshot_reports.check_specs}
    assert names == {*EXPECTED, *CARD}
    assert not any(spec.blocking for spec in snapshot_reports.check_specs)


@slow
def test_a_first_snapshot_is_reported_and_a_second_is_compared_with_it(
    rated: None,
    lake: Lake,
    land: Callable[..., None],
    instance: dg.DagsterInstance,
    resources: dict[str, Any],
) -> None:
    first = report(instance, resources)
    assert first.success, "warnings stop nothing"
    scores = evaluation(first, "scores_are_like_in_the_last_snapshot")
    assert scores.passed and scores.description == "no earlier snapshot"
    ready = evaluation(first, "snapshot_is_ready_to_train_on")
    assert not ready.passed and ready.severity == dg.AssetCheckSeverity.WARN
    assert "fewer than the recommended minimum of 1,000" in str(ready.description)

    earlier = latest_digest(instance)
    land("2026-03-02", 60, role=LINE)
    assert run_days(instance, resources, "2026-03-02", "2026-03-02").success
    second = report(instance, resources)
    assert latest_digest(instance) != earlier
    for name in EXPECTED:
        assert evaluation(second, name).metadata["compared_with"].value == earlier
    card = evaluation(second, "data_card_adds_up")
    assert card.passed, card.description
    markdown = str(card.metadata["data_card"].value)
    assert re.search(r"\d+ rows are new and \d+ are gone", markdown) and "](data:image/png;base64," in markdown
    kept = lake.artifact("data_card", str(card.metadata["digest"].value))
    assert json.loads((kept.path / "facts.json").read_bytes())["snapshot"] == latest_digest(instance)
    observed = instance.fetch_observations(train_eval_split.key, limit=1).records[0].asset_observation
    assert observed and observed.partition == LINE and observed.metadata["data_card"].value == markdown


@slow
def test_the_same_snapshot_gives_the_same_documents(
    rated: None, lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    report(instance, resources)
    result = report(instance, resources)
    assert result.success
    assert len(lake.artifacts("expectations")) == len(lake.artifacts("data_card")) == 1
    page = Path(str(evaluation(result, "lengths_are_within_bounds").metadata["data_docs"].value))
    assert page.name == "index.html" and "Expectations of qa-engineer" in page.read_text()


@slow
def test_a_snapshot_from_before_the_hard_floor_is_an_error(
    rated: None, lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    assert dg.materialize([train_eval_split], partition_key=LINE, instance=instance, resources=resources).success
    snapshot = lake.artifact("snapshot", latest_digest(instance))
    floor = Expectations(hard_floor=HardFloor(human_verified_share=0.5))
    spec = SPECIALIZATIONS[LINE].model_copy(update={"expectations": floor})
    results = {result.check_name: result for result in expectation_results(lake, Reported(lake, spec, snapshot, None))}
    ready = results.pop("snapshot_is_ready_to_train_on")
    assert not ready.passed and ready.severity == dg.AssetCheckSeverity.ERROR
    assert "under the hard floor: 0.0% human-verified train rows of 50.0%" in str(ready.description)
    assert {result.severity for result in results.values()} == {dg.AssetCheckSeverity.WARN}


@slow
def test_a_snapshot_is_never_compared_with_itself(
    rated: None, lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    def make() -> str:
        assert dg.materialize([train_eval_split], partition_key=LINE, instance=instance, resources=resources).success
        return latest_digest(instance)

    spec, state = SPECIALIZATIONS[LINE], resources["state"]
    first = make()
    assert earlier_snapshot(instance, lake, state, spec, first) is None
    land("2026-03-02", 60, role=LINE)
    assert run_days(instance, resources, "2026-03-02", "2026-03-02").success
    second = make()
    for trained in (None, first, second):
        if trained:
            state.record_trained(LINE, trained, "recipe", "base", f"model of {trained}")
        found = earlier_snapshot(instance, lake, state, spec, second)
        assert found and found.digest == first
