"""Syntax, findings and complexity of the code in answers, against what the tools say by hand."""

from pathlib import Path

import pytest

from ft_assets.evaluation.measures.code_quality import CODE_COMPLEXITY, CODE_LINT, CODE_SYNTAX
from ft_assets.evaluation.metric import Points
from ft_assets_tests.evaluation.code_answers import answered

CLEAN = "```python\ndef f(n):\n    return n + 1\n```"
UNUSED = "```python\nimport os  # noqa\n\n\ndef f(items=[]):  # ruff: noqa\n    return missing\n```"
BROKEN = "```python\ndef f(:\n    return 1\n```"
BRANCHES = """```python
def f(n):
    if n > 1 and n < 9:
        return 1
    for i in range(n):
        pass
    return 0
```"""
METHODS = """```python
class A:
    def m(self):
        return 1

    def n(self, x):
        return 1 if x else 2
```"""
PROSE = "I would rather not."
METRICS = (CODE_SYNTAX, CODE_LINT, CODE_COMPLEXITY)


def test_blocks_that_parse_are_counted_and_no_code_is_nothing() -> None:
    rows = [answered(text) for text in (CLEAN, BROKEN, f"{CLEAN}\n{BROKEN}", PROSE)]
    assert CODE_SYNTAX.points(rows) == [Points(1, 1), Points(0, 1), Points(0.5, 1), Points(0, 1)]
    assert CODE_SYNTAX.figure(CODE_SYNTAX.points(rows)) == pytest.approx(1.5 / 4)


def test_lines_without_a_finding_are_counted_whatever_noqa_says() -> None:
    rows = [answered(text) for text in (CLEAN, UNUSED, BROKEN, PROSE)]
    # Of UNUSED's three lines of code: F401 unused import, B006 mutable default, F821 undefined name.
    assert CODE_LINT.points(rows) == [Points(1, 1), Points(0, 1), Points(0, 1), Points(0, 1)]


def test_complexity_is_one_more_than_the_decisions_of_each_function() -> None:
    rows = [answered(text) for text in (CLEAN, BRANCHES, METHODS, "```python\nx = 1\n```", BROKEN, PROSE)]
    assert CODE_COMPLEXITY.points(rows) == [Points(1, 1), Points(4, 1), Points(1.5, 1), None, None, None]
    assert CODE_COMPLEXITY.figure(CODE_COMPLEXITY.points(rows)) == pytest.approx(6.5 / 3)


def test_rows_whose_reference_holds_no_python_are_not_judged() -> None:
    rows = [answered(CLEAN, reference="Yes"), answered(UNUSED)]
    points = [metric.points(rows) for metric in METRICS]
    assert [of_row[0] for of_row in points] == [None] * 3 and None not in [of_row[1] for of_row in points]


def test_hostile_code_is_measured_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    deep = "x = " + "-" * 50_000 + "1"
    nested = "".join(f"{' ' * n}if x:\n" for n in range(99)) + " " * 99 + "y = 1"
    hostile = [f"open({str(mark)!r}, 'w')", deep, nested, "x = '\x00'", "\ud800", "(" * 500 + ")" * 500]
    rows = [answered(f"```python\n{code}\n```") for code in hostile]
    for metric in METRICS:
        assert len(metric.points(rows)) == len(rows)
    assert not mark.exists()


def test_every_metric_explains_itself() -> None:
    assert all(metric.description for metric in METRICS)
