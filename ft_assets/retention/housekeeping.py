"""The weekly clearing up: what nobody can reach any more goes, with a reason, and everything else is kept, with one.

Nothing that was stored or asked for again within the grace is looked at, so a run under way loses nothing: what it
makes is young, and what it makes again is renewed. An artifact is taken aside in one step and looked at once more
before it goes for good.
"""

import os
import shutil
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ft_assets.lake import Lake
from ft_assets.lake_artifacts import ERASED
from ft_assets.lake_folders import LocalFolders, files_below
from ft_assets.lake_manifest import MANIFEST
from ft_assets.lake_upkeep import compact, loose_files, scattered, table_names, vacuum
from ft_assets.retention.raw_days import UNMASKED, expired_days
from ft_assets.retention.reachable import Node, reachable
from ft_assets.retention.roots import cutoff, roots_of
from ft_assets.retention.rules import RetentionRules
from ft_assets.retention.stored import Stored, kept_anyhow, last_change, stored_artifacts
from ft_assets.state import State

DAY_SECONDS = 86_400.0
RAW_VERSIONS_HOURS = 24  # older versions of unmasked tables hold what was deleted


@dataclass(frozen=True)
class Goes:
    """Something that goes: its place in the lake, why, and its bytes as far as they are known."""

    place: str
    why: str
    size: int = 0


@dataclass
class Plan:
    """`kept` maps the place of every artifact, cache and day that stays to the reason."""

    goes: list[Goes] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)  # data files of older versions
    compacted: dict[str, int] = field(default_factory=dict)  # partitions in several files
    done: bool = False

    @property
    def size(self) -> int:
        """Bytes that go, as far as they are known."""
        return sum(each.size for each in self.goes)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self) | {"size": self.size}


def housekeeping(
    lake: Lake,
    state: State,
    rules: RetentionRules,
    dry_run: bool = True,
    also_kept: Mapping[Node, str] | None = None,
    now: datetime | None = None,
) -> Plan:
    """What goes and what stays; unless it is a dry run, what goes is gone afterwards.

    `also_kept` are artifacts that somebody else knows to be needed, with the reason: the newest of each asset, say.
    """
    now = now or datetime.now(UTC)
    plan = Plan()
    youngest = cutoff(state, rules.grace_days, now).timestamp()
    found = stored_artifacts(lake)
    for node in _unreachable(state, found, rules, also_kept or {}, youngest, plan):
        if dry_run or remove_artifact(lake, *node, youngest):
            why = "no registered model, champion, last snapshot or training under way reaches it"
            plan.goes.append(Goes(f"artifacts/{node[0]}/{node[1]}", why, found.size[node]))
    _left_over(lake, found, youngest, plan, dry_run)
    _work(lake, rules, now, plan, dry_run)
    _raw(lake, rules, now, plan, dry_run)
    _tables(lake, rules, plan, dry_run)
    plan.done = not dry_run
    return plan


def remove_artifact(lake: Lake, kind: str, digest: str, youngest: float) -> bool:
    """Removes an artifact that was neither stored nor asked for again since `youngest` (seconds since 1970); whether
    it did. On a local disk it is taken away by one rename, and put back when it was renewed just before."""
    place = f"artifacts/{kind}/{digest}"
    if last_change(lake, f"{place}/{MANIFEST}") > youngest:
        return False
    if not isinstance(lake.folders, LocalFolders):
        lake.folders.remove(f"{place}/{MANIFEST}")  # without it the artifact does not exist, whatever else is there
        lake.folders.remove_all(place)
        shutil.rmtree(lake.cache_dir / place, ignore_errors=True)
        return True
    path = lake.folders.root / place
    aside = path.with_name(f".removed-{uuid.uuid4().hex}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False
    if (aside / MANIFEST).stat().st_mtime > youngest or (aside / ERASED).exists():
        try:
            aside.rename(path)
        except OSError:  # it was stored anew meanwhile, the same bytes
            shutil.rmtree(aside)
        return False
    shutil.rmtree(aside)
    return True


def _unreachable(
    state: State, found: Stored, rules: RetentionRules, also_kept: Mapping[Node, str], youngest: float, plan: Plan
) -> list[Node]:
    """Artifacts that nothing reaches, documents first. The state is read after the lake: what was registered while the
    lake was looked at is a root."""
    young = {node: "stored or used lately" for node, changed in found.changed.items() if changed > youngest}
    newest = kept_anyhow(found, rules.snapshots_kept)
    roots = {**young, **newest, **also_kept, **roots_of(state, rules.snapshots_kept)}
    kept = reachable(roots, found.uses, found.about)
    goes = [node for node in found.changed if node not in kept]
    plan.kept |= {
        f"artifacts/{kind}/{digest}": kept[kind, digest] for kind, digest in found.changed if (kind, digest) in kept
    }
    return sorted(goes, key=lambda node: (node not in found.about, node))


def _left_over(lake: Lake, found: Stored, youngest: float, plan: Plan, dry_run: bool) -> None:
    for place, changed in sorted(found.left_over.items()):
        if changed < youngest:
            plan.goes.append(Goes(place, "a writer or a removal did not finish it"))
            if not dry_run:
                lake.folders.remove_all(place)


def _work(lake: Lake, rules: RetentionRules, now: datetime, plan: Plan, dry_run: bool) -> None:
    for name, days, what in (
        ("training", rules.work_days, "checkpoints of a training that ended, or of a trial that lost"),
        ("tokens", rules.tokens_days, "tokens that nothing has read"),
    ):
        root = lake.work_dir(name)
        for entry in sorted(path for path in root.iterdir() if path.is_dir()):
            below = [Path(at, name) for at, folders, names in os.walk(entry) for name in [*folders, *names]]
            used = max(map(_used, [entry, *below]))
            if _is_old(plan, f"work/{name}/{entry.name}", used, days, now, what) and not dry_run:
                shutil.rmtree(entry, ignore_errors=True)
    if not isinstance(lake.folders, LocalFolders):
        _work_in_bucket(lake, rules, now, plan, dry_run)


def _work_in_bucket(lake: Lake, rules: RetentionRules, now: datetime, plan: Plan, dry_run: bool) -> None:
    for name in lake.folders.subfolders("work/training"):
        place = f"work/training/{name}"
        used = max((last_change(lake, key) for key, _ in files_below(lake.folders, place)), default=0.0)
        what = "checkpoints in the bucket of a training that ended"
        if _is_old(plan, place, used, rules.work_days, now, what) and not dry_run:
            lake.folders.remove_all(place)


def _used(path: Path) -> float:
    try:
        status = path.stat()
    except FileNotFoundError:
        return time.time()
    # A directory is read by whoever looks at it, which is no use of it.
    return status.st_mtime if path.is_dir() else max(status.st_mtime, status.st_atime)


def _is_old(plan: Plan, place: str, used: float, days: float, now: datetime, what: str) -> bool:
    """Whether nothing used it for so long; the plan says so, or why it stays."""
    age = (now.timestamp() - used) / DAY_SECONDS
    if age > days:
        plan.goes.append(Goes(place, f"{what}, for {age:.0f} days"))
        return True
    plan.kept[place] = f"used {max(age, 0):.0f} days ago, kept for {days:g}"
    return False


def _raw(lake: Lake, rules: RetentionRules, now: datetime, plan: Plan, dry_run: bool) -> None:
    expired = expired_days(lake, rules.raw_retention_days, rules.grace_days, now)
    for day, places in expired.items():
        for place in places:
            why = f"unmasked, and older than raw_retention_days ({rules.raw_retention_days})"
            plan.goes.append(Goes(place if place.startswith("landing") else f"{place}/day={day}", why))
    if dry_run:
        return
    for table in UNMASKED:
        days = [day for day, places in expired.items() if f"tables/{table}" in places]
        if days:
            lake.replace(table, lake.scan(table, {"day": days}).collect().clear(), {"day": days})
    for day, places in expired.items():
        if f"landing/{day}" in places:
            lake.folders.remove_all(f"landing/{day}")


def _tables(lake: Lake, rules: RetentionRules, plan: Plan, dry_run: bool) -> None:
    grace_hours = int(rules.grace_days * 24)
    for table in table_names(lake):
        if several := scattered(lake, table):
            plan.compacted[table] = len(several)
            if not dry_run:
                compact(lake, table, several)
        files = vacuum(lake, table, RAW_VERSIONS_HOURS if table in UNMASKED else grace_hours, dry_run)
        if files:
            plan.tables[table] = len(files)
        for key, age in list(loose_files(lake, table)):
            if age > rules.grace_days * DAY_SECONDS:
                plan.goes.append(Goes(key, "a data file that no version of the table names"))
                if not dry_run:
                    lake.folders.remove(key)


def by_reason(reasons: Iterable[str]) -> dict[str, int]:
    """How many things have each reason."""
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))
