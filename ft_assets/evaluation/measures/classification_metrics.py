"""Metrics of labels: how well each class is found, whatever its size."""

from collections.abc import Sequence

from ft_assets.evaluation.measures.closed_answers import (
    CLASSIFICATION,
    UNREAD,
    Closed,
    closed_sets,
    is_right,
    label_read,
    right_label,
)
from ft_assets.evaluation.metric import Answered, Metric, Points


def label_points(rows: Sequence[Answered]) -> list[Points | None]:
    """Macro F1, 0 to 1: for each label F1 = 2TP / (2TP + FP + FN), and the mean over the labels that stand in the
    references or were named, each label counting alike however rare. Labels are read as for accuracy (closed_answers
    .py); an answer that names none is missed for its own label and counts as no other. Sokolova and Lapalme 2009, "A
    systematic analysis of performance measures for classification tasks", macro averages of F-score with the mean over
    labels as scikit-learn's `f1_score(average="macro")` takes it. Row by row, as for paired tests, it is accuracy.
    Applies to rows with labels, and to classifications."""
    return [
        None if closed is None else Points(float(is_right(row.prediction.answer, closed)), 1.0)
        for row, closed in _classified(rows)
    ]


def macro_f1(rows: Sequence[Answered]) -> float | None:
    """Macro F1 of these rows; None where none of them is a classification."""
    pairs = [
        (right_label(closed), label_read(row.prediction.answer, closed)) for row, closed in _classified(rows) if closed
    ]
    if not pairs:
        return None
    from sklearn.metrics import f1_score  # a second of CPU: only when there is something to score

    truth, named = zip(*pairs, strict=True)
    labels = sorted({*truth, *named} - {UNREAD})
    return float(f1_score(truth, named, labels=labels, average="macro", zero_division=0.0))


def _classified(rows: Sequence[Answered]) -> list[tuple[Answered, Closed | None]]:
    closed = closed_sets([row.item for row in rows])
    return [
        (row, its if row.item.expected.labels or row.item.task_type == CLASSIFICATION else None)
        for row, its in zip(rows, closed, strict=True)
    ]


MACRO_F1 = Metric("macro_f1", "rate", True, label_points, of_group=macro_f1)
