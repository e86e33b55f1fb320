"""What was under way while somebody was forgotten: a snapshot or a model that ended after the erasure had passed.

The journal keeps the ids of every row that was erased, so whoever stores something afterwards can ask.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from ft_assets.erasure.found import Found
from ft_assets.erasure.search import ROW_FILES, is_of, learned_from, lines_of, row_id_of
from ft_assets.errors import Rerunnable
from ft_assets.lake import Lake
from ft_assets.state_forgotten import forget_journal
from ft_assets.state_taints import taint

if TYPE_CHECKING:
    from ft_assets.state import State

TAINT = "it learned from rows of a person who asked to be forgotten"


def taint_late(lake: Lake, state: "State", model_digest: str, by: str) -> bool:
    """Taints a model that learned from rows which were erased while it was trained; whether it did.

    An erasure finds the models that are stored when it looks, and taints them itself.
    """
    found = erased_rows_of_all(state)
    late = bool(found.rows or found.snapshots) and learned_from(lake, model_digest, found)
    if late:
        taint(state, [model_digest], TAINT, by)
    return late


def refuse_erased_rows(state: "State", snapshot: Path) -> None:
    """Nothing, for the files of a snapshot that hold no erased row.

    Raises:
        Rerunnable: they do, because its tables were read before the erasure; the next attempt reads what is left.
    """
    found = erased_rows_of_all(state)
    for name in ROW_FILES if found.rows else ():
        for row in lines_of((snapshot / name).read_bytes()):
            if is_of(row, found):
                raise Rerunnable(
                    f"Row {row_id_of(row)[:16]} of {name} is erased by request, and this snapshot was made of tables "
                    "that still held it, so it was not stored. Run again; if the row is still there, the erasure was "
                    "cut off: `ft-assets forget` with the same name finishes it."
                )


def erased_rows_of_all(state: "State") -> Found:
    """Everything that any erasure found, also one that is under way."""
    return Found.of(line.detail for line in forget_journal(state) if line.step == "found")
