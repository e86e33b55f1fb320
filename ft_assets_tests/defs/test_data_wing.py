"""raw_interactions and curated_examples as Dagster runs them."""

import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import polars as pl

from ft_assets.defs.curation import (
    curated_examples,
    every_interaction_is_accounted_for,
    masked_text_holds_no_secret,
)
from ft_assets.defs.sources import few_records_are_rejected, raw_interactions
from ft_assets.lake import Lake

WING = [
    raw_interactions,
    curated_examples,
    few_records_are_rejected,
    masked_text_holds_no_secret,
    every_interaction_is_accounted_for,
]


def run_days(
    instance: dg.DagsterInstance, resources: dict[str, Any], first: str, last: str
) -> dg.ExecuteInProcessResult:
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return dg.materialize(WING, resources=resources, instance=instance, tags=tags, raise_on_error=False)


def test_a_week_is_one_run_that_writes_every_day(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    for day in range(1, 8):
        land(f"2026-03-0{day}", day)
    result = run_days(instance, resources, "2026-03-01", "2026-03-07")
    assert result.success
    by_day = dict(lake.scan("curated_examples").group_by("day").len().collect().rows())
    assert by_day == {f"2026-03-0{day}": day for day in range(1, 8)}
    made = instance.get_materialized_partitions(dg.AssetKey("curated_examples"))
    assert made == set(by_day)


def test_each_day_reports_its_own_rows(
    land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    land("2026-03-01", 2)
    land("2026-03-02", 5)
    run_days(instance, resources, "2026-03-01", "2026-03-02")
    for day, rows in (("2026-03-01", 2), ("2026-03-02", 5)):
        record = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey("curated_examples"), asset_partitions=[day]), limit=1
        ).records[0]
        assert record.asset_materialization is not None
        assert record.asset_materialization.metadata["dagster/row_count"].value == rows


def test_running_a_day_again_changes_nothing(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    land("2026-03-01", 4)
    run_days(instance, resources, "2026-03-01", "2026-03-01")
    before = lake.scan("curated_examples").sort("example_id").collect()
    run_days(instance, resources, "2026-03-01", "2026-03-01")
    assert lake.scan("curated_examples").sort("example_id").collect().equals(before)


def test_a_later_copy_of_an_interaction_is_rejected_and_accounted_for(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    land("2026-03-01", 3)
    lake.land("2026-03-02", "copy.jsonl", lake.read_landing("2026-03-01", "log.jsonl"))
    assert run_days(instance, resources, "2026-03-01", "2026-03-02").success
    rejected = lake.scan("rejections").filter(pl.col("rule") == "duplicate_interaction").collect()
    assert rejected["day"].to_list() == ["2026-03-02"] * 3
    assert lake.scan("raw_interactions").collect().height == 3


def test_a_day_of_broken_records_warns_and_says_where(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    lake.land("2026-03-01", "new-format.jsonl", b'{"unheard": 1}\n{"of": 2}\n')
    result = run_days(instance, resources, "2026-03-01", "2026-03-01")
    assert result.success, "bad records do not stop the day"
    check = next(e for e in result.get_asset_check_evaluations() if e.check_name == "few_records_are_rejected")
    assert not check.passed
    assert "new-format.jsonl:1" in str(check.metadata["first_places"].value)
    assert "2026-03-01" in str(check.description)


def test_secrets_never_reach_the_examples(lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]) -> None:
    row = {
        "interaction_id": "a",
        "task_type": "debugging",
        "input_text": "my key is AKIAIOSFODNN7EXAMPLE and my mail jane.doe@example.com, why does it fail?",
        "output_text": "Because the key of jane.doe@example.com was revoked yesterday; ask for another one.",
        "user_feedback": 5,
        "source": "test",
    }
    lake.land("2026-03-01", "log.jsonl", json.dumps(row).encode())
    assert run_days(instance, resources, "2026-03-01", "2026-03-01").success
    text = json.dumps(lake.scan("curated_examples").collect()["messages"].to_list())
    assert "AKIA" not in text and "jane.doe" not in text
    assert lake.scan("curated_examples").collect()["high_score"].to_list() == [True]
