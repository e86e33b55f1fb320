"""Programs that want to pass without being right. None does: only the end of the tests is told with the secret."""

import pytest

from ft_assets.evaluation.sandbox import Outcome, Program, run_many, run_program
from ft_assets_tests.evaluation.sandboxed import FAILING_TEST, SMALL, WRONG, run

pytestmark = pytest.mark.slow

CHEATS = {
    "prints a word": "print('passed', flush=True)",
    "exits with 0": "import sys\nsys.exit(0)",
    "exits without Python": "import os\nos._exit(0)",
    "raises SystemExit": "raise SystemExit",
    "exits when it is called": "def answer():\n    raise SystemExit(0)",
    "leaves when it is called": "import os\ndef answer():\n    os._exit(0)",
    "ends its thread": "import _thread\n_thread.exit()",
    "interrupts the main thread": "import _thread\ndef answer():\n    _thread.interrupt_main()",
    "replaces AssertionError": "import builtins\nbuiltins.AssertionError = type('Calm', (Warning,), {})",
    "names its own AssertionError": "AssertionError = SystemExit",
    "writes to every file": "import os\nfor n in range(64):\n    try: os.write(n, b'passed')\n    except OSError: pass",
    "writes to every file and leaves": (
        "import os\nfor n in range(64):\n    try: os.write(n, b'locked passed')\n    except OSError: pass\nos._exit(0)"
    ),
    "closes every file": "import os\nos.closerange(0, 64)",
    "replaces os.write": "import os\nos.write = lambda *_: 1\nos._exit = print",
    "leaves at exit": "import atexit, os\natexit.register(os._exit, 0)",
    "patches the main module": "import __main__\n__main__.tested = __main__.verdict = lambda *_: ('passed', '')",
    "imports the sandbox": "import ft_assets.evaluation.sandbox_child",
    "segfaults": "import ctypes\nctypes.string_at(0)",
    "kills itself": "import os\nos.kill(os.getpid(), 9)",
    "does not parse": "def answer(:",
    "is no text": "\ud800 = '\x00'",
    "is nested too deep": "answer = " + "(" * 5000 + ")" * 5000,
    "is nested too deep for the compiler": "answer = " + "-" * 200_000 + "1",
    "bends the hook": (
        "import sys\n"
        "def mine(args):\n"
        "    for a in (args.object, getattr(args.object, '__self__', None)):\n"
        "        try: a([None] * 9)\n"
        "        except Exception: pass\n"
        "sys.unraisablehook = mine\n"
    ),
    "says what it finds on the stack": (
        "import os, sys\n"
        "def answer():\n"
        "    frame, found = sys._getframe(), []\n"
        "    while frame:\n"
        "        found += [v for v in [*frame.f_locals.values(), *frame.f_globals.values()] if isinstance(v, bytes)]\n"
        "        frame = frame.f_back\n"
        "    for word in found:\n"
        "        for n in range(64):\n"
        "            try: os.write(n, word)\n"
        "            except OSError: pass\n"
    ),
    "says what it finds in memory": (
        "import sys\nsys.modules.pop('gc', None)\nimport gc, os\n"
        "for thing in gc.get_objects():\n"
        "    for word in thing if isinstance(thing, list) else ():\n"
        "        if type(word) is bytes and len(word) == 16:\n"
        "            for n in range(64):\n"
        "                try: os.write(n, word)\n"
        "                except OSError: pass\n"
    ),
    "uses up every iterator": (
        "import sys\nsys.modules.pop('gc', None)\nimport gc\n"
        "for thing in gc.get_objects():\n"
        "    if type(thing).__name__ in {'list_iterator', 'range_iterator', 'repeat'}: list(thing)\n"
        "raise SystemExit\n"
    ),
    "looks at other threads": "import sys\nframes = sys._current_frames()",
    "traces what calls it": (
        "import sys\n"
        "def trace(frame, event, arg):\n"
        "    for value in list(frame.f_locals.values()):\n"
        "        if hasattr(value, '__next__'): list(value)\n"
        "    return trace\n"
        "sys.settrace(trace)\nsys.setprofile(trace)\n"
    ),
}


def test_no_cheat_passes() -> None:
    programs = [
        Program(code + "\n" if "def answer" in code else f"{WRONG}{code}\n", FAILING_TEST) for code in CHEATS.values()
    ]
    outcomes = dict(zip(CHEATS, run_many(programs, SMALL), strict=True))
    assert {name: o.status for name, o in outcomes.items() if o.status not in {"failed", "crashed"}} == {}
    assert outcomes["segfaults"] == Outcome("crashed", "ended with SIGSEGV", outcomes["segfaults"].seconds)
    assert outcomes["writes to every file"].detail == "said something in place of its tests' end"
    assert outcomes["exits without Python"].detail == "ended itself before its tests had run"


@pytest.mark.parametrize(
    ("bend", "test"),
    [
        ("import builtins\nbuiltins.all = lambda *_: True", "assert all([answer() == 42])"),
        ("def all(*_):\n    return True", "assert all([answer() == 42])"),
        ("import math\nmath.isclose = lambda *_: True", "import math\nassert math.isclose(answer(), 42)"),
        ("import sys, types\nsys.modules['math'] = types.SimpleNamespace(isclose=max)",
         "from math import isclose\nassert isclose(answer(), 42)"),
        ("def answer():\n    import builtins\n    builtins.abs = lambda _: 0\n    return 0",
         "assert abs(answer() - 42) < 1e-6"),
    ],
)  # fmt: skip
def test_an_answer_cannot_bend_what_its_tests_use(bend: str, test: str) -> None:
    assert run(f"{WRONG}{bend}", test).detail.startswith("AssertionError in line")


def test_a_function_named_like_a_builtin_is_tested_when_it_is_the_entry_point() -> None:
    code = "def sum(numbers):\n    return 'mine'\n"
    assert run_program(Program(code, "assert sum([1]) == 'mine'", "sum"), SMALL).status == "passed"
