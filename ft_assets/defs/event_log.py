"""Dagster's local event log, without opening its databases anew for every event.

    event_log_storage:
      module: ft_assets.defs.event_log
      class: EventLog
      config: {home: {env: DAGSTER_HOME}}

Dagster's own makes SQLAlchemy's engine, a connection and every statement again each time. With those kept, an event of
an asset costs less than half the CPU (2.2 x, benchmarks/event_log.py), and a backfill has four of them for each day.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import dagster as dg
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine

KEPT = 8  # open databases: the index, and the runs that were asked for last

_Identity = tuple[int, int] | None


class _Open(NamedTuple):
    engine: Engine
    file: _Identity


class EventLog(SqliteEventLogStorage):
    """`SqliteEventLogStorage` on the same files in the same place, which either may have written."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None):
        self._open: dict[str, _Open] = {}  # the one asked for last stands last
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {"home": dg.StringSource}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> "EventLog":
        return cls(os.path.join(config_value["home"], "history", "runs"), inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).connect() as connection:
            with connection.begin():
                yield connection
            if shard != INDEX_SHARD_NAME:
                # Who follows a run waits for its file to change; SQLite writes beside it until the last one closes it.
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def _engine(self, shard: str) -> Engine:
        file, found = self._file(shard), self._open.pop(shard, None)
        if found is None or found.file != file:
            if found is not None:
                found.engine.dispose()
            if found is not None or file is None:  # it was removed, or another put in its place
                self._initialized_dbs.discard(shard)
            engine = create_engine(
                self.conn_string_for_shard(shard), connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            )
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            found = _Open(engine, self._file(shard))
        self._open[shard] = found
        while len(self._open) > KEPT:
            self._open.pop(next(iter(self._open))).engine.dispose()
        return found.engine

    def _file(self, shard: str) -> _Identity:
        try:
            status = os.stat(self.path_for_shard(shard))
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def dispose(self) -> None:
        super().dispose()
        with self._db_lock:
            while self._open:
                self._open.popitem()[1].engine.dispose()
