"""Who approved which model on which report, until when. Rows are only ever added."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ft_assets.state_database import in_utc

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from ft_assets.state import State

APPROVALS = "approvals"


@dataclass(frozen=True)
class Approval:
    """A person's word that a model may be promoted on one report. Times are UTC."""

    specialization: str
    model_digest: str
    report_digest: str
    by: str
    why: str
    at: datetime
    expires_at: datetime

    def stands(self, report_digest: str, now: datetime) -> bool:
        """Whether it is about that report and has not expired."""
        return self.report_digest == report_digest and now < self.expires_at


def add_tables(metadata: "MetaData") -> None:
    """The table of this module."""
    from sqlalchemy import Column, DateTime, Integer, String, Table, Text

    Table(
        APPROVALS,
        metadata,
        Column("id", Integer, primary_key=True),
        Column("specialization", String, nullable=False, index=True),
        Column("model_digest", String, nullable=False),
        Column("report_digest", String, nullable=False),
        Column("by", String, nullable=False),
        Column("why", Text, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False),
        Column("expires_at", DateTime(timezone=True), nullable=False),
    )


def record_approval(
    state: "State", specialization: str, model_digest: str, report_digest: str, by: str, why: str, expires_days: int
) -> Approval:
    """Keeps an approval that `release.approvals.approve` has found in order."""
    from sqlalchemy import insert

    now = datetime.now(UTC)
    until = now + timedelta(days=expires_days)
    approval = Approval(specialization, model_digest, report_digest, by, why, now, until)
    with state.transaction(writes=True) as connection:
        connection.execute(insert(state.table(APPROVALS)), asdict(approval))
    return approval


def approvals(state: "State", specialization: str, model_digest: str) -> list[Approval]:
    """Every approval that a model of the line ever got, oldest first, those that expired included."""
    from sqlalchemy import select

    table = state.table(APPROVALS)
    own = (table.c.specialization == specialization, table.c.model_digest == model_digest)
    with state.transaction() as connection:
        rows = connection.execute(select(table).where(*own).order_by(table.c.id)).mappings()
        return [Approval(**{name: value for name, value in in_utc(row).items() if name != "id"}) for row in rows]
