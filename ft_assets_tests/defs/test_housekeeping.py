import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ft_assets.defs.conventions import SPECIALIZATIONS
from ft_assets.defs.housekeeping import housekeeping_job, weekly_housekeeping
from ft_assets.lake import Lake

LINE = next(iter(SPECIALIZATIONS))


@pytest.fixture
def old_snapshots(lake: Lake, tmp_path: Path) -> list[str]:
    """Five that nobody trained on; the grace of all of them is over."""
    digests = []
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "recipe.json").write_text(json.dumps("the same"))
        (tmp_path / str(number) / "train.jsonl").write_text(str(number))
        digests.append(lake.put_artifact("snapshot", tmp_path / str(number)).digest)
        for path in (tmp_path / "lake" / "artifacts" / "snapshot" / digests[-1]).iterdir():
            os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    return digests


def run(instance: dg.DagsterInstance, resources: dict[str, Any], **config: Any) -> dict[str, Any]:
    wanted = dg.RunConfig(ops={"clear_up": {"config": config}} if config else {})
    result = housekeeping_job.execute_in_process(run_config=wanted, resources=resources, instance=instance)
    event = next(event for event in result.all_events if event.is_successful_output)
    return {name: value.value for name, value in event.event_specific_data.metadata.items()}  # type: ignore[union-attr]


def test_a_run_from_the_ui_only_looks_and_the_schedule_deletes(
    instance: dg.DagsterInstance, resources: dict[str, Any], lake: Lake, old_snapshots: list[str]
) -> None:
    told = run(instance, resources)
    assert (
        told["dry_run"]
        and told["goes"] == 2
        and told["kept_by_reason"] == {"one of the last 3 snapshots of this recipe": 3}
    )
    assert lake.artifacts("snapshot") == sorted(old_snapshots)
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=datetime(2026, 3, 1, 5, tzinfo=UTC))
    request = weekly_housekeeping(context)
    assert isinstance(request, dg.RunRequest) and request.run_config["ops"]["clear_up"]["config"]["dry_run"] is False
    done = run(instance, resources, dry_run=False)
    assert done["goes"] == 2 and lake.artifacts("snapshot") == sorted(old_snapshots[2:])
    assert f"artifacts/snapshot/{old_snapshots[0]}" in done["what_goes"]


def test_what_the_newest_materialization_names_stays(
    instance: dg.DagsterInstance, resources: dict[str, Any], lake: Lake, old_snapshots: list[str]
) -> None:
    oldest = old_snapshots[0]
    made = dg.AssetMaterialization("train_eval_split", partition=LINE, metadata={"digest": oldest})
    instance.report_runless_asset_event(made)
    done = run(instance, resources, dry_run=False)
    assert lake.artifacts("snapshot") == sorted([oldest, *old_snapshots[2:]])
    assert done["kept_by_reason"][f"named by one of the newest train_eval_split of {LINE}"] == 1
