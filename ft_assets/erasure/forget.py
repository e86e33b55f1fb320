"""Forgets a person: everything that holds their rows goes, everybody who held them is named, and nothing comes back.

The order survives being killed anywhere: first they are refused, then what there is is written down, models are
tainted, copies go, and the sources last, because the copies are recognised by them. Running again finishes.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ft_assets.erasure.artifacts import erase_artifacts, traces_of
from ft_assets.erasure.found import Found
from ft_assets.erasure.landing import LandingErased, erase_landing, quarantined
from ft_assets.erasure.late import TAINT
from ft_assets.erasure.mlflow_artifacts import erase_mlflow
from ft_assets.erasure.person import Person
from ft_assets.erasure.run_events import redact_run_events
from ft_assets.erasure.search import search
from ft_assets.erasure.tables import TablesErased, erase_index, erase_tables
from ft_assets.erasure.traces import TracesErased, erase_traces
from ft_assets.errors import BadInput, FtAssetsError
from ft_assets.forgotten_users import UserHash, refuse_other_key
from ft_assets.lake import Lake
from ft_assets.state import State
from ft_assets.state_forgotten import forget_journal, forgotten_hashes, note
from ft_assets.state_taints import taint
from ft_assets.tracking import Tracking

PASSES = 3  # a run that was under way may write what it had read before
DEFAULT_SECRET = "ft_assets"


@dataclass
class Forgotten:
    """What went, or would go. `unfinished` says what is still there and what to do; empty when nothing is left."""

    user_hash: str
    dry_run: bool
    found: Found
    landing: LandingErased = field(default_factory=LandingErased)
    tables: TablesErased = field(default_factory=TablesErased)
    artifacts: dict[str, list[str]] = field(default_factory=dict)
    index_files: int = 0
    traces: TracesErased = field(default_factory=TracesErased)
    mlflow: dict[str, list[str]] = field(default_factory=dict)
    run_events: int = 0
    tainted_champions: dict[str, str] = field(default_factory=dict)  # specialization to digest
    unfinished: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "found": self.found.as_dict()}


@dataclass(frozen=True)
class Places:
    """Where a person's rows can be. `dagster_home` holds logs and events of runs, None where there is none."""

    lake: Lake
    state: State
    tracking: Tracking | None = None
    dagster_home: Path | None = None


def forget(
    places: Places, user: str, secret: str, by: str, dry_run: bool = False, delete_unreadable: bool = False
) -> Forgotten:
    """Erases everything of a user, and says what that was. The same call again finishes what was cut off.

    In a dry run nothing is changed. With `delete_unreadable` landing files that cannot be read and point to the user
    are deleted instead of put aside for a person.

    Raises:
        BadInput: the user's name or the name of whoever asks is empty.
        BadConfiguration: earlier users were hashed with another secret.
    """
    if not by.strip():
        raise BadInput("Nobody is named who forgets this user, and the journal keeps that for good. Give --by.")
    user_hash = UserHash(secret)
    refuse_other_key(forgotten_hashes(places.state).values(), user_hash)
    person = Person.named(user, user_hash)
    journal = forget_journal(places.state, person.hash)
    known = Found.of(line.detail for line in journal if line.step == "found")
    if not dry_run and not journal:
        note(places.state, person.hash, person.key_check, "asked", {}, by)
    result = _one_pass(places, person, known, by, dry_run, delete_unreadable)
    if not dry_run:
        for _ in range(PASSES - 1):
            again = _one_pass(places, person, result.found, by, dry_run, delete_unreadable)
            if _is_done(again):
                break
            _add(result, again)
        result.unfinished = _unfinished(places, again)
        if not result.unfinished:
            note(places.state, person.hash, person.key_check, "finished", {}, by)
    result.warnings = _warnings(secret, result)
    return result


def _one_pass(
    places: Places, person: Person, known: Found, by: str, dry_run: bool, delete_unreadable: bool
) -> Forgotten:
    lake, state = places.lake, places.state
    found, pieces = search(lake, person, known)
    traces, result = traces_of(lake, person, found, pieces), Forgotten(person.hash, dry_run, found)
    if not dry_run and found.as_dict() != known.as_dict():
        note(state, person.hash, person.key_check, "found", found.as_dict(), by)
    if not dry_run:
        taint(state, found.models, TAINT, by)
    result.tainted_champions = _champions(state, found.models)
    home = places.dagster_home
    spool = places.tracking.spool_dir if places.tracking else None
    result.traces = erase_traces(lake, found, traces, [home] if home else [], spool, dry_run)
    result.run_events = redact_run_events(home, traces, dry_run) if home else 0
    if places.tracking is not None:
        try:
            result.mlflow = erase_mlflow(places.tracking, found, dry_run)
        except FtAssetsError as error:
            result.unfinished.append(str(error))
    result.artifacts = erase_artifacts(lake, person, found, traces, dry_run)
    result.index_files = erase_index(lake, found.days, dry_run)
    result.tables = erase_tables(lake, person, found, dry_run)
    result.landing = erase_landing(lake, person, found.interactions, traces.of_text, dry_run, delete_unreadable)
    return result


def _champions(state: State, models: Iterable[str]) -> dict[str, str]:
    """Champions that learned from the rows; they stay in charge, as tainted, until another one is promoted."""
    tainted = set(models)
    lines = {each.specialization for each in state.trained()}
    found = {line: state.champion(line) for line in sorted(lines)}
    return {line: each.model_digest for line, each in found.items() if each and each.model_digest in tainted}


def _is_done(again: Forgotten) -> bool:
    """Whether a search after the erasure found nothing to erase."""
    gone = again.landing.rewritten or again.landing.removed or again.tables.rows or again.tables.being_written
    return not gone and not again.unfinished


def _add(result: Forgotten, again: Forgotten) -> None:
    """What a later pass found besides."""
    result.found.add(again.found)
    for table, rows in again.tables.rows.items():
        result.tables.rows[table] = result.tables.rows.get(table, 0) + rows
    result.tables.files += again.tables.files
    for kind in again.artifacts:
        known = result.artifacts.setdefault(kind, [])
        known += [digest for digest in again.artifacts[kind] if digest not in known]
    for name in ("rewritten", "removed", "quarantined", "unread"):
        getattr(result.landing, name).update(getattr(again.landing, name))


def _unfinished(places: Places, last: Forgotten) -> list[str]:
    left = list(last.unfinished)
    if names := quarantined(places.lake):
        left.append(
            f"{len(names)} landing files point to this user and cannot be read, the first {names[0]}. Mend and land "
            "them again or delete them, or run again with --delete-unreadable"
        )
    if last.tables.being_written or last.landing.rewritten or last.landing.removed or last.tables.rows:
        left.append("a run under way goes on writing rows of this user: wait until it is over, and run again")
    if last.traces.training_now:
        left.append(
            f"{len(last.traces.training_now)} trainings wrote checkpoints within the last hour: wait until they are "
            "over, or cancel them, and run again"
        )
    if last.traces.for_a_person:
        left.append(
            f"{', '.join(last.traces.for_a_person)}: a frozen question set repeats rows of this user. Take them out, "
            "put the new SHA-256 into the specialization, and run again"
        )
    return left


def _warnings(secret: str, result: Forgotten) -> list[str]:
    warnings = []
    if secret == DEFAULT_SECRET:
        warnings.append(
            "FT_ASSETS_SPLIT_KEY is the one that everybody knows, so whoever reads the state database can try names "
            "against its hashes. Set one of your own before the first user is forgotten, and never change it"
        )
    if not any(result.found.as_dict().values()) and not (result.landing.rewritten or result.landing.quarantined):
        warnings.append(
            "nothing of a user of that name was found. Names are compared whole, without capitals and blanks: look at "
            "user_id in raw_interactions whether it is the right one"
            + ("" if result.dry_run else "; it is refused from now on, which cannot be taken back")
        )
    if result.landing.unread:
        warnings.append(
            f"{len(result.landing.unread)} landing files hold places that nobody can read; nothing in them points to "
            "this user"
        )
    return warnings
