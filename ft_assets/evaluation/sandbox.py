"""Runs Python that nobody vouches for: no network, no files but its own, no new processes, bounded in every resource.

A warm process (sandbox_child.py) forks one process per program. That one gives up everything (sandbox_locks.py) before
the program's first line: it sees no environment, no open files, no network and of the disk only Python's library, and
works in an empty directory that is removed afterwards. It can start no process, so nothing is left when it is killed.
Where a lock is missing on a machine no code runs.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

from ft_assets.errors import BadConfiguration, SandboxFailed, SandboxUnavailable

_LEAST_MEMORY_BYTES = 128 << 20
_MOST_AT_ONCE = 8  # each may take all the memory that a program may
Status = Literal["passed", "failed", "timed out", "out of memory", "crashed"]


@dataclass(frozen=True)
class Program:
    """Code and the tests it must pass. The tests see the code's names; a name that hides a builtin (`sum`) reaches
    them only as the `entry_point`. Empty tests ask only that the code runs to its end."""

    code: str
    tests: str = ""
    entry_point: str | None = None


@dataclass(frozen=True)
class Limits:
    """What one program may use. CPU time decides; the clock, which a busy machine slows, only ends what sleeps.

    `written_bytes` counts everything it writes in all, printed text included; `file_bytes` is the size of one file;
    `files` is how many files and directories there may be at once, which have to be removed one by one afterwards.
    Threads share `memory_bytes` of address space with 8 MiB of stack each.
    """

    cpu_seconds: int = 6
    wall_seconds: float = 60.0
    memory_bytes: int = 1 << 30
    file_bytes: int = 16 << 20
    written_bytes: int = 64 << 20
    files: int = 10_000

    def __post_init__(self) -> None:
        """Raises BadConfiguration for limits under which no program could start."""
        if self.cpu_seconds < 1 or self.wall_seconds <= 0 or self.memory_bytes < _LEAST_MEMORY_BYTES:
            raise BadConfiguration(
                f"A program gets {self.cpu_seconds} s of CPU, {self.wall_seconds} s on the clock and "
                f"{self.memory_bytes} bytes: Python itself does not start with less than 1 s and {_LEAST_MEMORY_BYTES} "
                "bytes, so every answer would fail. Raise the limits."
            )


@dataclass(frozen=True)
class Outcome:
    """What became of a program. `detail` names the kind of exception and its line, never its text; `seconds` is CPU
    time."""

    status: Status
    detail: str
    seconds: float


def run_program(program: Program, limits: Limits | None = None) -> Outcome:
    """What became of one program. Raises like `run_many`."""
    return run_many([program], limits)[0]


def run_many(
    programs: Sequence[Program],
    limits: Limits | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Outcome]:
    """The outcomes in the programs' order, as many at once as there are cores. `on_progress` gets (done, all).

    The same programs have the same outcomes: hashes and `random` are seeded, and CPU time is what limits them.
    Raises SandboxUnavailable where this machine lacks a lock, SandboxFailed when the sandbox itself breaks.
    """
    if not programs:
        return []
    protections()
    at_once = min(len(os.sched_getaffinity(0)), _MOST_AT_ONCE, len(programs))
    with ExitStack() as running:
        # Here, and not in the pool: nothing of a pool's thread may be left in a process that outlives it.
        warm = [running.enter_context(_warm_process()) for _ in range(at_once)]
        free: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
        for process in warm:
            free.put(process)

        def outcome(program: Program) -> Outcome:
            process = free.get()
            try:
                return _outcome(_asked(process, {**asdict(program), **asdict(limits or Limits())}))
            finally:
                free.put(process)

        pool = ThreadPoolExecutor(at_once)
        running.callback(pool.shutdown, cancel_futures=True)
        outcomes: list[Outcome] = []
        for found in pool.map(outcome, programs):
            outcomes.append(found)
            if on_progress:
                on_progress(len(outcomes), len(programs))
    return outcomes


@cache
def protections() -> tuple[str, ...]:
    """The locks that code runs under on this machine, each as a phrase; all were tried just now, not looked up.

    Raises SandboxUnavailable, naming the lock that is missing: there is no weaker mode.
    """
    if sys.platform != "linux":
        raise SandboxUnavailable(f"Code in answers is not run on {sys.platform}: its sandbox needs Linux.")
    with _warm_process() as process:
        probe = {**asdict(Program("")), **asdict(Limits()), "check_locks": True}
        tried = _asked(process, probe)
        if "error" in tried:
            raise SandboxUnavailable(_not_run(tried["error"]))
        version = process.landlock
    return (
        "no network: sockets are refused (seccomp)",
        f"no files but its own directory and Python's library (Landlock {version})",
        "no new processes, programs or signals to others (seccomp)",
        "no privileges, no environment, no inherited files",
        "CPU time, clock, memory, threads, number and size of files and all that it writes are bounded",
    )


@contextmanager
def _warm_process() -> Iterator[Any]:
    """A running sandbox_child.py; it ends, with what it runs, when its input closes."""
    child = Path(__file__).with_name("sandbox_child.py")
    with tempfile.TemporaryDirectory(prefix="sandbox-", ignore_cleanup_errors=True) as scratch:
        process: Any = subprocess.Popen(
            [sys.executable, "-P", "-s", "-S", "-B", str(child), scratch],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONHASHSEED": "0"},  # sets of text keep their order from run to run
            cwd=scratch,
            start_new_session=True,
            text=True,
        )
        with process:
            try:
                hello = _line(process)
                if "missing" in hello:
                    raise SandboxUnavailable(_not_run(hello["missing"]))
                process.landlock = hello["landlock"]
                yield process
            finally:
                with suppress(BrokenPipeError):
                    process.stdin.close()


def _asked(process: Any, request: dict[str, Any]) -> dict[str, Any]:
    with suppress(BrokenPipeError):  # the missing answer says so
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
    return _line(process)


def _line(process: Any) -> dict[str, Any]:
    line = process.stdout.readline()
    if not line:
        raise SandboxFailed(
            f"The sandbox's own process ended with code {process.wait()} before it answered, so a program was not "
            "judged. Nothing was counted. Run again; if it recurs, look for the kernel's out-of-memory killer."
        )
    return dict(json.loads(line))


def _outcome(answer: dict[str, Any]) -> Outcome:
    if "error" in answer:
        raise SandboxFailed(
            f"The sandbox could not lock a process ({answer['error']}), so its program was not started and nothing was "
            "counted. Its locks held a moment ago: run again on a machine with less load."
        )
    return Outcome(answer["status"], answer["detail"], answer["seconds"])


def _not_run(missing: str) -> str:
    return (
        f"Code in answers is not run on this machine: {missing}. Without this lock a wrong answer could read the lake "
        "or reach the network. Evaluate on a machine that has it, or leave metrics that run code out of the suite."
    )
