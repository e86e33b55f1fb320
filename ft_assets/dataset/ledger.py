"""Which side each cluster stood on when it first entered a snapshot, kept in the state database."""

from collections.abc import Sequence
from pathlib import Path

from ft_assets.dataset.judged_rows import judged_sides
from ft_assets.dataset.preference_rows import PREFERENCES_FILE, preference_sides
from ft_assets.dataset.rows import side_frame
from ft_assets.records import SIDES, Side
from ft_assets.state import State


def sides_in(snapshot_dir: Path) -> dict[str, Side]:
    """The side of every cluster of a snapshot's rows, pairs and judged rows: what the ledger records of it.

    Raises:
        IncompleteArtifact: a side's file is not there; materialize train_eval_split again.
    """
    of_rows: dict[str, Side] = {
        cluster: side for side in SIDES for cluster in side_frame(snapshot_dir, side)["cluster_id"].unique().to_list()
    }
    has_pairs = (snapshot_dir / PREFERENCES_FILE).is_file()  # earlier snapshots have none
    return (preference_sides(snapshot_dir) if has_pairs else {}) | judged_sides(snapshot_dir) | of_rows


def rebuild_ledger(state: State, specialization: str, snapshot_dirs: Sequence[Path]) -> int:
    """Records the sides of these snapshots, oldest first, and returns how many clusters the ledger holds then.

    A directory's name is the digest that is written beside its clusters. What the ledger already holds stays, so this
    may run again; into an empty ledger it writes what was lost (only the times are new).

    Raises:
        IncompleteArtifact: a snapshot is damaged; leave it out or restore it, then run again.
    """
    for directory in snapshot_dirs:
        state.record_sides(specialization, sides_in(directory), directory.name)
    return len(state.sides(specialization))
