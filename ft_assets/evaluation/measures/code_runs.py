"""Whether the code in an answer does what it should: it is run against the row's tests, in a sandbox."""

from collections.abc import Callable, Sequence

from ft_assets.errors import BadInput
from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.measures.code_blocks import parsed, solution
from ft_assets.evaluation.metric import Answered, Metric, Points
from ft_assets.evaluation.sandbox import Limits, Outcome, Program, run_many


def runs(
    rows: Sequence[Answered],
    limits: Limits | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Outcome | None]:
    """What became of each answer's code under its row's tests; None for a row without tests.

    Raises BadInput for tests that cannot judge anything, SandboxUnavailable where code may not be run,
    SandboxFailed when the sandbox broke; none of these says anything about an answer.
    """
    programs = {number: _program(row) for number, row in enumerate(rows) if row.item.expected.tests is not None}
    distinct = list(dict.fromkeys(programs.values()))  # models often agree, and equal programs end alike
    outcomes = dict(zip(distinct, run_many(distinct, limits, on_progress), strict=True))
    return [outcomes[programs[number]] if number in programs else None for number in range(len(rows))]


def _passes(rows: Sequence[Answered]) -> list[Points | None]:
    """Share of the answers whose code passes all tests of its row: pass@1 with one answer per row.

    Chen et al. 2021, "Evaluating Large Language Models Trained on Code", section 2.1. The code is the answer's fenced
    Python, or the whole answer behind the row's code prefix. No code, a time-out and too much memory are failures. A
    value that calls itself equal to everything passes like in any test: what tests accept is right.
    """
    return [None if outcome is None else Points(float(outcome.status == "passed"), 1.0) for outcome in runs(rows)]


CODE_PASSES = Metric("code_passes", "rate", True, _passes)


def _program(row: Answered) -> Program:
    expected = row.item.expected
    return Program(
        solution(row.prediction.answer, expected.entry_point, expected.code_prefix),
        _tests(row.item),
        expected.entry_point,
    )


def _tests(item: EvalItem) -> str:
    """The tests to run, `check(entry_point)` called where they only define `check`."""
    tests, entry_point = item.expected.tests or "", item.expected.entry_point
    tree = parsed(tests)
    if tree is None or not tree.body:
        raise BadInput(
            f"The tests of row {item.row_id} are {'empty' if tree else 'not Python'}, so every answer would be judged "
            "the same. Mend the row in its suite."
        )
    names = {getattr(node, "name", None) for node in tree.body}
    if "check" not in names:
        return tests
    if entry_point is None:
        raise BadInput(
            f"The tests of row {item.row_id} define check(candidate), but the row names no entry_point to call it "
            "with, so they would pass whatever the answer is. Add expected.entry_point to the row."
        )
    return f"{tests}\n\ncheck({entry_point})\n"
