"""raw_interactions and curated_examples as Dagster runs them."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import dagster as dg
import polars as pl
import pytest

from ft_assets.dataset.select import Selector, select
from ft_assets.defs.automation import late_feedback
from ft_assets.defs.curation import curated_examples
from ft_assets.defs.day_checks import day_checks
from ft_assets.defs.sources import raw_interactions
from ft_assets.defs.tables import in_batches
from ft_assets.errors import BadInput
from ft_assets.lake import Lake
from ft_assets_tests.defs.sensor_ticks import tick

WING = [raw_interactions, curated_examples, day_checks]


def run_days(
    instance: dg.DagsterInstance, resources: dict[str, Any], first: str, last: str
) -> dg.ExecuteInProcessResult:
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    return dg.materialize(WING, resources=resources, instance=instance, tags=tags, raise_on_error=False)


def evaluation(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    return next(each for each in result.get_asset_check_evaluations() if each.check_name == name)


def put(lake: Lake, day: str, *rows: dict[str, Any], name: str = "log.jsonl") -> None:
    lake.land(day, name, "".join(json.dumps(row) + "\n" for row in rows).encode())


def answer(name: str, words: str = "", **more: Any) -> dict[str, Any]:
    return {
        "interaction_id": name,
        "input_text": f"Why does the nightly import of the billing tables stop after the third file {words}",
        "output_text": "The third file has another encoding than the first two, so the reader stops at its first "
        f"umlaut; convert it to UTF-8 and start the import again {words}",
        **more,
    }


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_running_a_day_again_changes_nothing(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    land("2026-03-01", 4)
    run_days(instance, resources, "2026-03-01", "2026-03-01")
    before = lake.scan("curated_examples").sort("example_id").collect()
    run_days(instance, resources, "2026-03-01", "2026-03-01")
    assert lake.scan("curated_examples").sort("example_id").collect().equals(before)


@pytest.mark.slow
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
    check = evaluation(result, "few_records_are_rejected")
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


@pytest.mark.slow
def test_feedback_that_comes_later_changes_exactly_the_day_it_is_about(
    lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    put(lake, "2026-03-01", answer("a", "alpha one two three four five six"))
    put(lake, "2026-03-02", answer("b", "omega seven eight nine ten eleven twelve"))
    run_days(instance, resources, "2026-03-01", "2026-03-02")
    assert tick(late_feedback, instance, resources).skip_message == "All feedback about 0 days is in curated_examples."
    said = [{"interaction_id": "a", "user_rating": 5, "user_id": "u"}, {"interaction_id": "never seen", "rating": 1}]
    put(lake, "2026-03-03", *said)
    assert run_days(instance, resources, "2026-03-03", "2026-03-03").success
    requests = tick(late_feedback, instance, resources).run_requests
    assert [request.tags["dagster/asset_partition_range_start"] for request in requests] == ["2026-03-01"]
    assert not lake.scan("curated_examples").collect()["high_score"].any()
    again = dg.materialize(
        WING,
        selection=[curated_examples],
        resources=resources,
        instance=instance,
        tags=requests[0].tags,
    )
    assert again.success
    scores = lake.scan("curated_examples").sort("day").collect()
    assert scores["high_score"].to_list() == [True, False]
    assert "is in curated_examples" in tick(late_feedback, instance, resources).skip_message
    done = tick(late_feedback, instance, resources, tick(late_feedback, instance, resources).cursor)
    assert done.skip_message == "No feedback has come since the last look."


@pytest.mark.slow
def test_near_duplicates_of_other_days_are_grouped_and_published_ids_never_change(
    lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    put(lake, "2026-03-02", answer("a"), answer("other", "x1 x2 x3 x4 x5 x6 x7 x8 x9", conversation_id="c"))
    run_days(instance, resources, "2026-03-02", "2026-03-02")
    first = lake.scan("curated_examples").collect()
    put(lake, "2026-03-01", answer("backfilled", "today"))
    put(lake, "2026-03-03", answer("c", "again"), answer("d", "y1 y2 y3 y4 y5 y6 y7 y8", conversation_id="c"))
    run_days(instance, resources, "2026-03-01", "2026-03-03")
    rows = {row["interaction_ids"][0]: row for row in lake.scan("curated_examples").collect().to_dicts()}
    group = first.filter(pl.col("interaction_ids").list.first() == "a")["example_id"].item()
    assert {rows[name]["duplicate_group"] for name in ("a", "backfilled", "c")} == {group}
    assert rows["other"]["duplicate_group"] == rows["other"]["example_id"] == rows["d"]["cluster_id"]
    assert rows["a"]["cluster_id"] == rows["backfilled"]["cluster_id"] == group
    before = lake.scan("curated_examples").sort("example_id").collect()
    for segment in (lake.work_dir().parent / "index").rglob("*"):
        if segment.is_file():
            segment.write_bytes(b"torn")
    run_days(instance, resources, "2026-03-01", "2026-03-03")
    assert lake.scan("curated_examples").sort("example_id").collect().equals(before)


@pytest.mark.slow
def test_a_table_of_an_earlier_version_is_named_and_mended_by_curating_its_days_again(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    days = {"day": ["2026-03-01", "2026-03-02"]}
    for day in days["day"]:
        land(day, 3)
    run_days(instance, resources, "2026-03-01", "2026-03-02")
    made = lake.scan("curated_examples").sort("day", "example_id").collect()
    shutil.rmtree(f"{lake.url}/tables/curated_examples")
    new_columns = ("answer_id", "duplicate_group", "linked_clusters", "n_tokens")
    lake.replace("curated_examples", made.drop(new_columns), days)
    with pytest.raises(BadInput, match=r"duplicate_group.* are missing.*recurate"):
        select(lake.scan("curated_examples"), Selector())
    assert run_days(instance, resources, "2026-03-01", "2026-03-01").success
    with pytest.raises(BadInput, match="2026-03-02 has rows without duplicate_group"):
        select(lake.scan("curated_examples"), Selector())
    assert run_days(instance, resources, "2026-03-02", "2026-03-02").success
    assert lake.scan("curated_examples").sort("day", "example_id").collect().select(made.columns).equals(made)
    ids = pl.col("example_id", "prompt_id", "answer_id", "cluster_id", "duplicate_group")
    lake.replace("curated_examples", made.with_columns(ids + ids), days)
    with pytest.raises(BadInput, match="2026-03-01 has longer ids; 2026-03-02 has longer ids"):
        select(lake.scan("curated_examples"), Selector())
    for day in days["day"]:
        assert run_days(instance, resources, day, day).success
    assert lake.scan("curated_examples").sort("day", "example_id").collect().select(made.columns).equals(made)


@pytest.mark.slow
def test_records_that_vanish_are_missed(
    lake: Lake, land: Callable[..., None], instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    land("2026-03-01", 3)
    result = run_days(instance, resources, "2026-03-01", "2026-03-01")
    for name in ("every_record_is_accounted_for", "every_interaction_is_accounted_for"):
        assert evaluation(result, name).passed
    for table, failing in (
        ("curated_examples", ["every_interaction_is_accounted_for"]),
        ("raw_interactions", ["every_record_is_accounted_for"]),
    ):
        day = {"day": ["2026-03-01"]}
        lake.replace(table, lake.scan(table, day).collect()[:2], day)
        checks = dg.materialize(
            [day_checks, raw_interactions, curated_examples],
            selection=dg.AssetSelection.all_asset_checks(),
            resources=resources,
            instance=instance,
            tags={"dagster/partition": "2026-03-01"},
            raise_on_error=False,
        ).get_asset_check_evaluations()
        assert [check.check_name for check in checks if not check.passed] == failing


def test_days_are_cut_into_groups_of_bounded_weight_and_none_is_lost() -> None:
    weights = {"a": 3, "b": 3, "c": 9, "d": 1}
    assert list(in_batches(["a", "b", "c", "d", "e"], weights, 6)) == [["a", "b"], ["c"], ["d", "e"]]
    assert list(in_batches([], weights, 6)) == []
