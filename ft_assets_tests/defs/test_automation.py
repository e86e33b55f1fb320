"""What the sensors ask for, on a real instance and a real lake."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ft_assets import errors
from ft_assets.dataset.split import side_of
from ft_assets.defs import automation
from ft_assets.defs.automation import changed_landing_days, neighbours, new_high_score_samples, next_step
from ft_assets.defs.conventions import SETTINGS, SPECIALIZATIONS
from ft_assets.defs.dataset import write_snapshot
from ft_assets.defs.retraining import STATE_TAG
from ft_assets.errors import BadInput, NotRerunnable
from ft_assets.lake import Lake
from ft_assets_tests.defs.sensor_ticks import tick
from ft_assets_tests.defs.test_data_wing import run_days

DAY = "2026-03-01"


def test_the_landing_sensor_asks_for_exactly_the_days_that_changed(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    for day in ("2026-03-01", "2026-03-02", "2026-03-05"):
        land(day, 1)
    first = tick(changed_landing_days, instance, resources)
    asked = [
        (r.tags["dagster/asset_partition_range_start"], r.tags["dagster/asset_partition_range_end"])
        for r in first.run_requests
    ]
    assert asked == [("2026-03-01", "2026-03-02"), ("2026-03-05", "2026-03-05")]
    assert tick(changed_landing_days, instance, resources, first.cursor).run_requests == []
    land("2026-03-02", 2)
    again = tick(changed_landing_days, instance, resources, first.cursor)
    assert [r.tags["dagster/asset_partition_range_start"] for r in again.run_requests] == ["2026-03-02"]


def test_folders_that_are_no_day_are_named_and_the_sensor_goes_on(
    lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "lake" / "landing" / "march-first").mkdir(parents=True)
    (tmp_path / "lake" / "landing" / "1999-01-01").mkdir()
    result = tick(changed_landing_days, instance, resources)
    assert "march-first" in result.skip_message and "1999-01-01" in result.skip_message


def test_neighbouring_days_are_one_run() -> None:
    days = ["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-03"]
    assert list(neighbours(days)) == [days[:3], days[3:]]


def land_train_rows(
    lake: Lake, land: Callable[..., None], instance: Any, resources: dict[str, Any], count: int
) -> None:
    """Lands exactly `count` rows of the QA line whose side is train, and curates them."""
    land(DAY, 200, role="qa-engineer")
    assert run_days(instance, resources, DAY, DAY).success
    examples = lake.scan("curated_examples").collect().to_dicts()
    train = {row["interaction_ids"][0] for row in examples if side_of(row["cluster_id"], SETTINGS.split_key) == "train"}
    lines = lake.read_landing(DAY, "log.jsonl").decode().splitlines()
    kept = [line for line in lines if json.loads(line)["interaction_id"] in train][:count]
    lake.land(DAY, "log.jsonl", "\n".join(kept).encode())
    assert run_days(instance, resources, DAY, DAY).success


@pytest.fixture(autouse=True)
def only_tasks_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = SPECIALIZATIONS["qa-engineer"]
    lines = {"qa-engineer": spec.model_copy(update={"select": spec.select.model_copy(update={"task_types": ()})})}
    monkeypatch.setattr("ft_assets.defs.automation.SPECIALIZATIONS", lines)


def test_99_new_samples_start_nothing_and_the_sensor_says_so(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    land_train_rows(lake, land, instance, resources, 99)
    result = tick(new_high_score_samples, instance, resources)
    assert result.run_requests == []
    assert "qa-engineer 99 of 100" in result.skip_message


@pytest.mark.slow
def test_100_new_samples_ask_for_one_run_per_state_of_the_data(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    land_train_rows(lake, land, instance, resources, 100)
    first, second = (tick(new_high_score_samples, instance, resources).run_requests for _ in range(2))
    assert [r.partition_key for r in first] == ["qa-engineer"]
    assert first[0].run_key == second[0].run_key, "the same state of the data is the same run"


@pytest.mark.slow
def test_a_line_with_a_run_under_way_waits_for_it(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    land_train_rows(lake, land, instance, resources, 100)
    started = instance.create_run_for_job(
        empty, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "qa-engineer"}
    )
    result = tick(new_high_score_samples, instance, resources)
    assert result.run_requests == []
    assert started.run_id[:8] in result.skip_message


@pytest.mark.slow
def test_after_two_failed_runs_on_the_same_data_it_waits_for_data_or_recipe(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    land_train_rows(lake, land, instance, resources, 100)
    for attempt in ("1", "2"):
        request = tick(new_high_score_samples, instance, resources).run_requests[0]
        assert request.run_key.endswith(attempt)
        tags = {"dagster/partition": "qa-engineer", STATE_TAG: request.tags[STATE_TAG]}
        instance.create_run_for_job(empty, status=dg.DagsterRunStatus.FAILURE, tags=tags)
    result = tick(new_high_score_samples, instance, resources)
    assert result.run_requests == []
    assert "did not train" in result.skip_message


@pytest.mark.slow
def test_what_a_successful_training_consumed_is_not_new_any_more(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any], tmp_path: Path
) -> None:
    land_train_rows(lake, land, instance, resources, 120)
    spec = automation.SPECIALIZATIONS["qa-engineer"]
    write_snapshot(lake, resources["state"], spec, tmp_path / "snapshot", {})
    snapshot = lake.put_artifact("snapshot", tmp_path / "snapshot")
    resources["state"].record_trained("qa-engineer", snapshot.digest, "recipe", "base", "model")
    assert "qa-engineer 0 of 100" in tick(new_high_score_samples, instance, resources).skip_message


@pytest.mark.slow
def test_nothing_is_read_while_the_tables_are_unchanged(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any], tmp_path: Path
) -> None:
    land_train_rows(lake, land, instance, resources, 99)
    first = tick(new_high_score_samples, instance, resources)
    for file in (tmp_path / "lake" / "tables" / "curated_examples").rglob("*.parquet"):
        file.unlink()  # whoever reads the table now, fails
    again = tick(new_high_score_samples, instance, resources, first.cursor)
    assert again.skip_message == first.skip_message


def test_the_failure_sensor_tells_what_a_rerun_can_mend() -> None:
    assert "cannot help" in next_step("BadConfiguration", "run-1")
    assert "from failure" in next_step("IncompleteArtifact", "run-1")
    assert "from failure" in next_step(None, "run-1")
    assert "cannot help" in next_step("TrainingDiverged", "run-1")
    assert "from failure" in next_step("TrainingSlowed", "run-1")


def test_every_error_that_a_rerun_cannot_mend_stands_where_the_failure_sensor_looks() -> None:
    final = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, NotRerunnable)}
    elsewhere = [
        f"{path.name}: {found[1]}"
        for path in (SETTINGS.project_root / "ft_assets").rglob("*.py")
        if path.name != "errors.py"
        for found in re.finditer(r"^class (\w+)\((\w+)\):", path.read_text(), re.MULTILINE)
        if found[2] in final
    ]
    assert not elsewhere


@dg.job(name="retrain")
def empty() -> None:
    """Stands for runs of the job `retrain` in the run storage."""


@dg.asset
def broken() -> None:
    raise BadInput("line 7 has no answer; mend it")


def test_a_failed_run_is_explained_with_its_step_its_cause_and_what_to_do(
    instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    result = dg.materialize([broken], instance=instance, raise_on_error=False)
    event = next(event for event in result.all_events if event.event_type_value == "PIPELINE_FAILURE")
    context = dg.build_run_status_sensor_context(
        sensor_name="explain_failed_runs",
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        dagster_event=event,
    ).for_run_failure()
    capfd.readouterr()
    automation.explain_failed_runs(context)
    said = capfd.readouterr().err
    assert "failed in broken" in said
    assert "line 7 has no answer" in said
    assert "Running it again cannot help" in said
