"""Index segments: one file per day that can be made again from a table, kept because making costs more than reading.

A segment's key names the state of the table that it was made from, so a stale one is never read: it is not there.
"""

from pathlib import Path

from ft_assets.errors import MissingInput
from ft_assets.lake_folders import Folders, LocalFolders


class Segments:
    """The segments under index/<name>/<day>/<key>. On S3 each is fetched once and kept in the cache directory."""

    def __init__(self, folders: Folders, cache: Path):
        self._folders = folders
        self._cache = folders if isinstance(folders, LocalFolders) else LocalFolders(cache)

    def put(self, name: str, day: str, key: str, *parts: bytes | memoryview) -> Path:
        """Stores the day's segment, whole or not at all, and removes the ones of that day that it replaces."""
        place = f"index/{name}/{day}"
        self._folders.write(f"{place}/{key}", *parts)
        if self._cache is not self._folders:
            self._cache.write(f"{place}/{key}", *parts)
        for folders in {self._folders, self._cache}:
            for file in folders.files(place):
                if file.name != key and not file.name.startswith("."):
                    folders.remove(f"{place}/{file.name}")
        return self._cache.root / place / key

    def path(self, name: str, day: str, key: str) -> Path | None:
        """A local path of the segment; None when it was never made for this state of the table."""
        place = f"index/{name}/{day}/{key}"
        local = self._cache.root / place
        if local.is_file():
            return local
        if self._cache is self._folders:
            return None
        try:
            self._cache.write(place, self._folders.read(place))
        except MissingInput:
            return None
        return local
