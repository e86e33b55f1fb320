"""From answers to points: what every row won by every metric, and the figures of any group of rows. Needs no torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ft_assets.errors import BadInput, EvaluationIncomplete
from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.metric import Answered, Metric, Points
from ft_assets.evaluation.prediction import Prediction

FACETS = ("task_type", "slice", "role", "reasoning_mode", "difficulty")


@dataclass(frozen=True)
class RowScore:
    """One answered row. `facets` are what results are sliced by (FACETS), without those that the row does not name.
    `points` are by metric name, without the metrics that do not apply to the row."""

    row_id: str
    cluster_id: str
    facets: Mapping[str, str]
    points: Mapping[str, Points]


@dataclass(frozen=True)
class Summary:
    """The figures of a group of rows by metric name, and over how many rows each was taken. Metrics that apply to none
    of the rows are absent from both."""

    rows: int
    clusters: int
    figures: Mapping[str, float]
    counted: Mapping[str, int]


def answered_rows(items: Sequence[EvalItem], predictions: Iterable[Prediction]) -> list[Answered]:
    """Every item that has an answer, with it, ordered by row id.

    Raises:
        BadInput: an item or an answer stands twice, or an answer belongs to no item; the suite and the answers are not
            of one evaluation.
    """
    by_id = {item.row_id: item for item in items}
    answers: dict[str, Prediction] = {}
    found = 0
    for prediction in predictions:
        answers[prediction.row_id] = prediction
        found += 1
    strange = answers.keys() - by_id.keys()
    if len(by_id) < len(items) or len(answers) < found or strange:
        raise BadInput(
            f"{len(items) - len(by_id)} eval rows and {found - len(answers)} answers stand twice, and {len(strange)} "
            "answers belong to no row, so a row would count more than once or not at all. Give each row of a suite an "
            "id of its own, and score the answers to this suite only."
        )
    return [Answered(by_id[name], answers[name]) for name in sorted(answers)]


def score_rows(
    items: Sequence[EvalItem],
    predictions: Iterable[Prediction],
    metrics: Sequence[Metric],
    least_coverage: float = 1.0,
) -> list[RowScore]:
    """One score per answered item, ordered by row id; a metric looks at all rows at once, so it may run them together.

    Raises:
        EvaluationIncomplete: less than `least_coverage` (0 to 1) of the items have an answer. Whoever asks for less
            than all has to say what is missing.
        BadInput: see `answered_rows`; or a metric gave another number of points than there are rows.
    """
    rows = answered_rows(items, predictions)
    if len(rows) < least_coverage * len(items):
        answered = {row.item.row_id for row in rows}
        first = min(item.row_id for item in items if item.row_id not in answered)
        raise EvaluationIncomplete(
            f"{len(items) - len(rows)} of {len(items)} eval rows have no answer (first: {first}), so a mean over the "
            "others would compare different questions. Materialize evaluation_report again; only what is missing is "
            "generated."
        )
    points = {metric.name: _points(metric, rows) for metric in metrics}
    return [_score(row, {name: its[place] for name, its in points.items()}) for place, row in enumerate(rows)]


def summarize(rows: Sequence[RowScore], metrics: Sequence[Metric], answered: Sequence[Answered] = ()) -> Summary:
    """The figures of these rows. A metric with `of_group` takes its figure from `answered`, which may hold more rows;
    without them it has none.

    Raises:
        BadInput: there are no rows; an average of nothing would look like a result.
    """
    if not rows:
        raise BadInput("There are no rows to summarize. Look at the coverage gaps of train_eval_split: its eval side.")
    wanted = {row.row_id for row in rows}
    theirs = [row for row in answered if row.item.row_id in wanted]
    figures = {metric.name: _figure(metric, rows, theirs) for metric in metrics}
    known = {name: figure for name, figure in figures.items() if figure is not None}
    return Summary(
        rows=len(rows),
        clusters=len({row.cluster_id for row in rows}),
        figures=known,
        counted={name: sum(_counts(row.points.get(name)) for row in rows) for name in known},
    )


def summarize_by(
    rows: Sequence[RowScore], facet: str, metrics: Sequence[Metric], answered: Sequence[Answered] = ()
) -> dict[str, Summary]:
    """The figures of every value of a facet (FACETS), ordered by it; rows that do not name it are left out."""
    values = sorted({row.facets[facet] for row in rows if facet in row.facets})
    return {
        value: summarize([row for row in rows if row.facets.get(facet) == value], metrics, answered) for value in values
    }


def _points(metric: Metric, rows: Sequence[Answered]) -> list[Points | None]:
    points = metric.points(rows)
    if len(points) != len(rows):
        raise BadInput(
            f"The metric {metric.name} gave {len(points)} points for {len(rows)} rows, so nobody can tell whose they "
            "are. Let it give one entry per row, None where it does not apply."
        )
    return points


def _score(row: Answered, points: Mapping[str, Points | None]) -> RowScore:
    item = row.item
    facets = {name: value for name in FACETS if (value := getattr(item, name))}
    return RowScore(
        item.row_id, item.cluster_id, facets, {name: each for name, each in points.items() if each is not None}
    )


def _figure(metric: Metric, rows: Sequence[RowScore], answered: Sequence[Answered]) -> float | None:
    if metric.of_group is not None:
        return metric.of_group(answered) if answered else None
    return metric.figure(row.points.get(metric.name) for row in rows)


def _counts(points: Points | None) -> bool:
    return points is not None and points.possible > 0
