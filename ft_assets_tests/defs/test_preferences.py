"""preference_pairs as Dagster runs it."""

from typing import Any

import dagster as dg
import polars as pl
import pytest

from ft_assets.dataset.preference_scores import MOST_LOOK_BACK_DAYS
from ft_assets.defs.automation import unpaired_days
from ft_assets.defs.conventions import DAYS
from ft_assets.defs.curation import curated_examples
from ft_assets.defs.preferences import LOOK_BACK, pair_checks, preference_pairs
from ft_assets.defs.sources import raw_interactions
from ft_assets.lake import Lake
from ft_assets_tests.dataset.preference_samples import Row, answer, corrected, said, table
from ft_assets_tests.defs.sensor_ticks import tick

ASKED = "Why does the import stop?"


def put(lake: Lake, *rows: Row, days: tuple[str, ...] = ()) -> None:
    frame = table(rows)
    lake.replace("curated_examples", frame, {"day": sorted({*frame["day"], *days})})


def run(
    instance: dg.DagsterInstance, resources: dict[str, Any], first: str, last: str | None = None, **more: Any
) -> dg.ExecuteInProcessResult:
    span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
    return dg.materialize(
        [raw_interactions, curated_examples, preference_pairs, pair_checks],
        selection=more.get("selection", dg.AssetSelection.assets(preference_pairs)),
        resources=resources,
        instance=instance,
        tags=span if last else {"dagster/partition": first},
        raise_on_error=False,
    )


def failing(result: dg.ExecuteInProcessResult) -> list[str]:
    return [each.check_name for each in result.get_asset_check_evaluations() if not each.passed]


def report(instance: dg.DagsterInstance, day: str) -> dict[str, Any]:
    wanted = dg.AssetRecordsFilter(asset_key=preference_pairs.key, asset_partitions=[day])
    found = instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
    assert found is not None
    return {name: value.value for name, value in found.metadata.items()}


def test_the_graph_says_how_far_back_a_day_reads() -> None:
    upstream = DAYS.subset_with_partition_keys(["2026-03-31"])
    read = LOOK_BACK.get_upstream_mapped_partitions_result_for_partitions(upstream, DAYS, DAYS)
    keys = sorted(read.partitions_subset.get_partition_keys())
    assert (keys[0], keys[-1], len(keys)) == ("2026-03-01", "2026-03-31", MOST_LOOK_BACK_DAYS + 1)


@pytest.mark.slow
def test_a_week_is_one_run_that_pairs_across_its_days(
    lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    put(lake, answer(ASKED, "A", 5, day="2026-02-20"), answer(ASKED, "B", 1, day="2026-03-03"))
    put(lake, corrected("p", "right", "wrong", day="2026-03-02"), corrected("q", "x", " X", day="2026-03-04"))
    result = run(instance, resources, "2026-03-01", "2026-03-07")
    assert result.success and failing(result) == []
    assert len(result.get_asset_check_evaluations()) == 2
    made = lake.scan("preference_pairs").sort("day").collect()
    assert made["day"].to_list() == ["2026-03-02", "2026-03-03"] and said(made) == [("A", "B"), ("right", "wrong")]
    assert len(instance.get_materialized_partitions(preference_pairs.key)) == 7
    rated = report(instance, "2026-03-03")
    assert (rated["dagster/row_count"], rated["pairs_by_origin"]) == (1, {"ratings": 1})
    assert rated["gap_of_rated_pairs"]["p50"] == 1.0
    assert report(instance, "2026-03-04")["dropped_by_reason"] == {"same_answers": 1}
    assert report(instance, "2026-03-05")["dagster/row_count"] == 0


@pytest.mark.slow
def test_the_first_days_of_all_have_pairs_though_none_are_before_them(
    lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    put(lake, corrected("p", "right", "wrong", day="2020-01-01"), corrected("q", "good", "bad", day="2020-01-02"))
    assert run(instance, resources, "2020-01-01").success
    assert run(instance, resources, "2020-01-01", "2020-01-02").success
    assert lake.scan("preference_pairs").collect().height == 2


@pytest.mark.slow
def test_a_day_that_is_made_again_has_exactly_its_pairs_of_now(
    lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    rows = [answer(ASKED, "A", 5, day="2026-03-01"), answer(ASKED, "B", 1, day="2026-03-02")]
    put(lake, *rows)
    run(instance, resources, "2026-03-01", "2026-03-02")
    before = lake.scan("preference_pairs").collect()
    run(instance, resources, "2026-03-02")
    assert lake.scan("preference_pairs").collect().equals(before) and before.height == 1
    put(lake, corrected(ASKED, "A, but right", "A", day="2026-03-01"))  # a correction that came late
    result = run(instance, resources, "2026-03-01")
    assert result.success and failing(result) == []
    assert sorted(lake.scan("preference_pairs").collect()["origin"]) == ["correction", "ratings"]
    checks = run(instance, resources, "2026-03-02", selection=dg.AssetSelection.all_asset_checks())
    assert failing(checks) == ["every_pair_says_what_its_examples_say"]
    assert run(instance, resources, "2026-03-02").success
    assert lake.scan("preference_pairs").collect()["origin"].to_list() == ["correction"]


@pytest.mark.slow
def test_pairs_that_are_none_are_found_in_the_table(
    lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    put(lake, corrected("p", "right", "wrong", day="2026-03-01"))
    run(instance, resources, "2026-03-01")
    same = lake.scan("preference_pairs").collect().with_columns(rejected=pl.col("chosen"))
    lake.replace("preference_pairs", same, {"day": ["2026-03-01"]})
    checks = run(instance, resources, "2026-03-01", selection=dg.AssetSelection.all_asset_checks())
    assert failing(checks)[0] == "every_pair_has_two_different_sides"


@pytest.mark.slow
def test_a_side_that_is_a_copy_of_an_earlier_example_is_found_in_the_table_of_copies(
    lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    first = answer(ASKED, "A", day="2026-02-01")
    put(lake, first, answer(ASKED, "B", day="2026-03-01", interaction_ids=["c:rejected"]))
    copies = {"interaction_id": ["c:chosen"], "example_id": [first["example_id"]], "day": ["2026-03-01"]}
    lake.replace("exact_copies", pl.DataFrame(copies), {"day": ["2026-03-01"]})
    assert run(instance, resources, "2026-03-01").success
    assert said(lake.scan("preference_pairs").collect()) == [("A", "B")]


@pytest.mark.slow
def test_curated_days_and_days_that_look_back_on_them_are_asked_for_and_no_others(
    lake: Lake, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    days = ["2026-01-05", "2026-01-20", "2026-03-31"]
    put(lake, *(answer(ASKED, f"It stopped on {day}.", 4.0, day=day) for day in days))
    for day in days:
        instance.report_runless_asset_event(dg.AssetMaterialization(curated_examples.key, partition=day))
    assert asked_for(instance, resources) == days
    assert all(run(instance, resources, day).success for day in days)
    assert "0 of 3 curated days" in (tick(unpaired_days, instance, resources).skip_message or "")
    put(lake, answer(ASKED, "It was curated again.", 1.0, day=days[0]), days=(days[0],))
    assert asked_for(instance, resources) == days[:2]  # the last looks back on March only
    assert all(run(instance, resources, day).success for day in days[:2])
    done = tick(unpaired_days, instance, resources)
    assert "0 of 3 curated days" in (done.skip_message or "")
    assert "since the last look" in (tick(unpaired_days, instance, resources, done.cursor).skip_message or "")


def asked_for(instance: dg.DagsterInstance, resources: dict[str, Any]) -> list[str]:
    requests = tick(unpaired_days, instance, resources).run_requests or []
    return [request.tags["dagster/asset_partition_range_start"] for request in requests]
