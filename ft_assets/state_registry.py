"""The versions of each model line and what every evaluation said of them. MLflow mirrors these rows and can be rebuilt
from them. Rows are only ever added."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ft_assets.state_database import in_utc, insert_if_absent

if TYPE_CHECKING:
    from sqlalchemy import MetaData

    from ft_assets.state import State

REGISTRATIONS, EVALUATIONS = "registrations", "evaluations"


@dataclass(frozen=True)
class Registered:
    """One version of a line: what it is and what it was made from. It never changes. `at` is UTC."""

    specialization: str
    model_digest: str
    number: int
    version_name: str
    type: str
    snapshot: str
    base_digest: str
    recipe_digest: str
    trained_by: str
    at: datetime


@dataclass(frozen=True)
class Evaluated:
    """One report about a version. `run_id` is the run that registered it, "" where there was none; `at` is UTC."""

    specialization: str
    model_digest: str
    report_digest: str
    outcome: str
    summary: str
    run_id: str
    at: datetime


def add_tables(metadata: "MetaData") -> None:
    """The tables of this module."""
    from sqlalchemy import Column, DateTime, Integer, String, Table, Text, UniqueConstraint

    def text(name: str) -> "Column[str]":
        return Column(name, Text, nullable=False)

    def of_line() -> "list[Column[str]]":
        return [Column(name, String, nullable=False) for name in ("specialization", "model_digest")]

    Table(
        REGISTRATIONS,
        metadata,
        Column("id", Integer, primary_key=True),
        *of_line(),
        Column("number", Integer, nullable=False),
        *map(text, ("version_name", "type", "snapshot", "base_digest", "recipe_digest", "trained_by")),
        Column("at", DateTime(timezone=True), nullable=False),
        UniqueConstraint("specialization", "model_digest"),
        UniqueConstraint("specialization", "number"),
    )
    Table(
        EVALUATIONS,
        metadata,
        Column("id", Integer, primary_key=True),
        *of_line(),
        *map(text, ("report_digest", "outcome", "summary", "run_id")),
        Column("at", DateTime(timezone=True), nullable=False),
        UniqueConstraint("specialization", "model_digest", "report_digest"),
    )


def record_registration(state: "State", version: Registered) -> Registered:
    """The row that stands for this model: this one, or the one that was there before, which stays as it is."""
    _add(state, REGISTRATIONS, asdict(version))
    return next(
        each for each in registrations(state, version.specialization) if each.model_digest == version.model_digest
    )


def registrations(state: "State", specialization: str | None = None) -> list[Registered]:
    """The versions of a line, or of all lines, in the order of their registration."""
    return [Registered(**row) for row in _rows(state, REGISTRATIONS, specialization)]


def record_evaluation(
    state: "State",
    specialization: str,
    model_digest: str,
    report_digest: str,
    outcome: str,
    summary: str,
    run_id: str = "",
) -> None:
    """Remembers what a report said of a model; the same report of the same model is kept once."""
    row = Evaluated(specialization, model_digest, report_digest, outcome, summary, run_id, datetime.now(UTC))
    _add(state, EVALUATIONS, asdict(row))


def evaluations(state: "State", specialization: str, model_digest: str | None = None) -> list[Evaluated]:
    """The reports about a line, or about one model of it, oldest first."""
    found = [Evaluated(**row) for row in _rows(state, EVALUATIONS, specialization)]
    return [each for each in found if model_digest in (None, each.model_digest)]


def _add(state: "State", table: str, row: dict[str, Any]) -> None:
    with state.transaction(writes=True) as connection:
        connection.execute(insert_if_absent(connection, state.table(table)), row)


def _rows(state: "State", name: str, specialization: str | None) -> list[dict[str, Any]]:
    from sqlalchemy import select

    table = state.table(name)
    query = select(table).order_by(table.c.id)
    if specialization is not None:
        query = query.where(table.c.specialization == specialization)
    with state.transaction() as connection:
        found = connection.execute(query).mappings()
        return [{name: value for name, value in in_utc(row).items() if name != "id"} for row in found]
