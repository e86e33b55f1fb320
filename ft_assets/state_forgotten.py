"""Who asked to be forgotten, as keyed hashes, and how far each erasure came. Rows are only ever added.

A hash cannot be made again without the key, so the table names nobody. `key_check` tells whether today's key is the one
that made the hashes: with another one nobody would be recognised, and forgotten users would come back in silence.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from ft_assets.state_database import in_utc

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from ft_assets.state import State

FORGOTTEN = "forgotten"
Step = Literal["asked", "found", "finished"]


@dataclass(frozen=True)
class ForgetEntry:
    """One line of the journal. `asked`: refused from here on; `found`: what there was to erase, written before any of
    it went; `finished`: nothing was left. `at` is UTC."""

    user_hash: str
    key_check: str
    step: Step
    detail: Mapping[str, Any]
    by: str
    at: datetime


def add_tables(metadata: "MetaData") -> None:
    """The table of this module."""
    from sqlalchemy import Column, DateTime, Integer, String, Table, Text

    Table(
        FORGOTTEN,
        metadata,
        Column("id", Integer, primary_key=True),
        Column("user_hash", String, nullable=False, index=True),
        Column("key_check", String, nullable=False),
        Column("step", String, nullable=False),
        Column("detail", Text, nullable=False),
        Column("by", String, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False),
    )


def note(state: "State", user_hash: str, key_check: str, step: Step, detail: Mapping[str, Any], by: str) -> None:
    """Adds a line to the journal."""
    from sqlalchemy import insert

    row = {"user_hash": user_hash, "key_check": key_check, "step": step, "by": by, "at": datetime.now(UTC)}
    with state.transaction(writes=True) as connection:
        connection.execute(insert(state.table(FORGOTTEN)), row | {"detail": json.dumps(detail, sort_keys=True)})


def forget_journal(state: "State", user_hash: str | None = None) -> list[ForgetEntry]:
    """The journal of one user, or of all, oldest line first."""
    from sqlalchemy import select

    table = state.table(FORGOTTEN)
    query = select(table).order_by(table.c.id)
    if user_hash is not None:
        query = query.where(table.c.user_hash == user_hash)
    with state.transaction() as connection:
        rows = [in_utc(row) for row in connection.execute(query).mappings()]
    return [
        ForgetEntry(
            **{name: value for name, value in row.items() if name != "id"} | {"detail": json.loads(row["detail"])}
        )
        for row in rows
    ]


def forgotten_hashes(state: "State") -> dict[str, str]:
    """The hash of every user who asked, and the check of the key that made it."""
    from sqlalchemy import select

    table = state.table(FORGOTTEN)
    query = select(table.c.user_hash, table.c.key_check).where(table.c.step == "asked")
    with state.transaction() as connection:
        return {user: check for user, check in connection.execute(query)}
