"""Which decisions rested on which golden set, durable and in order. Rows are only ever added."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from ft_assets.errors import WriteConflict

if TYPE_CHECKING:
    from sqlalchemy import Connection, MetaData, RowMapping, Table

    from ft_assets.state import State

GOLDEN_DECISIONS = "golden_decisions"
ATTEMPTS = 50

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class GoldenDecision:
    """One decision. `number` counts a suite's decisions from 1; `generation` counts from 1 and rises when a set whose
    budget was spent has been renewed; `incumbent` is a model's digest; `questions` are digests of what was asked; `at`
    is when it was stored."""

    specialization: str
    suite: str
    number: int
    generation: int
    set_digest: str
    candidate: str
    incumbent: str
    questions: tuple[str, ...]
    at: datetime | None = field(default=None, compare=False)


def add_tables(metadata: "MetaData") -> None:
    """The table of this module."""
    from sqlalchemy import Column, DateTime, Integer, String, Table, Text, UniqueConstraint

    Table(
        GOLDEN_DECISIONS,
        metadata,
        Column("specialization", String, primary_key=True),
        Column("suite", String, primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),  # the key makes a second writer look again
        Column("generation", Integer, nullable=False),
        Column("set_digest", String, nullable=False),
        Column("candidate", String, nullable=False),
        Column("incumbent", String, nullable=False),
        Column("questions", Text, nullable=False),
        Column("at", DateTime(timezone=True), nullable=False),
        UniqueConstraint("specialization", "suite", "set_digest", "candidate", "incumbent"),
    )


def decide_once(
    state: "State",
    specialization: str,
    suite: str,
    judge: Callable[[Sequence[GoldenDecision], Sequence[GoldenDecision]], tuple[Answer, GoldenDecision | None]],
) -> Answer:
    """Shows `judge` a suite's decisions and those on all other suites, both oldest first, adds the one that it returns,
    if any, and returns its answer.

    Between the look and the row nobody else adds one to the suite: where another process did, `judge` is asked again.

    Raises:
        WriteConflict: others were first every time; run again.
    """
    from sqlalchemy import insert
    from sqlalchemy.exc import IntegrityError

    table = state.table(GOLDEN_DECISIONS)
    for _ in range(ATTEMPTS):
        try:
            with state.transaction(writes=True) as connection:
                decisions, own = _decisions(connection, table), (specialization, suite)
                history = [made for made in decisions if (made.specialization, made.suite) == own]
                elsewhere = [made for made in decisions if (made.specialization, made.suite) != own]
                answer, made = judge(history, elsewhere)
                if made is not None:
                    row = {**asdict(made), "questions": json.dumps(made.questions), "at": datetime.now(UTC)}
                    connection.execute(insert(table), row)
            return answer
        except IntegrityError:  # PostgreSQL: another process added a decision between our look and our row
            continue
    raise WriteConflict(f"No golden decision for {specialization} after {ATTEMPTS} attempts. Run again.")


def golden_decisions(state: "State", specialization: str, suite: str) -> list[GoldenDecision]:
    """A suite's decisions, oldest first."""
    with state.transaction() as connection:
        decisions = _decisions(connection, state.table(GOLDEN_DECISIONS))
    return [made for made in decisions if (made.specialization, made.suite) == (specialization, suite)]


def _decisions(connection: "Connection", table: "Table") -> list[GoldenDecision]:
    from sqlalchemy import select

    order = (table.c.specialization, table.c.suite, table.c.number)
    return [_decision(row) for row in connection.execute(select(table).order_by(*order)).mappings()]


def _decision(row: "RowMapping") -> GoldenDecision:
    return GoldenDecision(**{**row, "questions": tuple(json.loads(row["questions"]))})
