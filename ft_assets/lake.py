"""The lake: landing folders, Delta tables and content-addressed artifacts under one root, a directory or S3."""

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ft_assets.errors import BadConfiguration, BadInput, InputsMoved
from ft_assets.lake_artifacts import DIGEST, Artifact, LocalArtifacts, S3Artifacts
from ft_assets.lake_folders import Folders, LocalFolders, S3Folders
from ft_assets.lake_manifest import directory_digest
from ft_assets.lake_segments import Segments
from ft_assets.lake_tables import DeltaTables, Partitions
from ft_assets.settings import s3_storage_options

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Artifact", "Lake", "LandingFile", "Partitions", "directory_digest"]

ATTEMPTS = 3
# A blank, "=", "%" or "é" in the root: deltalake writes the table and Polars 2.1 cannot find its files again.
READABLE_ROOT = re.compile(r"[A-Za-z0-9/._+@,:~-]+")
T = TypeVar("T")


@dataclass(frozen=True)
class LandingFile:
    """A file that somebody dropped into landing/<day>/. `stamp` changes whenever its content does."""

    day: str
    name: str
    size: int
    stamp: str


class Lake:
    """Everything ft_assets keeps. `where` names partitions: {partition column: [values]}, None for all of them."""

    def __init__(self, url: str, cache_dir: Path | None = None):
        """`url` is a directory or s3://bucket/prefix; `cache_dir` holds verified copies of what lives on S3."""
        cache = (cache_dir or Path(tempfile.gettempdir(), "ft_assets_cache")).resolve()
        self.url = url
        self.folders: Folders  # for those who delete and rewrite: every key under the root
        self.cache_dir = cache
        self._artifacts: LocalArtifacts | S3Artifacts
        if url.startswith("s3://"):
            folders = S3Folders(_readable(url))
            self.folders = folders
            self._artifacts = S3Artifacts(folders, "artifacts", LocalArtifacts(cache / "artifacts"))
            self.tables = DeltaTables(folders, "tables", s3_storage_options())
            self._work = cache / "work"
            self._segments = Segments(folders, cache)
            return
        if "://" in url:
            raise BadConfiguration(
                f"The lake {url!r} is neither a directory nor s3://bucket/prefix. Set FT_ASSETS_LAKE."
            )
        root = Path(_readable(str(Path(url).expanduser().resolve())))
        self.folders = LocalFolders(root)
        self._artifacts = LocalArtifacts(root / "artifacts")
        self.tables = DeltaTables(self.folders, "tables")
        self._work = root / "work"
        self._segments = Segments(self.folders, cache)

    # landing/<day>/*

    def landing_days(self) -> list[str]:
        """Sorted names of the landing folders that are a day, YYYY-MM-DD."""
        return [name for name in self.folders.subfolders("landing") if _is_day(name)]

    def odd_landing_folders(self) -> list[str]:
        """Sorted names of the other landing folders, whose files nobody will read; hidden ones are left out."""
        return [name for name in self.folders.subfolders("landing") if not _is_day(name) and name[0] not in "._"]

    def landing_files(self, day: str) -> list[LandingFile]:
        """The day's files, sorted by name, without those that begin with . or _ or end with .tmp, and no subfolders."""
        found = self.folders.files(f"landing/{_day(day)}")
        return [LandingFile(day, file.name, file.size, file.stamp) for file in found if _is_read(file.name)]

    def landing_stamp(self, day: str) -> str:
        """A digest of (name, size, stamp) of the day's files; it moves when a file comes, goes, grows or changes."""
        files = [(file.name, file.size, file.stamp) for file in self.landing_files(day)]
        return hashlib.sha256(json.dumps(files).encode()).hexdigest()

    def read_landing(self, day: str, name: str) -> bytes:
        """The bytes of one file as they lie there; .gz stays compressed.

        Raises:
            MissingInput: there is no such file.
            BadInput: the name leads elsewhere, or the file is a symbolic link; put a copy of the file there.
        """
        return self.folders.read(f"landing/{_day(day)}/{_file_name(name)}")

    def land(self, day: str, name: str, content: bytes) -> None:
        """Puts a file into landing, whole or not at all; one of that name is replaced.

        Raises:
            BadInput: the name leads elsewhere, or is one that `landing_files` leaves out; choose another.
        """
        if not _is_read(_file_name(name)):
            raise BadInput(
                f"A file named {name!r} in landing is never read. Use a name without . or _ before it or .tmp."
            )
        self.folders.write(f"landing/{_day(day)}/{name}", content)

    # tables/<name>

    def exists(self, table: str) -> bool:
        """Whether the table was ever written."""
        return self.tables.seen(table) is not None

    def version(self, table: str) -> int | None:
        """The latest version of the table, from 0 on; None when it was never written."""
        delta = self.tables.seen(table)
        return None if delta is None else delta.version()

    def scan(self, table: str, where: Partitions | None = None) -> "pl.LazyFrame":
        """The rows of those partitions, lazily and at today's version; files of other partitions are not opened.

        Raises:
            MissingInput: the table does not exist; materialize the asset of that name.
            BadInput: `where` names a column that is not a partition column.
        """
        return self.tables.scan(table, where)

    def replace(self, table: str, frame: "pl.DataFrame", where: Partitions) -> int:
        """Makes `frame` the whole content of those partitions, in one commit; returns the version it made.

        The columns of `where`, in order, are the table's partition columns. A named partition without rows in the
        frame is emptied. Columns that the table does not have yet are added. Writers of other partitions do not meet.

        Raises:
            BadInput: rows outside of `where`, or columns that do not fit the table or would not come back as they are.
            WriteConflict: other writers replaced the same partitions during each of four attempts; run again.
        """
        return self.tables.replace(table, frame, where)

    def fingerprint(self, table: str, where: Partitions | None = None) -> str:
        """A digest of the data files behind those partitions; "" when the table does not exist."""
        return self.tables.fingerprint(table, where)

    def fingerprints(self, table: str) -> dict[str, str]:
        """Day to the digest of the data files behind it, for a table partitioned by day alone; empty without one."""
        return self.tables.fingerprints(table)

    def settled(
        self,
        inputs: Mapping[str, Partitions | None],
        compute: Callable[[], T],
        commit: Callable[[T], object],
    ) -> T:
        """Commits and returns what `compute` made from inputs ({table: where}) that stood still while it ran.

        Raises:
            InputsMoved: they changed during each of three attempts; nothing was committed. Run again.
        """
        moved: list[str] = []
        for _ in range(ATTEMPTS):
            before = {table: self.fingerprint(table, where) for table, where in inputs.items()}
            result = compute()
            moved = [table for table, where in inputs.items() if self.fingerprint(table, where) != before[table]]
            if not moved:
                commit(result)
                return result
        raise InputsMoved(
            f"{', '.join(moved)} changed while it was read, {ATTEMPTS} times in a row, so nothing was written. "
            "Run again when the runs that write it are over."
        )

    # artifacts/<kind>/<sha256>/

    def put_artifact(self, kind: str, directory: Path) -> Artifact:
        """Stores a copy of `directory` under the digest of its content; nothing is written when it is there, whole.

        Raises:
            BadInput: it holds no file, a link or device, or a manifest.json of its own.
            IncompleteArtifact: its files changed while they were stored; run again.
            Erased: exactly this was deleted because a person asked to be forgotten; make it without those rows.
        """
        return self._artifacts.put(_kind(kind), directory)

    def artifact(self, kind: str, digest: str) -> Artifact:
        """The artifact as a local directory, after every byte was verified (S3: streamed to the cache, once).

        Raises:
            IncompleteArtifact: it is absent or damaged; the message names the file. Materialize what makes it again.
            Erased: its files were deleted because a person asked to be forgotten; use a newer one.
        """
        return self._artifacts.get(_kind(kind), _digest(digest))

    def has_artifact(self, kind: str, digest: str) -> bool:
        """Whether it is stored with a valid manifest and files of the right sizes; only `artifact` reads every byte."""
        return self._artifacts.has(_kind(kind), _digest(digest))

    def artifacts(self, kind: str) -> list[str]:
        """Sorted digests of the stored artifacts of one kind."""
        return self._artifacts.digests(_kind(kind))

    # index/<name>/<day>/<key>

    def put_segment(self, index: str, day: str, key: str, *parts: bytes | memoryview) -> Path:
        """Stores what an index keeps of a day, whole or not at all; the day's earlier segment goes.

        `key` names the state of the table that it was made from (a `fingerprint`). Returns a local path to map.
        """
        return self._segments.put(_kind(index), _day(day), _digest(key), *parts)

    def segment(self, index: str, day: str, key: str) -> Path | None:
        """A local path of the day's segment for that state of the table; None when it has to be made (again)."""
        return self._segments.path(_kind(index), _day(day), _digest(key))

    # any other file under the root

    def read_file(self, key: str) -> bytes:
        """The bytes of a file at `key`, such as golden/software-developer.jsonl.

        Raises:
            MissingInput: there is no such file.
            BadInput: the key leads out of the lake.
        """
        for part in key.split("/"):
            _file_name(part)
        return self.folders.read(key)

    def work_dir(self, *parts: str) -> Path:
        """An existing local scratch directory under work/; for a lake on S3 it lies in the cache directory."""
        directory = self._work.joinpath(*(_file_name(part) for part in parts))
        directory.mkdir(parents=True, exist_ok=True)
        return directory


def _readable(root: str) -> str:
    if odd := sorted(set(READABLE_ROOT.sub("", root))):
        raise BadConfiguration(
            f"The lake {root!r} has {odd} in its path, and tables written there could not be read again. "
            "Set FT_ASSETS_LAKE to a path of letters, digits and . _ + @ , : ~ - only."
        )
    return root


def _is_day(name: str) -> bool:
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False


def _is_read(name: str) -> bool:
    return not name.startswith((".", "_")) and not name.endswith(".tmp")


def _day(day: str) -> str:
    if not _is_day(day):
        raise BadInput(f"{day!r} is no day. Write it YYYY-MM-DD.")
    return day


def _file_name(name: str) -> str:
    if name in ("", ".", "..") or re.search(r"[/\\\x00]", name):
        raise BadInput(f"{name!r} leads out of its folder or into a deeper one. Use a plain name without slashes.")
    return name


def _kind(kind: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", kind):
        raise BadInput(f"{kind!r} is no kind of artifact. Use lower-case letters, digits and underscores.")
    return kind


def _digest(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise BadInput(f"{digest!r} is no artifact digest. Pass the 64 hexadecimal digits that put_artifact returned.")
    return digest
