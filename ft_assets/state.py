"""The few rows that change under compare-and-set: who is champion, what was trained, which version is whose, which
cluster stands on which side."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from ft_assets.errors import StaleChampion, WriteConflict
from ft_assets.records import Side
from ft_assets.state_database import database, in_utc, insert_if_absent, reachable, schema, shown_url
from ft_assets.state_taints import TAINTS, refuse_tainted

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData, RowMapping, Table

Kind = Literal["promotion", "rollback"]
ATTEMPTS = 50
ROWS_PER_INSERT = 10_000


@dataclass(frozen=True)
class Promotion:
    """One change of champion in a specialization's history. `number` counts from 1, `at` is UTC, `previous` fell."""

    specialization: str
    number: int
    model_digest: str
    previous: str | None
    at: datetime
    by: str
    why: str
    evidence: str
    kind: Kind = "promotion"


@dataclass(frozen=True)
class TrainedState:
    """What a model was trained from. `at` is UTC, when it was first recorded, `by` who launched it, if known."""

    specialization: str
    snapshot: str
    recipe_digest: str
    base_digest: str
    model_digest: str
    at: datetime
    by: str | None = None


class State:
    """The state database, SQLite or PostgreSQL. Its tables are made on first use; nothing is ever updated in place."""

    def __init__(self, url: str):
        """`url` as SQLAlchemy takes it: sqlite:////absolute/file.db or postgresql://user:password@host/database."""
        self._url = url

    @property
    def url(self) -> str:
        """Where the state lives; it may hold a password."""
        return self._url

    @property
    def place(self) -> str:
        """The same without its password, for messages."""
        return shown_url(self._url)

    def champion(self, specialization: str) -> Promotion | None:
        """The model in charge, None before the first promotion."""
        with self.transaction() as connection:
            return self._champion(connection, specialization)

    def promotions(self, specialization: str) -> list[Promotion]:
        """The whole history, oldest first."""
        from sqlalchemy import select

        table = self.table("promotions")
        query = select(table).where(table.c.specialization == specialization).order_by(table.c.number)
        with self.transaction() as connection:
            return [_promotion(row) for row in connection.execute(query).mappings()]

    def promote(
        self,
        specialization: str,
        model_digest: str,
        expected_previous: str | None,
        by: str,
        why: str,
        evidence: str,
        kind: Kind = "promotion",
    ) -> Promotion:
        """Makes a model champion if `expected_previous` still is, and returns the new row of the history.

        The same call again (a step that is retried) returns the row that the first one made.

        Raises:
            StaleChampion: somebody else was promoted meanwhile; evaluate against the one the message names.
            PromotionRefused: the model is tainted; train another one.
        """
        from sqlalchemy import insert
        from sqlalchemy.exc import IntegrityError

        wanted = Promotion(
            specialization, 1, model_digest, expected_previous, datetime.now(UTC), by, why, evidence, kind
        )
        try:
            with self.transaction(writes=True) as connection:
                current = self._champion(connection, specialization)
                if current:
                    if replace(wanted, number=current.number, at=current.at) == current:
                        return current
                    wanted = replace(wanted, number=current.number + 1)
                if (current.model_digest if current else None) != expected_previous:
                    raise _stale(wanted, current)
                refuse_tainted(connection, self.table(TAINTS), model_digest)
                connection.execute(insert(self.table("promotions")), asdict(wanted))
                return wanted
        except IntegrityError as error:  # PostgreSQL: somebody took that number between our look and our insert
            winner = self.champion(specialization)
            if winner is None or winner.number < wanted.number:
                raise
            raise _stale(wanted, winner) from error

    def record_trained(
        self,
        specialization: str,
        snapshot: str,
        recipe_digest: str,
        base_digest: str,
        model_digest: str,
        by: str | None = None,
    ) -> None:
        """Remembers what a model was trained from; a model that is recorded already stays as it is."""
        from sqlalchemy import insert, select
        from sqlalchemy.exc import IntegrityError

        table = self.table("trained")
        row = TrainedState(specialization, snapshot, recipe_digest, base_digest, model_digest, datetime.now(UTC), by)
        known = select(table.c.id).where(table.c.specialization == specialization, table.c.model_digest == model_digest)
        try:
            with self.transaction(writes=True) as connection:
                if connection.scalar(known) is None:
                    connection.execute(insert(table), asdict(row))
        except IntegrityError:  # PostgreSQL: somebody recorded it between our look and our insert
            with self.transaction() as connection:
                if connection.scalar(known) is None:
                    raise

    def last_trained(self, specialization: str) -> TrainedState | None:
        """What was recorded last for a specialization, None before its first training."""
        from sqlalchemy import select

        table = self.table("trained")
        query = select(table).where(table.c.specialization == specialization).order_by(table.c.id.desc()).limit(1)
        with self.transaction() as connection:
            row = connection.execute(query).mappings().first()
        return _trained(row) if row else None

    def trained(self, specialization: str | None = None) -> list[TrainedState]:
        """Every model that was ever trained, of one specialization or of all, oldest first."""
        from sqlalchemy import select

        table = self.table("trained")
        query = select(table).order_by(table.c.id)
        if specialization is not None:
            query = query.where(table.c.specialization == specialization)
        with self.transaction() as connection:
            return [_trained(row) for row in connection.execute(query).mappings()]

    def assign_version(self, specialization: str, model_digest: str) -> int:
        """The model's version number, 1, 2, 3 ... by order of asking; the same model always has the same number.

        Raises:
            WriteConflict: others took every number this one tried for; run again.
        """
        from sqlalchemy import func, insert, select
        from sqlalchemy.exc import IntegrityError

        table = self.table("versions")
        own = table.c.specialization == specialization
        for _ in range(ATTEMPTS):
            try:
                with self.transaction(writes=True) as connection:
                    known = connection.scalar(select(table.c.number).where(own, table.c.model_digest == model_digest))
                    if known is not None:
                        return int(known)
                    number = (connection.scalar(select(func.max(table.c.number)).where(own)) or 0) + 1
                    row = {"specialization": specialization, "number": number, "model_digest": model_digest}
                    connection.execute(insert(table), row)
                    return number
            except IntegrityError:  # another process took the number, perhaps for this very model: look again
                continue
        raise WriteConflict(f"No version number for {specialization} after {ATTEMPTS} attempts. Run again.")

    def record_sides(self, specialization: str, sides: Mapping[str, Side], snapshot: str) -> None:
        """Remembers the side of each cluster of a snapshot; a cluster that is recorded already stays as it is."""
        table = self.table("split_sides")
        now = datetime.now(UTC)
        rows = [
            {"specialization": specialization, "cluster_id": cluster, "side": side, "snapshot": snapshot, "at": now}
            for cluster, side in sorted(sides.items())  # one order for all, so that two writers do not lock each other
        ]
        with self.transaction(writes=True) as connection:
            for first in range(0, len(rows), ROWS_PER_INSERT):
                connection.execute(insert_if_absent(connection, table), rows[first : first + ROWS_PER_INSERT])

    def sides(self, specialization: str) -> dict[str, Side]:
        """The side of each cluster that was ever in a snapshot of the specialization."""
        from sqlalchemy import select

        table = self.table("split_sides")
        query = select(table.c.cluster_id, table.c.side).where(table.c.specialization == specialization)
        with self.transaction() as connection:
            return {cluster: side for cluster, side in connection.execute(query)}

    def _champion(self, connection: "Connection", specialization: str) -> Promotion | None:
        from sqlalchemy import select

        table = self.table("promotions")
        query = select(table).where(table.c.specialization == specialization).order_by(table.c.number.desc()).limit(1)
        row = connection.execute(query).mappings().first()
        return _promotion(row) if row else None

    def table(self, name: str) -> "Table":
        """A table by its name, for the modules that keep their own rows here."""
        return self._schema.tables[name]

    @cached_property
    def _schema(self) -> "MetaData":
        return schema()

    @cached_property
    def _engine(self) -> "Engine":
        return database(self._url)

    @contextmanager
    def transaction(self, writes: bool = False) -> "Iterator[Connection]":
        """A connection whose work counts whole or not at all; with `writes` SQLite locks before the first read.

        Raises:
            Rerunnable: the database does not answer.
        """
        with reachable(self._engine), self._engine.execution_options(writes=writes).begin() as connection:
            yield connection


def _trained(row: "RowMapping") -> TrainedState:
    return TrainedState(**{name: value for name, value in in_utc(row).items() if name != "id"})


def _promotion(row: "RowMapping") -> Promotion:
    return Promotion(**{**in_utc(row), "kind": row["kind"] or "promotion"})


def _stale(wanted: Promotion, current: Promotion | None) -> StaleChampion:
    now = "nobody"
    if current:
        now = f"{current.model_digest} (promotion {current.number}, by {current.by}, at {current.at.isoformat()})"
    return StaleChampion(
        f"{wanted.specialization}: {wanted.model_digest} was judged against {wanted.previous or 'no champion'}, and "
        f"the champion is {now}. It was not promoted. Evaluate it against that champion; a rerun cannot help."
    )
