"""Where the state lives: its tables, and connections to SQLite or PostgreSQL that several processes may share."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.errors import BadConfiguration, Rerunnable

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Insert, MetaData, RowMapping, Table

BUSY_SECONDS = 30  # how long SQLite waits for another writer
SCHEMA_LOCK = 0x66745F61  # PostgreSQL: processes that start together must not create the tables together


def database(url: str) -> "Engine":
    """The engine behind a state URL, with its tables in place."""
    engine = engine_for(url)
    with reachable(engine), engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
        tables = schema()
        tables.create_all(connection)
        _add_new_columns(connection, tables)
    return engine


def schema() -> "MetaData":
    """Every table: those of `State` here, the others where they are used. Their keys make a second writer fail.

    A column that came later is nullable: a database of an older version gets it when it is opened.
    """
    from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table, Text, UniqueConstraint

    from ft_assets import (
        state_approvals,
        state_forgotten,
        state_golden,
        state_leases,
        state_ledger,
        state_registry,
        state_taints,
    )

    metadata = MetaData()
    Table(
        "promotions",
        metadata,
        Column("specialization", String, primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),  # the key is the compare-and-set
        Column("model_digest", String, nullable=False),
        Column("previous", String),
        Column("at", DateTime(timezone=True), nullable=False),
        Column("by", String, nullable=False),
        Column("why", Text, nullable=False),
        Column("evidence", Text, nullable=False),
        Column("kind", String),  # none: from a time when every row was a promotion
    )
    Table(
        "trained",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("specialization", String, nullable=False),
        Column("snapshot", String, nullable=False),
        Column("recipe_digest", String, nullable=False),
        Column("base_digest", String, nullable=False),
        Column("model_digest", String, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False),
        Column("by", String),  # who launched it
        UniqueConstraint("specialization", "model_digest"),
    )
    Table(
        "versions",
        metadata,
        Column("specialization", String, primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("model_digest", String, nullable=False),
        UniqueConstraint("specialization", "model_digest"),
    )
    Table(
        "split_sides",
        metadata,
        Column("specialization", String, primary_key=True),
        Column("cluster_id", String, primary_key=True),  # the first side that is written stays
        Column("side", String, nullable=False),
        Column("snapshot", String, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False),
        sqlite_with_rowid=False,  # one tree instead of a table and its index: half the file
    )
    for module in (
        state_registry,
        state_approvals,
        state_taints,
        state_golden,
        state_leases,
        state_ledger,
        state_forgotten,
    ):
        module.add_tables(metadata)
    return metadata


def _add_new_columns(connection: "Connection", tables: "MetaData") -> None:
    """Adds what a database of an older version lacks; its rows have nothing there."""
    from sqlalchemy import inspect

    names, quote = list(tables.tables), connection.dialect.identifier_preparer.quote
    found = inspect(connection).get_multi_columns(filter_names=names)
    known = {table: {column["name"] for column in columns} for (_, table), columns in found.items()}
    for name, table in tables.tables.items():
        for column in table.columns:
            if column.name not in known[name]:
                kind = column.type.compile(connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {quote(name)} ADD COLUMN {quote(column.name)} {kind}")


def insert_if_absent(connection: "Connection", table: "Table") -> "Insert":
    """An insert that leaves rows alone whose key is taken; both databases write it alike."""
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()


def in_utc(row: "RowMapping") -> dict[str, Any]:
    """A row's values; SQLite forgets the time zone that was written, which is always UTC."""
    return {
        name: (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))
        if isinstance(value, datetime)
        else value
        for name, value in row.items()
    }


def engine_for(url: str) -> "Engine":
    """An engine that connects anew for each transaction; with `writes=True` among its options it locks at once.

    Raises:
        BadConfiguration: the URL names no durable SQLite or PostgreSQL database.
    """
    from sqlalchemy import create_engine, event
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError
    from sqlalchemy.pool import NullPool

    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise BadConfiguration("FT_ASSETS_STATE_URL is no database URL. Write sqlite:////absolute/file.db.") from error
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed, poolclass=NullPool)  # safe over forks and over a database that restarts
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise BadConfiguration(
            f"FT_ASSETS_STATE_URL is {shown_url(url)}. The state must outlive a process: "
            "set it to sqlite:////absolute/file.db or postgresql://user:password@host/database."
        )
    try:
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadConfiguration(
            f"FT_ASSETS_STATE_URL is {shown_url(url)}, and its directory cannot be made: {error.strerror}. "
            "Name a file in a directory that this user may write to."
        ) from error
    engine = create_engine(parsed, poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def shown_url(url: str) -> str:
    """A database URL without its password."""
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin by itself, and only at the first write
    connection.execute("PRAGMA synchronous=FULL")
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:  # the first switch of a new file does not wait for others by itself
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _begin_sqlite(connection: "Connection") -> None:
    """A writer takes the lock before it reads, or two could both read the same champion."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def reachable(engine: "Engine") -> Iterator[None]:
    """Turns a database that does not answer into a failure that a rerun can fix, without its password.

    Raises:
        Rerunnable: it does not answer; nothing was changed.
        BadConfiguration: the file is no database.
    """
    from sqlalchemy.exc import DatabaseError, OperationalError

    try:
        yield
    except DatabaseError as error:
        if "is not a database" in str(error.orig):
            raise BadConfiguration(
                f"FT_ASSETS_STATE_URL is {engine.url.render_as_string(hide_password=True)}, and that file is no SQLite "
                "database, or a damaged one. Nothing was changed. Name the right file, or bring back a backup."
            ) from error
        if not isinstance(error, OperationalError):
            raise
        raise Rerunnable(
            f"The state database {engine.url.render_as_string(hide_password=True)} does not answer: {error.orig}. "
            "Nothing was changed. Run again when it does; FT_ASSETS_STATE_URL says where it is."
        ) from error
