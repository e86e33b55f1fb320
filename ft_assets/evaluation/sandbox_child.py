"""The program that runs untrusted Python: `python -P -s -S -B sandbox_child.py`, started by sandbox.py, never imported.

It reads one JSON line per program and writes one JSON line per outcome. Each program gets a process of its own, forked
from this warm one, which gives up everything (sandbox_locks.py) before the first line of the program runs.
"""

import builtins
import functools
import json
import os
import re
import resource
import select
import signal
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

_PACKAGES = str(Path(__file__).parents[2])
sys.path.insert(0, _PACKAGES)  # -S leaves it out; taken back at once, so that a tested program finds only Python's own
from ft_assets.evaluation import sandbox_locks as locks  # noqa: E402
from ft_assets.evaluation.sandbox_program import LOCKED, LONGEST_MESSAGE, SECRET_BYTES, tested  # noqa: E402

sys.path.remove(_PACKAGES)

_TICK_SECONDS = 0.05
_DETAIL = re.compile(r"(does not parse: )?(?P<kind>[A-Za-z]{1,40})( in line \d{1,9} of the (answer|tests))?")


def serve(scratch: Path) -> None:
    """Says hello with the locks it holds, or with the one that is missing, then answers requests until they end."""
    try:
        calls = locks.CallFilter()
        locks.give_up_privileges()
    except locks.LockMissing as missing:
        say({"missing": str(missing)})
        return
    say({"landlock": locks.landlock_version()})
    try:
        for line in sys.stdin:
            say(outcome_of(json.loads(line), calls, scratch))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the parent is gone and nobody listens
    finally:
        remove(scratch)


def say(message: dict[str, object]) -> None:
    """One line to the parent."""
    print(json.dumps(message), flush=True)


def outcome_of(request: dict, calls: locks.CallFilter, scratch: Path) -> dict[str, object]:
    """Runs one program in a process and a directory of its own; both are gone when this returns."""
    directory = Path(tempfile.mkdtemp(dir=scratch))
    heard, said = os.pipe()
    leave = os._exit
    child = os.fork()
    if child == 0:
        try:
            os.close(heard)
            tested(request, calls, directory, said)
        finally:
            leave(70)
    os.close(said)
    try:
        return watch(child, heard, request, directory)
    finally:
        os.close(heard)
        remove(directory)


def watch(child: int, heard: int, request: dict, directory: Path) -> dict[str, object]:
    """What became of the program: its own word, if it knows the secret; otherwise how its process ended.

    The first message carries a secret that was drawn after the locks closed; only the program's end repeats it.
    """
    ends_at = time.monotonic() + request["wall_seconds"]
    floods = functools.partial(wrote_too_much, child, directory, request["written_bytes"], request["files"])
    hear = functools.partial(next_message, heard, ends_at, floods)
    first = hear(len(LOCKED) + SECRET_BYTES)  # no more: the program's own word may be right behind it
    ready = first.startswith(LOCKED)
    word = hear(LONGEST_MESSAGE)
    os.kill(child, signal.SIGKILL)
    _, code, usage = os.wait4(child, 0)
    seconds = usage.ru_utime + usage.ru_stime
    if not ready:
        reason = (first + word).decode("utf-8", "replace")
        return {"error": reason or f"the process ended with {ended(code)} before it was locked"}
    status, detail = verdict(first[len(LOCKED) :], word, code, seconds >= request["cpu_seconds"])
    return {"status": status, "detail": detail, "seconds": seconds}


def next_message(heard: int, ends_at: float, floods: Callable[[], bool], longest: int) -> bytes:
    """What the process says next; b"" when it ended, b"late" when its time is over, b"flood" when it wrote too much.

    The parent sends nothing while it waits, so its pipe becoming readable means that it is gone.
    """
    while heard not in (awake := select.select([heard, 0], [], [], _TICK_SECONDS)[0]):
        if awake or time.monotonic() > ends_at:
            return b"late"
        if floods():
            return b"flood"
    return os.read(heard, longest)


def wrote_too_much(process: int, directory: Path, most_bytes: int, most_files: int) -> bool:
    """Whether a process passed what it may write, or how many files and directories it may make."""
    return bytes_written(process) > most_bytes or holds_more_than(directory, most_files)


def holds_more_than(directory: Path, most: int) -> bool:
    """Whether there are more files and directories below than that, as far down as a path can say; also where a
    directory is closed to readers, so that nobody can count them."""
    found, waiting = 0, [str(directory)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    found += 1
                    if found > most:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except PermissionError:
            return True
        except OSError:  # gone meanwhile, or too deep for a path
            continue
    return False


def bytes_written(process: int) -> int:
    """All that a process has written so far, to files, pipes or nowhere; 0 where the kernel does not count it."""
    try:
        counted = dict(line.split(": ") for line in Path(f"/proc/{process}/io").read_text().splitlines())
    except OSError:
        return 0
    return int(counted["wchar"])


def verdict(secret: bytes, word: bytes, code: int, out_of_time: bool) -> tuple[str, str]:
    """Status and detail. Only the secret means passed; whatever else a program says is at best a failure."""
    if word == secret:
        return "passed", ""
    if word == b"late":
        return "timed out", "its time on the clock was over"
    if word == b"flood":
        return "failed", "wrote more than it may"
    if word:
        told = _DETAIL.fullmatch(word.decode("utf-8", "replace"))
        if told is None or not hasattr(builtins, told["kind"]):
            return "failed", "said something in place of its tests' end"
        return ("out of memory" if told[0].startswith("MemoryError") else "failed"), told[0]
    if os.WIFSIGNALED(code) and (os.WTERMSIG(code) == signal.SIGXCPU or out_of_time):
        return "timed out", "its CPU time was over"
    if os.WIFSIGNALED(code):
        return "crashed", f"ended with {ended(code)}"
    return "failed", "ended itself before its tests had run"


def ended(code: int) -> str:
    """How a process ended, in words."""
    return signal.Signals(os.WTERMSIG(code)).name if os.WIFSIGNALED(code) else f"code {os.WEXITSTATUS(code)}"


def remove(directory: Path) -> None:
    """Removes a directory however deep it is nested, however many entries it has and whatever modes, as programs may
    leave it.

    Step by step from inside, because paths have a longest length and Python's own functions recurse. Each directory is
    listed once: 100,000 empty ones, which a program makes in a few seconds, took a quarter of an hour otherwise.
    """
    os.chdir(directory)
    above: list[tuple[str, list[str]]] = []
    waiting = directories_left_after_unlinking_files()
    while True:
        if waiting:
            deeper = waiting.pop()
            os.chmod(deeper, stat.S_IRWXU)
            os.chdir(deeper)
            above.append((deeper, waiting))
            waiting = directories_left_after_unlinking_files()
        elif above:
            os.chdir("..")
            emptied, waiting = above.pop()
            os.rmdir(emptied)
        else:
            break
    os.chdir("/")
    os.rmdir(directory)


def directories_left_after_unlinking_files() -> list[str]:
    """The directories here that are not empty; everything else here is gone."""
    left = []
    with os.scandir() as entries:
        for entry in list(entries):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name)
                continue
            try:
                os.rmdir(entry.name)
            except OSError:  # it holds something
                left.append(entry.name)
    return left


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.stack_size(locks.SMALLEST_THREAD_STACK_BYTES)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    serve(Path(sys.argv[1]))
