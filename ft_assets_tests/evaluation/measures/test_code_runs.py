"""Answers run against tests: a few by hand, and all of two public sets whose results are known."""

import json
from pathlib import Path

import pytest

import ft_assets
from ft_assets.errors import BadInput
from ft_assets.evaluation.items import Expected
from ft_assets.evaluation.measures.code_runs import CODE_PASSES, runs
from ft_assets.evaluation.metric import Answered, Points
from ft_assets_tests.evaluation.code_answers import answered

DATA = Path(ft_assets.__file__).parents[2] / "shared" / "data"
real_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder with real data is not there")
DOUBLES = Expected(tests="assert double(2) == 4\nassert double(0) == 0", entry_point="double")
RIGHT = "Sure:\n```python\ndef double(n):\n    return 2 * n\n```\nTry it:\n```python\nprint(double(nothing))\n```"


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


def test_the_share_of_answers_that_pass_counts_only_rows_with_tests() -> None:
    wrong = "def double(n):\n    return n + 3\n"
    asked = [answered(RIGHT, DOUBLES), answered("no tests"), answered(wrong, DOUBLES), answered("I cannot.", DOUBLES)]
    points = CODE_PASSES.points(asked)
    assert points == [Points(1, 1), None, Points(0, 1), Points(0, 1)]
    assert CODE_PASSES.figure(points) == pytest.approx(1 / 3)


def test_a_completion_stands_behind_its_prefix_and_check_is_called_with_the_entry_point() -> None:
    tests = "def check(candidate):\n    assert candidate(3) == 6\n"
    expected = Expected(tests=tests, entry_point="double", code_prefix="def double(n):\n    '''Twice n.'''\n")
    outcomes = runs([answered("    return 2 * n\n", expected), answered("    return n\n", expected)])
    assert [outcome.status for outcome in outcomes if outcome] == ["passed", "failed"]


def test_equal_answers_are_run_once() -> None:
    seen: list[tuple[int, int]] = []
    outcomes = runs([answered(RIGHT, DOUBLES)] * 5, on_progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 1)] and [o.status for o in outcomes if o] == ["passed"] * 5


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        (Expected(tests="def check(candidate):\n    assert candidate"), "names no entry_point"),
        (Expected(tests="assert double("), "are not Python"),
        (Expected(tests="  # to be written\n"), "are empty"),
    ],
)
def test_tests_that_can_judge_nothing_stop_the_evaluation(expected: Expected, problem: str) -> None:
    with pytest.raises(BadInput, match=f"row r7 .*{problem}"):
        runs([answered(RIGHT, expected, row_id="r7")])


def mbpp() -> tuple[list[Answered], list[bool]]:
    tasks = {task["task_id"]: task for task in rows("mbpp_tasks.jsonl")}
    asked, truth = [], []
    for sample in rows("mbpp_model_samples.jsonl"):
        task = tasks[sample["task_id"]]
        expected = Expected(tests=task["test"], entry_point=task["entry_point"], code_prefix=task["prompt"])
        asked.append(answered(sample["completion"], expected, row_id=sample["task_id"]))
        truth.append(sample["passed"])
    return asked, truth


@real_data
@pytest.mark.slow
def test_exactly_the_known_400_of_510_answers_pass() -> None:
    asked, truth = mbpp()
    passed = [outcome is not None and outcome.status == "passed" for outcome in runs(asked)]
    assert passed == truth and (sum(passed), len(passed)) == (400, 510)


@real_data
@pytest.mark.slow
def test_every_known_right_solution_passes() -> None:
    asked = [
        answered(task["canonical_solution"], Expected(tests=task["test"], entry_point=task["entry_point"]))
        for task in rows("code_tasks.jsonl")
    ]
    assert [outcome.status for outcome in runs(asked) if outcome] == ["passed"] * 581
