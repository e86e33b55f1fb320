"""Hostile programs, each really run: what they try does not work, and nothing of them is left."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ft_assets.errors import BadConfiguration
from ft_assets.evaluation.sandbox import (
    Limits,
    Outcome,
    Program,
    SandboxFailed,
    SandboxUnavailable,
    protections,
    run_many,
    run_program,
)
from ft_assets_tests.evaluation.sandboxed import FAILING_TEST, SMALL, WRONG, raised, run

pytestmark = pytest.mark.slow


def alive(mark: str) -> list[tuple[int, int]]:
    """The processes whose command line holds a mark: each one's parent and its own id."""
    found = subprocess.run(["ps", "axww", "-o", "ppid,pid,args"], capture_output=True, text=True, check=True).stdout
    return [(int(line.split()[0]), int(line.split()[1])) for line in found.splitlines() if mark in line]


def test_right_code_passes_and_wrong_code_fails_with_the_line_of_its_test() -> None:
    assert run("def answer():\n    return 42\n", FAILING_TEST) == Outcome("passed", "", pytest.approx(0, abs=2))
    failed = run(WRONG, "\n" + FAILING_TEST)
    assert (failed.status, failed.detail) == ("failed", "AssertionError in line 2 of the tests")


def test_this_machine_tells_its_locks() -> None:
    assert len(protections()) == 5 and "Landlock" in protections()[1]


def test_an_endless_loop_ends_when_its_cpu_time_is_over() -> None:
    deaf = "import ctypes\nlibc = ctypes.CDLL(None)\nfor n in (15, 24, 2): libc.signal(n, ctypes.c_void_p(1))\n"
    endless = ["while True: pass", "import itertools\nsum(itertools.repeat(0))", f"{deaf}while True: pass"]
    outcomes = run_many([Program(code) for code in endless], Limits(cpu_seconds=1, wall_seconds=60))
    assert [o.status for o in outcomes] == ["timed out"] * 3
    assert all(o.detail == "its CPU time was over" and 0.5 < o.seconds < 3 for o in outcomes)


def test_what_sleeps_ends_by_the_clock() -> None:
    sleeping = [
        "import time\ntime.sleep(600)",
        "import ctypes\nctypes.CDLL(None).pause()",
        "import os\nos.read(os.pipe()[0], 1)",
    ]
    started = time.monotonic()
    outcomes = run_many([Program(code) for code in sleeping], Limits(wall_seconds=0.5))
    assert [o.status for o in outcomes] == ["timed out"] * 3 and time.monotonic() - started < 30


def test_memory_hogs_stop_at_the_limit() -> None:
    hogs = ["hoard = 'x' * (1 << 40)", "hoard = []\nwhile True: hoard.append(bytearray(1 << 20))"]
    assert [o.status for o in run_many([Program(code) for code in hogs], SMALL)] == ["out of memory"] * 2
    assert raised("import mmap\nhoard = mmap.mmap(-1, 1 << 40)") in {"OSError", "OverflowError"}


@pytest.mark.parametrize(
    "bomb",
    [
        "import os\nwhile True: os.fork()",
        "import os\nif os.fork() == 0:\n    os.setsid()\n    os.fork()",
        "import subprocess\nsubprocess.run(['sleep', '600.417'])",
        "import os\nos.execv('/bin/sleep', ['sleep', '600.417'])",
        "import os\nos.posix_spawn('/bin/sleep', ['sleep', '600.417'], {})",
        "import ctypes, os\nif ctypes.CDLL(None, use_errno=True).fork() < 0: raise PermissionError",
        "import ctypes\nif ctypes.CDLL(None).syscall(57) < 0: raise PermissionError",
    ],
)
def test_a_program_starts_no_process(bomb: str) -> None:
    assert raised(bomb) in {"PermissionError", "OSError", "BlockingIOError"}
    assert alive("600.417") == []


def test_threads_work_and_are_bounded() -> None:
    few = "import threading\nseen = []\nts = [threading.Thread(target=seen.append, args=(n,)) for n in range(8)]\n"
    few += "for t in ts: t.start()\nfor t in ts: t.join()\nassert len(seen) == 8"
    assert run(few).status == "passed"
    bomb = "import threading, time\n{}n = 0\ntry:\n    while True:\n"
    bomb += "        threading.Thread(target=time.sleep, args=(600,)).start()\n        n += 1\n"
    bomb += "except (RuntimeError, MemoryError):\n    assert n < 40"
    small_stacks = "threading.stack_size(1 << 15)\n"
    assert [run(bomb.format(first)).status for first in ("", small_stacks)] == ["passed", "passed"]


def test_files_outside_its_directory_can_neither_be_read_nor_changed(tmp_path: Path) -> None:
    lake = tmp_path / "lake" / "raw_interactions"
    lake.mkdir(parents=True)
    secret = lake / "part-0.parquet"
    secret.write_text("a person's words")
    names = [str(secret), "/etc/passwd", "/proc/self/environ", "/proc/self/mem", "/proc/1/cmdline", __file__]
    names += ["../x", "/dev/shm/x", "/tmp/x", str(Path.home() / ".bashrc"), "/sys/kernel/notes", "/dev/tty"]
    reads = [f"open({name!r}, 'rb').read(1)" for name in names if Path(name).exists()]
    changes = [
        f"open({str(tmp_path / 'new')!r}, 'w')",
        f"open({str(secret)!r}, 'a')",
        "open(os.__file__, 'a')",
        f"os.unlink({str(secret)!r})",
        f"os.truncate({str(secret)!r}, 0)",
        "os.close(os.open(os.__file__, os.O_RDONLY | os.O_TRUNC))",
        f"os.chmod({str(secret)!r}, 0)",
        f"os.utime({str(secret)!r})",
        f"os.rename({str(secret)!r}, 'mine')",
        f"os.link({str(secret)!r}, 'mine')",
        f"os.symlink({str(secret)!r}, 'there') or open('there').read()",
        f"os.listdir({str(lake)!r})",
        f"os.mkdir({str(tmp_path / 'new')!r})",
    ]
    # Anything that works prints nothing and ends the tests well; each has to end in a refusal instead.
    outcomes = run_many([Program(f"import os\n{attempt}") for attempt in reads + changes], SMALL)
    refused = ("PermissionError in line 2 of the answer", "OSError in line 2 of the answer")
    worked = [(a, o) for a, o in zip(reads + changes, outcomes, strict=True) if not o.detail.startswith(refused)]
    assert worked == []
    assert secret.read_text() == "a person's words" and secret.stat().st_mode & 0o400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake"]


def test_its_own_directory_is_empty_writable_and_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "import os, tempfile\nassert os.listdir('.') == []\nos.makedirs('a/b')\nopen('a/b/c', 'w').write('x')\n"
    code += "assert open('a/b/c').read() == 'x'\nopen(tempfile.mkstemp()[1]).close()\n"
    assert [o.status for o in run_many([Program(code)] * 4, SMALL)] == ["passed"] * 4
    deep = "import os\nfor n in range(1200):\n    os.mkdir('deeper')\n    os.chdir('deeper')\n"
    assert run(deep).status == "passed"
    run("import os\nos.mkdir('closed', 0)\nos.symlink('/', 'root')\nos.symlink('nowhere', 'broken')")
    assert list(tmp_path.iterdir()) == []


def test_it_sees_no_environment_and_no_open_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-key-nobody-may-see")
    with (tmp_path / "open").open("w") as kept:
        os.set_inheritable(kept.fileno(), True)
        code = (
            "import ctypes, os\nassert set(os.environ) <= {'TMPDIR'}, os.environ\n"
            "libc = ctypes.CDLL(None)\nlibc.getenv.restype = ctypes.c_char_p\n"
            "assert libc.getenv(b'AWS_SECRET_ACCESS_KEY') is None and libc.getenv(b'HOME') is None\n"
            "def is_open(n):\n    try: return os.fstat(n)\n    except OSError: return None\n"
            "found = [n for n in range(64) if is_open(n)]\nassert len(found) == 4, found\n"
        )
        assert run(code).status == "passed"


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_STREAM)",
        "import socket\nsocket.socket(socket.AF_UNIX, socket.SOCK_STREAM)",
        "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "import socket\nsocket.create_connection(('127.0.0.1', 80))",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1/')",
        "import ctypes\nif ctypes.CDLL(None).syscall(425, 8, None) < 0: raise PermissionError",  # io_uring
    ],
)
def test_there_is_no_network(attempt: str) -> None:
    assert raised(attempt) in {"PermissionError", "OSError"}


def test_asyncio_works_without_a_network() -> None:
    code = "import asyncio\nasync def late():\n    await asyncio.sleep(0.001)\n    return 7\n"
    code += "assert asyncio.run(late()) == 7"
    assert run(code).status == "passed"


def test_gigabytes_of_output_do_no_harm() -> None:
    started = time.monotonic()
    outcome = run("while True: print('x' * 1_000_000)", limits=Limits(cpu_seconds=20, wall_seconds=60))
    assert (outcome.status, outcome.detail) == ("failed", "wrote more than it may")
    assert time.monotonic() - started < 20
    big = run("with open('big', 'wb') as f:\n    for _ in range(20): f.write(bytes(1 << 20))", limits=Limits())
    assert big.detail.startswith("OSError in line")


def test_a_disk_is_not_filled_past_what_is_counted() -> None:
    """Through mapped files, which no counter of writes sees, and with files that hold nothing."""
    mapped = "import mmap, os\nf = os.open('big', os.O_RDWR | os.O_CREAT)\nos.ftruncate(f, 1 << 20)\n"
    assert raised(f"{mapped}mmap.mmap(f, 1 << 20)") in {"PermissionError", "OSError"}
    assert run("import mmap\nm = mmap.mmap(-1, 1 << 20)\nm[:3] = b'fit'\nassert m[:3] == b'fit'").status == "passed"
    made = "import os\n{}for n in range(1 << 20): os.mkdir(f'{{where}}/d{{n}}')"
    hidden = "where = 'closed'\nos.mkdir('closed', 0o300)\n"
    few = Limits(cpu_seconds=30, wall_seconds=60, files=500)
    outcomes = run_many([Program(made.format(first)) for first in ("where = '.'\n", hidden)], few)
    assert [o.detail for o in outcomes] == ["wrote more than it may"] * 2


def test_signals_reach_nobody_else() -> None:
    assert raised("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)") == "PermissionError"
    assert raised("import os, signal\nos.kill(-1, signal.SIGTERM)") == "PermissionError"
    owner = "import fcntl, os\nfcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getppid())"
    assert raised(owner) in {"PermissionError", "OSError"}


def test_randomness_and_the_order_of_sets_are_the_same_every_time() -> None:
    code = "import random\nfound = str(random.random()) + str(hash('a text')) + str({'a', 'b', 'c', 'd', 'e'})\n"
    first = run(f"{code}raise (KeyError, ValueError, TypeError, OSError, IndexError)[sum(map(ord, found)) % 5]")
    again = [
        Program(f"{code}raise (KeyError, ValueError, TypeError, OSError, IndexError)[sum(map(ord, found)) % 5]")
    ] * 6
    assert {o.detail for o in run_many(again, SMALL)} == {first.detail}


def test_one_hostile_program_leaves_the_next_untouched() -> None:
    hostile = Program("import builtins, os\nbuiltins.len = None\nopen('left', 'w')\nos.chdir('/')\nos._exit(3)")
    fine = Program("import os\nassert len(os.listdir('.')) == 0")
    outcomes = run_many([hostile, fine] * 4, SMALL)
    assert [o.status for o in outcomes] == ["failed", "passed"] * 4


def test_progress_counts_to_the_end() -> None:
    seen: list[tuple[int, int]] = []
    run_many([Program("")] * 3, SMALL, on_progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_killed_evaluation_leaves_no_process_and_no_directory(tmp_path: Path) -> None:
    code = (
        "from ft_assets.evaluation.sandbox import *\n"
        "run_program(Program('import time\\ntime.sleep(600)'), Limits(wall_seconds=600))"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    evaluation = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        wait_until(lambda: any(tmp_path.glob("sandbox-*/*")))
    finally:
        evaluation.kill()
        evaluation.wait()
    wait_until(lambda: not alive(str(tmp_path)) and not any(tmp_path.iterdir()))


def test_a_sandbox_that_is_killed_is_an_error_and_no_failed_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    protections()
    sleeping = Program("import time\ntime.sleep(600)")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(run_program, sleeping, Limits(wall_seconds=600))
        wait_until(lambda: any(tmp_path.glob("sandbox-*/*")))
        os.kill(next(own for parent, own in alive(str(tmp_path)) if parent == os.getpid()), signal.SIGKILL)
        with pytest.raises(SandboxFailed, match="ended with code -9"):
            asked.result(timeout=60)
    wait_until(lambda: not alive(str(tmp_path)) and not any(tmp_path.iterdir()))


def test_limits_under_which_nothing_could_start_are_refused() -> None:
    with pytest.raises(BadConfiguration, match="Raise the limits"):
        Limits(memory_bytes=1 << 20)


def wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    ends_at = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends_at
        time.sleep(0.05)


def test_where_a_lock_is_missing_no_code_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without libseccomp, made by a Python that cannot find the library."""
    wrapper = tmp_path / "python"
    hidden = "import ctypes, sys, runpy; real = ctypes.CDLL\n"
    hidden += "class Hiding(real):\n    def __init__(self, name, **kw):\n"
    hidden += "        if name: raise OSError(name)\n        super().__init__(name, **kw)\n"
    hidden += "ctypes.CDLL = Hiding; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    (tmp_path / "hidden.py").write_text(hidden)
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/hidden.py "$5" "$6"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(wrapper))
    protections.cache_clear()
    with pytest.raises(SandboxUnavailable, match=r"not run on this machine: libseccomp\.so\.2 is not installed"):
        run_program(Program("open('ran', 'w')"))
    protections.cache_clear()


def test_where_the_kernel_has_no_landlock_no_code_runs(tmp_path: Path) -> None:
    """A kernel without Landlock, made by a filter that answers its call as such a kernel does."""
    mark = tmp_path / "ran"
    code = (
        "import ctypes\n"
        "library = ctypes.CDLL('libseccomp.so.2')\nlibrary.seccomp_init.restype = ctypes.c_void_p\n"
        "allow, no_such_call = 0x7fff0000, 0x00050000 | 38\n"
        "rules = ctypes.c_void_p(library.seccomp_init(allow))\n"
        "assert library.seccomp_rule_add(rules, no_such_call, 444, 0) == 0 == library.seccomp_load(rules)\n"
        "from ft_assets.evaluation.sandbox import *\n"
        "try: run_program(Program('print(1)'))\n"
        f"except SandboxUnavailable as error: open({str(mark)!r}, 'w').write(str(error))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "the kernel has no Landlock" in mark.read_text()
