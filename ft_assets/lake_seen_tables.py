"""Tables as they were last looked at, because opening one reads its whole log, a dozen times for each batch of days."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from deltalake import DeltaTable


class _Look(NamedTuple):
    delta: "DeltaTable"
    version: int
    stamp: tuple[int, int]


class SeenTables:
    """Tables in local folders. One that was handed out stays at its version, also for whoever commits with it."""

    def __init__(self, open_table: Callable[[str], "DeltaTable | None"], path_of: Callable[[str], str]):
        self._open, self._path_of = open_table, path_of
        self._looks: dict[str, _Look] = {}

    def latest(self, table: str) -> "DeltaTable | None":
        """The table at its latest version, or None when it was never written; opened when its log has grown."""
        look = self._looks.get(table)
        if look and self._stamp(table, look.version) == look.stamp and not self._stamp(table, look.version + 1):
            return look.delta
        if not look and not os.path.isdir(f"{self._path_of(table)}/_delta_log"):
            return None
        delta = self._open(table)
        if delta is not None and (stamp := self._stamp(table, delta.version())):
            self._looks[table] = _Look(delta, delta.version(), stamp)
        return delta

    def _stamp(self, table: str, version: int) -> tuple[int, int] | None:
        """Tells the file of a commit from another of that version, in a table that was made anew; None without one."""
        try:
            status = os.stat(f"{self._path_of(table)}/_delta_log/{version:020}.json")
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns
