"""Models that must not be used any more, and why: for example because a person whose rows they learned asked to be
forgotten. Rows are only ever added."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ft_assets.errors import PromotionRefused
from ft_assets.state_database import in_utc, insert_if_absent

if TYPE_CHECKING:
    from sqlalchemy import Connection, MetaData, Table

    from ft_assets.state import State

TAINTS = "taints"


@dataclass(frozen=True)
class Taint:
    """Why a model must not be used. `at` is UTC; `by` is who said so."""

    model_digest: str
    reason: str
    by: str
    at: datetime


def add_tables(metadata: "MetaData") -> None:
    """The table of this module."""
    from sqlalchemy import Column, DateTime, String, Table

    Table(
        TAINTS,
        metadata,
        Column("model_digest", String, primary_key=True),
        Column("reason", String, primary_key=True),
        Column("by", String, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False),
    )


def taint(state: "State", model_digests: Iterable[str], reason: str, by: str) -> None:
    """From now on none of these models can be promoted; the same reason for the same model is kept once."""
    table, now = state.table(TAINTS), datetime.now(UTC)
    rows = [asdict(Taint(digest, reason, by, now)) for digest in sorted(set(model_digests))]
    with state.transaction(writes=True) as connection:
        if rows:
            connection.execute(insert_if_absent(connection, table), rows)


def taints(state: "State") -> dict[str, list[Taint]]:
    """Every tainted model with its reasons, oldest first."""
    from sqlalchemy import select

    table, found = state.table(TAINTS), dict[str, list[Taint]]()
    with state.transaction() as connection:
        for row in connection.execute(select(table).order_by(table.c.at, table.c.reason)).mappings():
            found.setdefault(row["model_digest"], []).append(Taint(**in_utc(row)))
    return found


def refuse_tainted(connection: "Connection", table: "Table", model_digest: str) -> None:
    """Nothing, for a model that may be promoted. Asked inside the promotion's own transaction.

    Raises:
        PromotionRefused: the model is tainted; train another one.
    """
    from sqlalchemy import select

    reasons = connection.scalars(select(table.c.reason).where(table.c.model_digest == model_digest)).all()
    if reasons:
        raise PromotionRefused(
            f"{model_digest} is tainted ({'; '.join(sorted(reasons))}), so it cannot become champion. "
            "Train the line again; a rerun cannot help."
        )
