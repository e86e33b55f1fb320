"""Who trains a specialization now: a lease with an epoch, so that a trainer which comes back late commits nothing.

A node that does not answer may still run its pod, and a killed run may still have a process. Whoever begins takes the
next epoch, and whatever is committed asks whether its epoch is still the newest (fencing tokens: M. Kleppmann, "How to
do distributed locking", 2016). A lease is never given back and never runs out: the next one ends it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ft_assets.errors import LeaseLost, WriteConflict
from ft_assets.state_database import database, reachable, schema

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData, Table

LEASES = "leases"
ATTEMPTS = 50


@dataclass(frozen=True)
class Lease:
    """The right to commit for a specialization. `epoch` counts from 1; `url` is where the state lives."""

    url: str = field(repr=False)  # it may hold a password
    specialization: str
    epoch: int
    holder: str

    def require(self) -> None:
        """Nothing, while this lease is the newest.

        Raises:
            LeaseLost: a newer one was taken; the message names it.
        """
        Leases(self.url).require(self.specialization, self.epoch)


class Leases:
    """The leases in the state database. Rows are only added: the key is what makes a second taker count on."""

    def __init__(self, url: str):
        """`url` as SQLAlchemy takes it, the same as of the state."""
        self._url = url

    def take(self, specialization: str, holder: str) -> Lease:
        """The next epoch of a specialization. From here on every older one is refused.

        `holder` says who this is, for the message that the older one gets: a run id and its attempt.

        Raises:
            WriteConflict: others took every epoch this one tried for; run again.
        """
        from sqlalchemy import insert
        from sqlalchemy.exc import IntegrityError

        for _ in range(ATTEMPTS):
            try:
                with self._transaction(writes=True) as connection:
                    newest = self._newest(connection, specialization)
                    epoch = (newest["epoch"] if newest else 0) + 1
                    row = {"specialization": specialization, "epoch": epoch, "holder": holder, "at": datetime.now(UTC)}
                    connection.execute(insert(self._table), row)
                    return Lease(self._url, specialization, epoch, holder)
            except IntegrityError:  # another process took that epoch between our look and our insert
                continue
        raise WriteConflict(f"No lease of {specialization} after {ATTEMPTS} attempts. Run again.")

    def require(self, specialization: str, epoch: int) -> None:
        """Nothing, while `epoch` is the newest of the specialization.

        Raises:
            LeaseLost: it is not; the message names the newer one.
        """
        with self._transaction() as connection:
            newest = self._newest(connection, specialization)
        if newest is None or newest["epoch"] != epoch:
            now = f"epoch {newest['epoch']}, of {newest['holder']}" if newest else "nobody's"
            raise LeaseLost(
                f"{specialization} is trained by somebody else now: this process holds the lease of epoch {epoch}, and "
                f"the newest is {now}. Nothing of this process is committed, and it ends. Do not run it again: the "
                "newer one goes on from the same checkpoints."
            )

    def _newest(self, connection: "Connection", specialization: str) -> Any:
        from sqlalchemy import select

        own = self._table.c.specialization == specialization
        query = select(self._table).where(own).order_by(self._table.c.epoch.desc()).limit(1)
        return connection.execute(query).mappings().first()

    @cached_property
    def _table(self) -> "Table":
        return schema().tables[LEASES]

    @cached_property
    def _engine(self) -> "Engine":
        return database(self._url)

    @contextmanager
    def _transaction(self, writes: bool = False) -> "Iterator[Connection]":
        with reachable(self._engine), self._engine.execution_options(writes=writes).begin() as connection:
            yield connection


def add_tables(metadata: "MetaData") -> None:
    """The table of this module."""
    from sqlalchemy import Column, DateTime, Integer, String, Table

    Table(
        LEASES,
        metadata,
        Column("specialization", String, primary_key=True),
        Column("epoch", Integer, primary_key=True, autoincrement=False),  # the key makes a second taker count on
        Column("holder", String, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False),
    )
