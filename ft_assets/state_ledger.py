"""The retrain ledger: which examples a line has already learned from, and who asked for which run. Rows are only ever
added."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ft_assets.state_database import in_utc, insert_if_absent

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from ft_assets.state import State

CONSUMED, SNAPSHOTS, CLAIMS = "consumed", "consumed_snapshots", "retrain_claims"
CLAIM_STANDS = timedelta(minutes=10)  # a run is there seconds after it was asked for
ROWS_PER_INSERT = 10_000


def add_tables(metadata: "MetaData") -> None:
    """The tables of this module."""
    from sqlalchemy import Column, DateTime, Integer, String, Table

    Table(
        CONSUMED,
        metadata,
        Column("specialization", String, primary_key=True),
        Column("example_id", String, primary_key=True),
        Column("snapshot", String, nullable=False),  # the first that trained with it
        Column("at", DateTime(timezone=True), nullable=False),
        sqlite_with_rowid=False,
    )
    Table(
        SNAPSHOTS,
        metadata,
        Column("specialization", String, primary_key=True),
        Column("snapshot", String, primary_key=True),
        Column("at", DateTime(timezone=True), nullable=False),
    )
    Table(
        CLAIMS,
        metadata,
        Column("specialization", String, primary_key=True),
        Column("data_state", String, primary_key=True),
        Column("attempt", Integer, primary_key=True, autoincrement=False),
        Column("number", Integer, primary_key=True, autoincrement=False),  # the key makes a second taker look again
        Column("owner", String, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False),
    )


def consume(state: "State", specialization: str, snapshot: str, example_ids: Iterable[str]) -> None:
    """Remembers that these examples trained a model; the same snapshot again changes nothing. All or nothing."""
    now = datetime.now(UTC)
    # one order for all, so that two writers do not lock each other
    rows = [
        {"specialization": specialization, "example_id": each, "snapshot": snapshot, "at": now}
        for each in sorted(set(example_ids))
    ]
    with state.transaction(writes=True) as connection:
        for first in range(0, len(rows), ROWS_PER_INSERT):
            connection.execute(
                insert_if_absent(connection, state.table(CONSUMED)), rows[first : first + ROWS_PER_INSERT]
            )
        row = {"specialization": specialization, "snapshot": snapshot, "at": now}
        connection.execute(insert_if_absent(connection, state.table(SNAPSHOTS)), row)


def consumed(state: "State", specialization: str) -> set[str]:
    """Every example that ever trained a model of the line."""
    return _column(state, CONSUMED, "example_id", specialization)


def consumed_snapshots(state: "State", specialization: str) -> set[str]:
    """The snapshots whose examples are in the ledger."""
    return _column(state, SNAPSHOTS, "snapshot", specialization)


def claim(state: "State", specialization: str, data_state: str, attempt: int, owner: str, now: datetime) -> str:
    """Who may ask for this run: `owner`, or whoever asked first, no more than ten minutes ago.

    The same owner may ask again and again, as a daemon does that was killed before its run was there. Of two owners
    that ask at the same moment one gets it.
    """
    from sqlalchemy import insert, select
    from sqlalchemy.exc import IntegrityError

    table = state.table(CLAIMS)
    own = (table.c.specialization == specialization, table.c.data_state == data_state, table.c.attempt == attempt)
    newest = select(table).where(*own).order_by(table.c.number.desc()).limit(1)
    try:
        with state.transaction(writes=True) as connection:
            found = connection.execute(newest).mappings().first()
            if found and (found["owner"] == owner or now - in_utc(found)["at"] < CLAIM_STANDS):
                return str(found["owner"])
            row = {
                "specialization": specialization,
                "data_state": data_state,
                "attempt": attempt,
                "number": found["number"] + 1 if found else 1,
                "owner": owner,
                "at": now,
            }
            connection.execute(insert(table), row)
            return owner
    except IntegrityError:  # PostgreSQL: somebody took it between our look and our insert
        with state.transaction() as connection:
            winner = connection.execute(newest).mappings().one()
        return str(winner["owner"])


def _column(state: "State", name: str, column: str, specialization: str) -> set[str]:
    from sqlalchemy import select

    table = state.table(name)
    query = select(table.c[column]).where(table.c.specialization == specialization)
    with state.transaction() as connection:
        return set(connection.scalars(query))
