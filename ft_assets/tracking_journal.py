"""What an MLflow run will hold, as lines of a file: written as it happens, read by whoever delivers it."""

import base64
import fcntl
import json
import logging
import os
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

LONGEST_PARAM = 6_000  # a limit of MLflow
MOST_UNWRITTEN = 20_000  # lines kept in memory while the disk is full: a few MB


@dataclass(frozen=True)
class Record:
    """A journal, read. `header` says which run it is; `end` is None when its process died before it could say so."""

    header: Mapping[str, Any] | None = None
    entries: list[Mapping[str, Any]] = field(default_factory=list)  # {"step", "at_ms", "metrics"}
    end: Mapping[str, Any] | None = None


class Journal:
    """One attempt's lines. Each is in the file when `write` returns, so a killed process loses none of them.

    The file stays locked while its process lives: that is how others know that they must not deliver it. When the disk
    is full, lines wait in memory and go to the file with a later one.
    """

    def __init__(self, path: Path):
        self.path = path
        self._unwritten: deque[bytes] = deque(maxlen=MOST_UNWRITTEN)
        self._descriptor: int | None = None

    def write(self, line: Mapping[str, Any]) -> None:
        """Appends one line. Never raises for a disk that is full or broken."""
        self._unwritten.append(json.dumps(line, sort_keys=True).encode() + b"\n")
        try:
            while self._unwritten:
                self._append(self._unwritten[0])
                self._unwritten.popleft()
        except OSError as error:
            if len(self._unwritten) == 1:
                log.warning("%s cannot be written: %s. Its lines wait in memory.", self.path, error)

    def record(self) -> Record:
        """Everything written so far, what waits in memory included."""
        content = self.path.read_bytes() if self.path.exists() else b""
        return parsed(content + b"\n" + b"".join(list(self._unwritten)))

    def close(self) -> None:
        """Lets others deliver the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def discard(self) -> None:
        """Removes the file, whose content has arrived."""
        self.path.unlink(missing_ok=True)
        self.close()

    def _append(self, line: bytes) -> None:
        if self._descriptor is None:
            self._descriptor = _locked_new_file(self.path)
        start = os.fstat(self._descriptor).st_size
        written = 0
        try:
            written = os.write(self._descriptor, line)
            if written < len(line):
                raise OSError(f"the disk took {written} of {len(line)} bytes")
        except OSError:
            if written:
                os.ftruncate(self._descriptor, start)  # no torn line in front of the next one
            raise


class AbandonedJournal:
    """A journal whose process has ended, held by this one while it delivers it."""

    def __init__(self, path: Path, descriptor: int):
        self.path = path
        self._descriptor = descriptor

    def record(self) -> Record:
        """Everything that was written; a line that was cut off is left out."""
        return parsed(self.path.read_bytes())

    def close(self) -> None:
        """Leaves it for the next delivery."""
        os.close(self._descriptor)

    def discard(self) -> None:
        """Removes the file, whose content has arrived."""
        self.path.unlink(missing_ok=True)
        self.close()


def taken(path: Path) -> AbandonedJournal | None:
    """That journal, if its process has ended; None while it lives, and when somebody has delivered it meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return AbandonedJournal(path, descriptor)


def parsed(content: bytes) -> Record:
    """The record in these lines. What is not a whole line of ours is skipped: a power cut leaves such ends."""
    header, end = None, None
    entries: list[Mapping[str, Any]] = []
    for line in content.splitlines():
        try:
            read = json.loads(line)
        except ValueError:
            continue
        if not isinstance(read, dict):
            continue
        if "key" in read:
            header = read
        elif "status" in read:
            end = read
        elif "metrics" in read:
            entries.append(read)
    return Record(header, entries, end)


def header_line(
    key: str, experiment: str, run_name: str, params: Mapping[str, Any], tags: Mapping[str, str], at_ms: int
) -> dict[str, Any]:
    """The first line of a journal: which run it is."""
    return {
        "key": key,
        "experiment": experiment,
        "run_name": run_name,
        "params": {name: str(value)[:LONGEST_PARAM] for name, value in params.items()},
        "tags": {name: str(value) for name, value in tags.items()},
        "at_ms": at_ms,
    }


def end_line(status: str, tags: Mapping[str, str], artifacts: Mapping[str, bytes]) -> dict[str, Any]:
    """The last line of a journal: how the run ended, and what was known only then."""
    return {
        "status": status,
        "at_ms": int(time.time() * 1000),
        "tags": {name: str(value) for name, value in tags.items()},
        "artifacts": {name: base64.b64encode(content).decode() for name, content in artifacts.items()},
    }


def _locked_new_file(path: Path) -> int:
    """A new file that is locked before anybody can see it under its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unseen = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(unseen, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o666)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.rename(unseen, path)
    return descriptor
