"""What a command costs, with everything that it starts: CPU seconds, wall seconds and peak memory.

    python benchmarks/measured_run.py RESULT.json COMMAND ...

The command runs under this process alone, which adopts orphans (Linux), so that the kernel's account of its waited-for
children (RUSAGE_CHILDREN) holds the whole tree. Peak memory is the largest process by that account, and, sampled five
times a second where /proc exists, the largest sum of resident memory over the tree (shared pages count every time).
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER
SAMPLE_SECONDS = 0.2
PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Cost:
    """CPU and wall seconds of a command and its descendants; memory in GB (2**30 bytes)."""

    cpu_seconds: float
    wall_seconds: float
    largest_process_gb: float
    peak_gb: float  # of the tree where it could be sampled, otherwise of the largest process


def measured(command: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path) -> Cost:
    """Runs the command and returns its cost; stdout and stderr go to `log`. Ends the benchmark when it fails."""
    with tempfile.NamedTemporaryFile(suffix=".json") as result, log.open("wb") as out:
        under = [sys.executable, __file__, result.name, *command]
        code = subprocess.run(under, cwd=cwd, env=dict(env), stdout=out, stderr=out, check=False).returncode
        if code:
            sys.exit(f"{' '.join(command)} failed ({code}):\n{log.read_text(errors='replace')[-4000:]}")
        return Cost(**json.loads(Path(result.name).read_text()))


def main() -> None:
    target, command = Path(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    started, peak_tree = time.monotonic(), 0
    child = subprocess.Popen(command)
    while child.poll() is None:
        peak_tree = max(peak_tree, _resident_below(os.getpid()))
        time.sleep(SAMPLE_SECONDS)
    wall = time.monotonic() - started
    _wait_for_orphans()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    largest = used.ru_maxrss / (1024**3 if sys.platform == "darwin" else 1024**2)
    peak = max(largest, peak_tree / 1024**3)
    target.write_text(json.dumps(asdict(Cost(used.ru_utime + used.ru_stime, wall, largest, peak))))
    sys.exit(child.returncode)


def _resident_below(top: int) -> int:
    """Bytes of resident memory of all descendants of a process; 0 where there is no /proc."""
    children: dict[int, list[int]] = {}
    resident: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
        resident[int(entry.name)] = int(fields[21]) * resource.getpagesize()
    total, below = 0, list(children.get(top, ()))
    while below:
        process = below.pop()
        total += resident[process]
        below += children.get(process, ())
    return total


def _wait_for_orphans() -> None:
    """Until every adopted process is over, because only then the kernel counts it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(SAMPLE_SECONDS)
        except ChildProcessError:
            return
    print("a process of the command is still running, so its CPU is missing from the account", file=sys.stderr)


if __name__ == "__main__":
    main()
