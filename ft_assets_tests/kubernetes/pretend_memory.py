"""Real memory limits for pretend containers, on Linux with cgroups v1, as root: the kernel kills what takes more.

Of a container's processes the kernel kills one, the largest; a kubelet on cgroups v2 asks for all of them.
"""

import contextlib
import os
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup/memory")
PATIENCE_SECONDS = 60


def can_limit_memory() -> bool:
    """Whether this machine lets a test limit the memory of processes."""
    try:
        MemoryLimit("probe", 2**30).remove()
    except OSError:
        return False
    return True


class MemoryLimit:
    """A group of processes that together may take so many bytes."""

    def __init__(self, name: str, most_bytes: int):
        self._path = ROOT / f"pretend-{os.getpid()}-{name}"
        self._path.mkdir()
        self._limit(most_bytes)

    def starting(self, command: list[str]) -> list[str]:
        """The command, which enters the group before it begins."""
        return ["/bin/sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(self._path), *command]

    def kills(self) -> int:
        """How often the kernel killed a process of the group."""
        told = dict(line.split() for line in (self._path / "memory.oom_control").read_text().splitlines())
        return int(told.get("oom_kill", 0))

    def squeeze(self) -> None:
        """Takes away all that is not in use, again and again, until the next allocation gets a process killed.

        Raises TimeoutError where nothing more is allocated.
        """
        until, before = time.monotonic() + PATIENCE_SECONDS, self.kills()
        while self.kills() == before:
            if time.monotonic() > until:
                raise TimeoutError(f"the processes in {self._path.name} ask for no more memory")
            with contextlib.suppress(OSError):  # more was taken since
                self._limit(int((self._path / "memory.usage_in_bytes").read_text()))
            time.sleep(0.02)

    def remove(self) -> None:
        """Forgets the group, once its processes have ended; those that were killed take a moment."""
        for _ in range(50):
            with contextlib.suppress(OSError):
                self._path.rmdir()
                return
            time.sleep(0.1)

    def _limit(self, most_bytes: int) -> None:
        (self._path / "memory.limit_in_bytes").write_text(str(most_bytes))
