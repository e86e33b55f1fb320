import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from ft_assets.defs.event_log import KEPT, EventLog

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    return tmp_path


def event(run_id: str, number: int) -> dg.EventLogEntry:
    return dg.EventLogEntry(None, 10, f"event {number}", run_id, time.time())


def say(log: SqliteEventLogStorage, run_id: str, numbers: range) -> None:
    for number in numbers:
        log.store_event(event(run_id, number))


def said(log: SqliteEventLogStorage, run_id: str) -> list[str]:
    return [entry.user_message for entry in log.get_logs_for_run(run_id)]


def opened(folder: Path) -> set[str]:
    """Names of the databases in the folder that this process holds open."""
    links = [Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd")]
    files = [Path(os.readlink(link)) for link in links if link.exists()]
    return {file.name for file in files if file.parent == folder and file.suffix == ".db"}


def eventually(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not holds() and time.monotonic() < until:
        time.sleep(0.02)
    return holds()


def test_the_shipped_instance_uses_it_where_dagsters_own_has_its_files(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, EventLog)
        for day in ("2026-01-05", "2026-01-06"):
            instance.report_runless_asset_event(dg.AssetMaterialization("a", partition=day))
    shutil.copy(os.devnull, home / "dagster.yaml")  # now as if it had never been configured
    with dg.DagsterInstance.get() as instance:
        assert type(instance.event_log_storage) is SqliteEventLogStorage
        assert instance.get_materialized_partitions(dg.AssetKey("a")) == {"2026-01-05", "2026-01-06"}
        instance.report_runless_asset_event(dg.AssetMaterialization("a", partition="2026-01-07"))
    shutil.copy(ROOT / "dagster.yaml", home)
    with dg.DagsterInstance.get() as instance:
        assert len(instance.get_materialized_partitions(dg.AssetKey("a"))) == 3


def test_who_follows_a_run_hears_of_each_event_while_its_writer_has_the_file_open(tmp_path: Path) -> None:
    writer, reader = EventLog(str(tmp_path)), EventLog(str(tmp_path))
    say(writer, "run", range(1))
    heard: list[str] = []

    def hear(entry: dg.EventLogEntry, cursor: str) -> Any:
        heard.append(entry.user_message)

    reader.watch("run", None, hear)
    for number in range(1, 4):
        say(writer, "run", range(number, number + 1))
        assert eventually(lambda upto=number: heard == [f"event {each}" for each in range(upto + 1)])  # type: ignore[misc]
    reader.end_watch("run", hear)
    reader.dispose()
    assert opened(tmp_path) == {"index.db", "run.db"}
    writer.dispose()
    assert opened(tmp_path) == set()


def test_few_databases_stay_open_and_those_closed_are_read_again(tmp_path: Path) -> None:
    log = EventLog(str(tmp_path))
    runs = [f"run{number}" for number in range(3 * KEPT)]
    for run in runs:
        say(log, run, range(2))
    assert all(said(log, run) == ["event 0", "event 1"] for run in runs)
    assert len(opened(tmp_path)) <= KEPT
    log.dispose()


def test_a_log_that_somebody_else_removed_is_made_anew(tmp_path: Path) -> None:
    log = EventLog(str(tmp_path))
    say(log, "run", range(3))
    for file in tmp_path.glob("run.db*"):
        file.unlink()
    assert said(log, "run") == []
    say(log, "run", range(7, 8))
    assert said(log, "run") == said(SqliteEventLogStorage(str(tmp_path)), "run") == ["event 7"]
    log.wipe()
    assert said(log, "run") == []


def test_writers_of_one_run_wait_for_each_other(tmp_path: Path) -> None:
    logs = [EventLog(str(tmp_path)), EventLog(str(tmp_path)), SqliteEventLogStorage(str(tmp_path))]
    failed: list[Exception] = []

    def write(log: SqliteEventLogStorage, numbers: range) -> None:
        try:
            say(log, "run", numbers)
        except Exception as error:
            failed.append(error)

    threads = [
        threading.Thread(target=write, args=(log, range(start, start + 20)))
        for start, log in zip((0, 20, 40, 60), [*logs, logs[0]], strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(said(logs[0], "run")) == sorted(f"event {number}" for number in range(80))
    assert not logs[0].get_logs_for_run("another")


def test_what_fails_inside_leaves_nothing_behind(tmp_path: Path) -> None:
    log = EventLog(str(tmp_path))
    say(log, "run", range(1))

    def fail() -> None:
        with log.run_connection("run") as connection:
            connection.execute(log.prepare_insert_event(event("run", 1)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert said(log, "run") == ["event 0"]
    say(log, "run", range(2, 3))
    assert said(log, "run") == ["event 0", "event 2"]
