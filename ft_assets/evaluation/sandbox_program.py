"""One program in its own process: locked up, run, tested; its end is told with a secret that it cannot guess.

A part of sandbox_child.py: only the standard library is there.
"""

import _thread
import ast
import builtins
import ctypes
import functools
import gc
import importlib
import operator
import os
import random
import signal
import sys
import tempfile
import types
import warnings
from pathlib import Path

from ft_assets.evaluation import sandbox_locks as locks

LONGEST_MESSAGE = 4096
SECRET_BYTES = 16
LOCKED = b"locked "  # what precedes the secret
PARENT_DIED_SIGNAL = 1
_DOES_NOT_PARSE = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)


def tested(request: dict, calls: locks.CallFilter, directory: Path, said: int) -> None:
    """Locks this process, then runs answer and tests in a thread; says the secret if all of it ran to its end.

    In a thread, because then no frame of ours lies under the program's: what walks the stack finds neither the secret
    nor the list that counts the steps. Python cannot hide them from machine code in the same process.
    """
    write, leave = os.write, os._exit
    try:
        lock_up(request, calls, directory, said)
    except Exception as error:
        write(said, str(error).encode()[:LONGEST_MESSAGE])
        return
    secret = os.urandom(SECRET_BYTES)
    write(said, LOCKED + secret)
    try:
        steps = steps_of(request)
    except _DOES_NOT_PARSE as error:
        write(said, f"does not parse: {type(error).__name__}".encode())
        leave(0)
    failures: list[object] = []
    sys.unraisablehook = failures.append
    # The last step does nothing: that it was fetched says that the one before it ended well. The iterator of a range
    # is not among the objects that the garbage collector shows.
    steps.append(functools.partial(int))
    remaining = iter(range(len(steps)))
    over = _thread.allocate_lock()
    over.acquire()
    # `reduce` holds the Ending and calls step after step without a frame of Python's.
    calling = map(operator.call, map(steps.__getitem__, remaining))
    _thread.start_new_thread(functools.reduce, (operator.is_, calling, Ending(over)))
    over.acquire()
    if operator.length_hint(remaining) == 0:
        write(said, secret)
        leave(0)
    del secret  # what follows looks at the program's own objects, which may run its code
    if failures:
        write(said, described(failures[0]))
    leave(0)


class Ending:
    """Is let go when the thread that holds it ends, however that comes about, and then opens the lock."""

    def __init__(self, over: _thread.LockType) -> None:
        self._over = over

    def __del__(self) -> None:
        self._over.release()


def lock_up(request: dict, calls: locks.CallFilter, directory: Path, said: int) -> None:
    """Gives up everything but the directory, the right to compute, and the one pipe."""
    ctypes.CDLL(None).prctl(PARENT_DIED_SIGNAL, signal.SIGKILL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.closerange(3, said)
    os.closerange(said + 1, 1 << 16)
    os.setsid()
    os.chdir(directory)
    os.environ.clear()
    os.environ["TMPDIR"] = tempfile.tempdir = str(directory)
    locks.limit_resources(request["cpu_seconds"], request["memory_bytes"], request["file_bytes"])
    locks.confine_files(directory)
    calls.load()
    if request.get("check_locks"):
        still = locks.what_still_works(directory)
        if still:
            raise locks.LockMissing(f"locked, and these still work: {', '.join(still)}")
    forget_ourselves()
    random.seed(0)  # an answer that draws numbers draws the same ones every time


def forget_ourselves() -> None:
    """Leaves a program nothing of ours to import, and no easy look at the frames and objects of other threads."""
    for name in [name for name in sys.modules if name.partition(".")[0] in {"ft_assets", "__main__"}]:
        del sys.modules[name]
    sys.modules["__main__"] = types.ModuleType("__main__")
    del sys._current_frames, gc.get_objects, gc.get_referrers
    sys.argv = [""]


def steps_of(request: dict) -> list[functools.partial]:
    """Run the answer, put back what it may have bent, run the tests on its names.

    The tests see Python's own builtins and fresh copies of the modules that they import, and of the answer's names
    only those that hide no builtin (its entry point excepted): an answer cannot bend `all` or `math.isclose`.
    Its module is no `__main__`, so what it shows under that name's guard does not run.
    """
    warnings.simplefilter("ignore")
    answer = compile(request["code"], "<answer>", "exec", dont_inherit=True)
    tests_tree = ast.parse(request["tests"], "<tests>")
    tests = compile(tests_tree, "<tests>", "exec", dont_inherit=True)
    module = types.ModuleType("answer")
    sys.modules["answer"] = module
    own = dict(vars(builtins))
    judged: dict[str, object] = {"__name__": "tests", "__builtins__": dict(own)}
    saved = {name: (imported, dict(vars(imported))) for name, imported in imports_of(tests_tree).items()}
    restore = functools.partial(put_back, own, saved, vars(module), judged, request["entry_point"])
    untraced = [functools.partial(stop, None) for stop in (sys.settrace, sys.setprofile)]
    run_answer, run_tests = functools.partial(exec, answer, vars(module)), functools.partial(exec, tests, judged)
    return [run_answer, *untraced, restore, run_tests]


def imports_of(tree: ast.Module) -> dict[str, types.ModuleType]:
    """The modules that the tests import, loaded before the answer can touch them."""
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    found = {}
    for name in sorted(names):
        try:
            found[name] = importlib.import_module(name)
        except Exception:  # the tests meet the same failure when they run, and it is theirs to report
            continue
    return found


def put_back(own: dict, saved: dict, answered: dict, judged: dict, entry_point: str | None) -> None:
    """Builtins and the tests' modules as they were; then the answer's names into the tests' namespace."""
    for name in [name for name in vars(builtins) if name not in own]:
        del vars(builtins)[name]
    vars(builtins).update(own)
    for name, (module, contents) in saved.items():
        sys.modules[name] = module
        vars(module).clear()
        vars(module).update(contents)
    for name, value in answered.items():
        if name == entry_point or (name not in own and name not in judged):
            judged[name] = value


def described(failure: object) -> bytes:
    """The kind of exception and where it was raised, never its text, which is the program's."""
    kind = next((base.__name__ for base in failure.exc_type.__mro__ if base.__module__ == "builtins"), "Exception")  # type: ignore[attr-defined]
    place, trace = "", failure.exc_traceback  # type: ignore[attr-defined]
    while trace is not None:
        where = trace.tb_frame.f_code.co_filename
        if where in ("<answer>", "<tests>"):
            place = f" in line {trace.tb_lineno} of the {where.strip('<>')}"
        trace = trace.tb_next
    return f"{kind}{place}".encode()[:200]
