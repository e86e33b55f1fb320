"""What may not go: read from the state database, where every line's history is, and from what artifacts say."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ft_assets.retention.reachable import Node
from ft_assets.state import State
from ft_assets.state_registry import evaluations, registrations

if TYPE_CHECKING:
    from sqlalchemy import Table

LONGEST_TRAINING = timedelta(days=60)
BEFORE_A_LEASE = timedelta(days=1)  # a training resolves its snapshot and base before it takes the lease


def roots_of(state: State, snapshots_kept: int) -> dict[Node, str]:
    """Registered models with their reports, every champion that ever was with its evidence, and the last snapshots of
    each line; with the reason."""
    roots: dict[Node, str] = {}
    lines: set[str] = set()
    for version in registrations(state):
        lines.add(version.specialization)
        roots["adapter", version.model_digest] = f"registered as {version.version_name}"
        roots["snapshot", version.snapshot] = f"the rows of {version.version_name}"
        roots["base_model", version.base_digest] = f"the base of {version.version_name}"
    for trained in state.trained():
        lines.add(trained.specialization)
        # The newest one may still be evaluated.
        newest = state.last_trained(trained.specialization)
        if newest and newest.model_digest == trained.model_digest:
            roots.setdefault(("adapter", trained.model_digest), f"the newest model of {trained.specialization}")
    lines |= set(_lines_with_promotions(state))
    for line in lines:
        for judged in evaluations(state, line):
            roots["report", judged.report_digest] = f"a report about a model of {line}"
        for promotion in state.promotions(line):
            why = f"in the champion history of {line}"
            roots["adapter", promotion.model_digest] = why
            if promotion.previous:
                roots["adapter", promotion.previous] = why
            roots["report", promotion.evidence] = f"evidence {why}"
    for line, digests in last_snapshots(state, snapshots_kept).items():
        for digest in digests:
            roots.setdefault(("snapshot", digest), f"one of the last {snapshots_kept} snapshots of {line}")
    return roots


def last_snapshots(state: State, count: int) -> dict[str, list[str]]:
    """The last snapshots of each line, newest first, by the clusters that they brought and by what was trained."""
    from sqlalchemy import func, select

    sides = state.table("split_sides")
    query = select(sides.c.specialization, sides.c.snapshot, func.max(sides.c.at)).group_by(
        sides.c.specialization, sides.c.snapshot
    )
    with state.transaction() as connection:
        seen = [(line, snapshot, _utc(at)) for line, snapshot, at in connection.execute(query)]
    seen += [(each.specialization, each.snapshot, each.at) for each in state.trained()]
    found: dict[str, list[str]] = {}
    for line, snapshot, _ in sorted(seen, key=lambda each: each[2], reverse=True):
        known = found.setdefault(line, [])
        if snapshot not in known:
            known.append(snapshot)
    return {line: digests[:count] for line, digests in found.items()}


def oldest_living_lease(state: State, now: datetime) -> datetime | None:
    """When the longest training under way began; None while nobody trains. A lease lives until its line has trained a
    model, or somebody else took the next one, or for sixty days."""
    from sqlalchemy import func, select

    leases: Table = state.table("leases")
    query = select(leases.c.specialization, func.max(leases.c.at)).group_by(leases.c.specialization)
    with state.transaction() as connection:
        newest = [(line, _utc(at)) for line, at in connection.execute(query)]
    living = []
    for line, at in newest:
        last = state.last_trained(line)
        if not (last and last.at >= at) and now - at < LONGEST_TRAINING:
            living.append(at)
    return min(living, default=None)


def cutoff(state: State, grace_days: float, now: datetime) -> datetime:
    """What was stored or renewed after this is not looked at: a run that is under way may use it."""
    lease = oldest_living_lease(state, now)
    grace = now - timedelta(days=grace_days)
    return min(grace, lease - BEFORE_A_LEASE) if lease else grace


def _lines_with_promotions(state: State) -> Iterable[str]:
    from sqlalchemy import select

    table = state.table("promotions")
    with state.transaction() as connection:
        return list(connection.scalars(select(table.c.specialization).distinct()))


def _utc(at: "datetime | str") -> datetime:
    """SQLite gives an aggregate of times as it is stored: as text."""
    read = datetime.fromisoformat(at) if isinstance(at, str) else at
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
