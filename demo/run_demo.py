"""`make demo`: the whole loop on the bundled data, through the same Dagster instance that `make dev` opens afterwards.

1. Lands batch 1 and runs the jobs `curate` and `retrain`: a first model.
2. Starts the daemon and lands batch 2. From there on nothing is launched by hand: the landing sensor curates the days
   that changed, `new_high_score_samples` sees over a hundred new samples and trains the second model because of them.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from rich.console import Console

from ft_assets.lake import Lake
from ft_assets.settings import read_settings

ROOT = Path(__file__).resolve().parent.parent
LINE = "software-developer"
FIRST, SECOND = ROOT / "data" / "landing", ROOT / "data" / "landing_second"
PATIENCE_SECONDS = 900
DONE = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
console = Console(highlight=False)


def main() -> None:
    started = time.monotonic()
    settings = read_settings()
    put_an_earlier_demo_aside(Path(settings.lake_url), Path(os.environ["DAGSTER_HOME"]))
    lake = Lake(settings.lake_url, settings.cache_dir)
    say(f"Landing batch 1: {land(lake, FIRST)} files under {settings.lake_url}/landing")
    days = lake.landing_days()
    say(f"Job curate: {days[0]} to {days[-1]} as one run")
    launch("--job", "curate", "--partition-range", f"{days[0]}...{days[-1]}")
    with dg.DagsterInstance.get() as instance:
        say(f"Job retrain: {LINE}, the first model")
        with following(instance):
            launch("--job", "retrain", "--partition", LINE)
        with daemon():
            say(f"Daemon started. Landing batch 2: {land(lake, SECOND)} files. From here on the sensors act")
            run = wait_for_run(instance, "retrain", made_by="new_high_score_samples")
            follow(instance, run)
        from demo_table import print_summary

        print_summary(console, instance, lake, LINE)
    console.print(f"\nDone in {time.monotonic() - started:.0f} seconds.")


def say(what: str) -> None:
    console.print(f"{time.strftime('%H:%M:%S')}  {what}", markup=False, soft_wrap=True)


def put_an_earlier_demo_aside(lake: Path, dagster_home: Path) -> None:
    """A second `make demo` starts from nothing, and loses nothing: what was there is renamed. Own data stops it."""
    landing = lake / "landing"
    if not landing.exists():
        return
    bundled = {path.relative_to(root).as_posix() for root in (FIRST, SECOND) for path in root.rglob("*.json*")}
    own = [
        path for path in landing.rglob("*") if path.is_file() and path.relative_to(landing).as_posix() not in bundled
    ]
    if own:
        sys.exit(
            f"{own[0]} is not from the demo, so {lake} holds your own data and the demo does not touch it.\n"
            "Run the demo beside it:  make demo FT_ASSETS_LAKE=$PWD/.lake-demo"
        )
    stamp = time.strftime("%Y%m%d-%H%M%S")
    lake.rename(lake.with_name(f"{lake.name}-{stamp}"))
    kept = dagster_home.with_name(f"{dagster_home.name}-{stamp}")
    kept.mkdir()
    for path in dagster_home.iterdir():
        if path.name != "dagster.yaml":
            shutil.move(path, kept / path.name)
    say(f"An earlier demo was put aside: {lake.name}-{stamp} and {kept.name}")


def land(lake: Lake, folder: Path) -> int:
    """Copies a bundled batch into the lake's landing folders, as anybody's export job would."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        lake.land(path.parent.name, path.name, path.read_bytes())
    return len(files)


def launch(*arguments: str) -> None:
    """One run in this instance. Stops the demo when it fails, with the end of its log."""
    log = Path(os.environ["DAGSTER_HOME"]) / "demo.log"
    with log.open("ab") as out:
        code = subprocess.run(["dg", "launch", *arguments], cwd=ROOT, stdout=out, stderr=out, check=False).returncode
    if code:
        sys.exit(
            f"dg launch {' '.join(arguments)} failed.\n{log.read_text(errors='replace')[-4000:]}\nWhole log: {log}"
        )


@contextmanager
def following(instance: dg.DagsterInstance) -> Iterator[None]:
    """Prints the steps of the run that the block launches, while it runs."""
    import threading

    known = {run.run_id for run in instance.get_runs()}
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            new = [run for run in instance.get_runs(limit=5) if run.run_id not in known]
            if new:
                return follow(instance, new[0], over)
            time.sleep(0.5)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def follow(instance: dg.DagsterInstance, run: dg.DagsterRun, over=None) -> None:
    """Prints each step as it ends, and every tenth line of training progress, until the run is over."""
    cursor, told = None, 0
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        state = instance.get_run_by_id(run.run_id)
        connection = instance.get_records_for_run(run.run_id, cursor=cursor)
        cursor = connection.cursor
        for record in connection.records:
            entry = record.event_log_entry
            event = entry.dagster_event
            if event and event.event_type_value in ("STEP_START", "STEP_SUCCESS", "STEP_FAILURE"):
                say(f"  {event.step_key}: {event.event_type_value[5:].lower()}")
            elif event is None and entry.user_message.startswith(("sft step ", "golden set", "snapshot eval side")):
                told += 1
                if told % 6 == 1:
                    say(f"    {entry.user_message}")
        if state and state.status in DONE and not connection.has_more:
            if state.status != dg.DagsterRunStatus.SUCCESS:
                sys.exit(f"Run {run.run_id} ended as {state.status.value}. Open it: make dev, then Runs.")
            return
        if over is not None and over.is_set() and not connection.records:
            return
        time.sleep(1)
    sys.exit(f"Run {run.run_id} took more than {PATIENCE_SECONDS} seconds.")


@contextmanager
def daemon() -> Iterator[None]:
    """A Dagster daemon with its code server, on workspace.yaml; stopped at the end of the block."""
    log = Path(os.environ["DAGSTER_HOME"]) / "daemon.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            ["dagster-daemon", "run", "-w", "workspace.yaml"], cwd=ROOT, stdout=out, stderr=out, start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def wait_for_run(instance: dg.DagsterInstance, job: str, made_by: str) -> dg.DagsterRun:
    """The run of `job` that the sensor `made_by` asked for, as soon as it exists."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    told: set[str] = set()
    while time.monotonic() < deadline:
        for run in instance.get_runs(limit=20):
            sensor = run.tags.get("dagster/sensor_name")
            if sensor and (key := f"{run.run_id}{run.status}") not in told and run.job_name == "curate":
                told.add(key)
                first, last = (run.tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
                say(f"  sensor {sensor}: curate {first} to {last} is {run.status.value.lower()}")
            if run.job_name == job and sensor == made_by:
                say(f"  sensor {made_by}: {job} [{run.tags['dagster/partition']}], the second model")
                return run
        time.sleep(1)
    sys.exit(
        f"{made_by} asked for no run within {PATIENCE_SECONDS} seconds. See {os.environ['DAGSTER_HOME']}/daemon.log"
    )


if __name__ == "__main__":
    main()
