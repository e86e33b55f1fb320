"""Landing without a person's records: every file below landing/, also those that ingest does not read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ft_assets.erasure.landing_files import Rewritten, without
from ft_assets.erasure.person import Person, names_in, stands_in
from ft_assets.ingest.files import read_values
from ft_assets.ingest.parse import Parsed, parse
from ft_assets.ingest.plans import known_fields
from ft_assets.ingest.values import Value
from ft_assets.lake import Lake
from ft_assets.lake_folders import files_below

LANDING, QUARANTINE = "landing", "quarantine"
SIDES = (":chosen", ":rejected")


@dataclass
class LandingErased:
    """Files of landing by what happened to them. `unread` are damaged, and nothing in them points to this person."""

    rewritten: dict[str, int] = field(default_factory=dict)  # file to records that went
    removed: dict[str, int] = field(default_factory=dict)  # nothing else was in it
    quarantined: dict[str, str] = field(default_factory=dict)  # file to why it cannot be written again
    unread: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Theirs:
    """Recognises the person's records: by name at any depth, or by the id of an interaction of theirs where the record
    names nobody else, or is feedback about it."""

    person: Person
    interactions: frozenset[str] | set[str]

    def __call__(self, record: object) -> bool:
        """Whether the record is theirs."""
        names = [name for name in names_in(record) if name not in (None, "")]
        if any(self.person.goes_by(name) for name in names):
            return True
        if not self.interactions or not isinstance(record, Mapping):
            return False
        about = self.ids_of(record)
        return bool(about & self.interactions) and (not _own_user(record) or is_feedback(record))

    def ids_of(self, record: Mapping[str, Any]) -> set[str]:
        """The ids that a record gives itself, or the answer that it is about."""
        known = known_fields(record)
        given = {str(known[name]) for name in ("interaction_id", "id") if isinstance(known.get(name), str | int)}
        return given | {f"{name}{side}" for name in given for side in SIDES}


def is_feedback(record: Mapping[str, Any]) -> bool:
    """Whether the record is about an answer and holds none of its own."""
    return any(isinstance(part, Parsed) and part.format == "feedback" for part in parse(record, None))


def records_of(lake: Lake, person: Person) -> Iterator[tuple[str, object, set[str]]]:
    """Every record that names the person: its file, itself, and the ids of the interactions that ingest makes of it."""
    theirs = Theirs(person, frozenset())
    for key, _ in files_below(lake.folders, LANDING):
        for item in read_values(_name(key), lake.folders.read(key)):
            if isinstance(item, Value):
                for record in _each(item.value):
                    if theirs(record):
                        yield key, record, _made_of(record, item.source_kind)


def erase_landing(
    lake: Lake, person: Person, interactions: set[str], holds_text: Callable[[str], bool], dry_run: bool, delete: bool
) -> LandingErased:
    """Rewrites every file that holds records of theirs. One that cannot be read and points to them goes to quarantine/,
    or, with `delete`, goes altogether."""
    done = LandingErased()
    theirs = Theirs(person, interactions)

    def mentions(text: str) -> bool:
        return person.stands_in(text) or any(stands_in(name, text) for name in interactions) or holds_text(text)

    for key, _ in list(files_below(lake.folders, LANDING)):
        content = lake.folders.read(key)
        found = without(_name(key), content, theirs, mentions)
        _count(done, key, found, delete)
        if not dry_run:
            _change(lake, key, content, found, delete)
    return done


def quarantined(lake: Lake) -> list[str]:
    """Files that wait for a person to look at them."""
    return [key for key, _ in files_below(lake.folders, QUARANTINE)]


def _count(done: LandingErased, key: str, found: Rewritten, delete: bool) -> None:
    if found.unreadable and found.mentions:
        done.quarantined[key] = found.unreadable
        if delete:
            done.removed[key] = 0
            del done.quarantined[key]
    elif found.unreadable:
        done.unread[key] = found.unreadable
    elif found.content is not None:
        (done.rewritten if found.content else done.removed)[key] = found.records
    elif found.damaged:
        done.unread[key] = f"{found.damaged} places in it cannot be read"


def _change(lake: Lake, key: str, content: bytes, found: Rewritten, delete: bool) -> None:
    if found.unreadable and found.mentions:
        if not delete:
            lake.folders.write(f"{QUARANTINE}/{key.removeprefix(f'{LANDING}/')}", content)
        lake.folders.remove(key)
    elif found.content:
        lake.folders.write(key, found.content)
    elif found.content is not None:
        lake.folders.remove(key)


def _each(record: object) -> list[object]:
    is_many = isinstance(record, Mapping) and isinstance(record.get("examples"), list)
    return list(record["examples"]) if is_many else [record]  # type: ignore[index]


def _made_of(record: object, source_kind: str | None) -> set[str]:
    parts = parse(record, None, source_kind)
    return {
        str(row["interaction_id"])
        for part in parts
        if isinstance(part, Parsed) and part.format != "feedback"
        for row in part.rows
    }


def _own_user(record: Mapping[str, Any]) -> bool:
    return any(name not in (None, "") for name in names_in(record))


def _name(key: str) -> str:
    """What tells the format: hidden files and copies under way are read by the name that they will have."""
    return key.rpartition("/")[2].lstrip("._").removesuffix(".tmp")
