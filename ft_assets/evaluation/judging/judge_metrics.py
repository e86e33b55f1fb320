"""Metrics that a judge gives: a figure per criterion (SPEC 2), and their mean. Without a judge they apply to no row."""

from collections.abc import Callable, Sequence
from typing import Protocol

from ft_assets.evaluation.metric import Answered, Metric, Points
from ft_assets.judge_prompt import CRITERIA

MEAN = "mean"
JUDGE_METRICS = tuple(f"judge_{name}" for name in (*CRITERIA, MEAN))
_SOURCE = (
    'An LLM as judge: Zheng et al. 2023, "Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena", section 3.1, single '
    "answer grading. Grades x from 1 to 5 count (x - 1) / 4. An empty answer has 0 and is not asked about. Applies "
    "where a judge is configured and graded at least min_coverage of the answers that were submitted to it."
)


class Grades(Protocol):
    """Whoever grades answers: answer_judge.AnswerJudge."""

    def scores(self, rows: Sequence[Answered]) -> list[dict[str, float] | None]: ...


def judge_metrics(judge: Grades | None) -> dict[str, Metric]:
    """The six metrics by name. All of them ask `judge` about an answer once; None grades nothing."""
    return {f"judge_{name}": _metric(name, judge) for name in (*CRITERIA, MEAN)}


def _metric(criterion: str, judge: Grades | None) -> Metric:
    return Metric(f"judge_{criterion}", "rate", True, _points_by(criterion, judge))


def _points_by(criterion: str, judge: Grades | None) -> Callable[[Sequence[Answered]], list[Points | None]]:
    def points(rows: Sequence[Answered]) -> list[Points | None]:
        grades = judge.scores(rows) if judge else [None] * len(rows)
        return [None if its is None else Points(_score(criterion, its), 1.0) for its in grades]

    what = "the mean of its five criteria" if criterion == MEAN else f"the criterion {criterion}"
    points.__doc__ = f"Mean over the answers of {what} in a judge's grades, 0 to 1. {_SOURCE}"
    return points


def _score(criterion: str, grades: dict[str, float]) -> float:
    return sum(grades.values()) / len(grades) if criterion == MEAN else grades[criterion]
