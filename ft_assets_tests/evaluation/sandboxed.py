"""Programs run in the sandbox with small limits."""

from ft_assets.evaluation.sandbox import Limits, Outcome, Program, run_program

FAILING_TEST = "assert answer() == 42, 'the tests ran'"
WRONG = "def answer():\n    return 0\n"
SMALL = Limits(cpu_seconds=1, wall_seconds=30, memory_bytes=256 << 20, written_bytes=8 << 20)


def run(code: str, tests: str = "", limits: Limits = SMALL) -> Outcome:
    return run_program(Program(code, tests, entry_point="answer"), limits)


def raised(code: str) -> str:
    """The kind of exception that ended a program."""
    outcome = run(code)
    assert outcome.status == "failed"
    return outcome.detail.partition(" in ")[0]
