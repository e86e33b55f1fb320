"""What an event costs in the local event log of this project and in Dagster's own.

    python benchmarks/event_log.py [--events 60] [--repeat 5]

Each side reports materializations with a table's columns to an instance of its own in a temporary folder, in turns.
Prints CPU milliseconds of this process for an event, medians of `--repeat` turns.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import dagster as dg  # noqa: TID251 - it is what is measured

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = dg.TableSchema([dg.TableColumn(f"column_{number}", "String") for number in range(36)])


def milliseconds(instance: dg.DagsterInstance, events: int) -> float:
    """CPU time of an event."""
    started = time.process_time()
    for number in range(events):
        metadata = {"dagster/row_count": number, "dagster/column_schema": COLUMNS}
        instance.report_runless_asset_event(dg.AssetMaterialization("a", partition=str(number), metadata=metadata))
    return (time.process_time() - started) / events * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=60)
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    found: dict[str, list[float]] = {"Dagster's own": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        instances = {}
        for name, settings in zip(found, ("", (ROOT / "dagster.yaml").read_text()), strict=True):
            home = Path(folder) / name.replace(" ", "_").replace("'", "")
            home.mkdir()
            (home / "dagster.yaml").write_text(settings)
            os.environ["DAGSTER_HOME"] = str(home)
            instances[name] = dg.DagsterInstance.get()
            milliseconds(instances[name], 5)  # what is made once
        for _ in range(asked.repeat):
            for name, instance in instances.items():
                found[name].append(milliseconds(instance, asked.events))
        for instance in instances.values():
            instance.dispose()
    theirs, ours = (statistics.median(each) for each in found.values())
    print(f"an event of an asset: Dagster's own {theirs:.1f} ms of CPU, ours {ours:.1f}, {theirs / ours:.1f} x")


if __name__ == "__main__":
    main()
