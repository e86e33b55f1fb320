"""What is new for a line: its eligible train rows that no successful training has consumed yet."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ft_assets.errors import FtAssetsError
from ft_assets.lake import Lake
from ft_assets.state import State
from ft_assets.state_ledger import consume, consumed, consumed_snapshots

if TYPE_CHECKING:
    from ft_assets.specializations.specialization import Specialization


@dataclass(frozen=True)
class Counted:
    """A line's train rows now. `new` are ids, sorted; `drops` maps a reason to the rows that it left out.

    `unreadable` are snapshots that trained a model and cannot be read any more, with the reason of each: what only
    they held counts as new.
    """

    new: list[str]
    eligible: int
    drops: dict[str, int]
    unreadable: dict[str, str]


def count(lake: Lake, state: State, spec: "Specialization", split_key: str) -> Counted:
    """The rows that a snapshot made now would have on its train side, and which of them are new. Rows that came late,
    twice or in another order are the same rows: what counts is the set of their ids.

    Raises:
        FtAssetsError: the line's golden set or its last snapshot cannot be read; the message says what to do.
    """
    from ft_assets.dataset.snapshot import eligible_train_ids
    from ft_assets.specializations.choice import choice_of

    unreadable = fill_ledger(lake, state, spec.name)
    found = eligible_train_ids(lake.scan("curated_examples"), **choice_of(lake, state, spec, split_key))
    new = sorted(set(found.ids) - consumed(state, spec.name))
    return Counted(new, len(found.ids), found.drops, unreadable)


def fill_ledger(lake: Lake, state: State, specialization: str) -> dict[str, str]:
    """Enters into the ledger what was trained and is not in it yet; snapshots that cannot be read, with the reason.

    A training counts from the moment that its model is recorded (`State.record_trained`), one row in one transaction.
    Which examples that were is read from its snapshot here, whenever the process that trained did not come so far.
    """
    unreadable = {}
    known = consumed_snapshots(state, specialization)
    for snapshot in dict.fromkeys(trained.snapshot for trained in state.trained(specialization)):
        if snapshot not in known:
            try:
                enter_snapshot(lake, state, specialization, snapshot)
            except FtAssetsError as error:
                unreadable[snapshot] = str(error)
    return unreadable


def enter_snapshot(lake: Lake, state: State, specialization: str, snapshot: str) -> None:
    """Enters the train rows of a snapshot that has trained a model; again, it changes nothing.

    Raises:
        IncompleteArtifact: the snapshot is absent or damaged; of one that was erased by request the ids are left.
    """
    from ft_assets.dataset.known_ids import known_ids

    consume(state, specialization, snapshot, known_ids(lake, snapshot, ("train",)))
