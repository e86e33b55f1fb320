from pathlib import Path
from typing import Any

import dagster as dg

from ft_assets.erasure.artifacts import Traces
from ft_assets.erasure.run_events import redact_run_events

TEXT = "Please test my zwiebelquarz plan with the harbour and the tram in the evening"


def test_texts_in_the_event_store_of_dagster_go_and_its_events_stay_readable(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec("looked_at", asset="reported")])
    def reported(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        told: dict[str, Any] = {
            "preview": dg.MetadataValue.md(f"| {TEXT} |"),
            "digest": "d" * 64,
            "dagster/row_count": 3,
        }
        check = dg.AssetCheckResult(check_name="looked_at", passed=True, metadata={"row": TEXT})
        return dg.MaterializeResult(metadata=told, check_results=[check])

    assert dg.materialize([reported], instance=instance).success
    home = tmp_path / "dagster"
    files = [path for path in home.rglob("*") if path.is_file()]
    assert any(b"zwiebelquarz" in path.read_bytes() for path in files)
    traces = Traces(frozenset(), ["my zwiebelquarz plan with the harbour"])
    assert redact_run_events(home, traces, dry_run=True) > 0
    assert redact_run_events(home, traces, dry_run=False) > 0
    assert redact_run_events(home, traces, dry_run=False) == 0
    assert not any(b"zwiebelquarz" in path.read_bytes() for path in home.rglob("*") if path.is_file())
    event = instance.get_latest_materialization_event(dg.AssetKey("reported"))
    made = event.asset_materialization if event else None
    assert made and made.metadata["preview"].value == "erased by request"
    assert made.metadata["digest"].value == "d" * 64 and made.metadata["dagster/row_count"].value == 3
    (run,) = instance.get_runs()
    assert len(instance.all_logs(run.run_id)) > 5
