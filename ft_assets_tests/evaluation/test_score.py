import math

import pytest

from ft_assets.errors import BadInput, EvaluationIncomplete
from ft_assets.evaluation.metric import Answered, Metric, Points, each
from ft_assets.evaluation.score import answered_rows, score_rows, summarize, summarize_by
from ft_assets_tests.evaluation.samples import item, prediction, row

SAME = Metric("same", "rate", True, each(lambda item, prediction: Points(prediction.answer == item.reference, 1)))
LENGTH = Metric("length", "tokens", False, each(lambda item, prediction: Points(prediction.n_tokens, 1)))
ONLY_A = Metric("only_a", "rate", True, each(lambda item, prediction: Points(1, 1) if item.row_id == "a" else None))
SURPRISE = Metric("surprise", "perplexity", False, each(lambda item, prediction: Points(prediction.answer_nll, 4)))


def test_rows_are_scored_in_the_order_of_their_ids_with_what_applies_to_them():
    items = [item("b", reference="one two", role="qa-engineer"), item("a", reference="three")]
    scores = score_rows(items, [prediction("a", "three"), prediction("b", "one")], [SAME, ONLY_A])
    assert [score.row_id for score in scores] == ["a", "b"]
    assert scores[0].points == {"same": Points(1, 1), "only_a": Points(1, 1)}
    assert scores[1].points == {"same": Points(0, 1)}
    assert scores[1].facets == {"task_type": "t", "slice": "s", "role": "qa-engineer"}


def test_a_row_without_an_answer_is_refused_unless_less_is_asked_for():
    items, predictions = [item("a"), item("b")], [prediction("a")]
    with pytest.raises(EvaluationIncomplete, match=r"1 of 2.*first: b"):
        score_rows(items, predictions, [SAME])
    assert [score.row_id for score in score_rows(items, predictions, [SAME], least_coverage=0.5)] == ["a"]


@pytest.mark.parametrize(
    ("items", "predictions"),
    [
        ([item("a")], [prediction("a"), prediction("a")]),
        ([item("a"), item("a")], [prediction("a")]),
        ([item("a")], [prediction("a"), prediction("z")]),
    ],
)
def test_rows_that_stand_twice_and_answers_to_nothing_are_refused(items, predictions):
    with pytest.raises(BadInput, match="score the answers to this suite only"):
        answered_rows(items, predictions)


def test_a_metric_that_loses_rows_is_refused():
    with pytest.raises(BadInput, match="broken gave 0 points for 1 rows"):
        score_rows([item("a")], [prediction("a")], [Metric("broken", "rate", True, lambda rows: [])])


def test_a_summary_is_a_ratio_of_sums_over_the_rows_that_a_metric_applies_to():
    rows = [
        row("a", 1.0, {"surprise": Points(1.0, 1), "only_a": Points(1, 1)}),
        row("b", 0.0, {"surprise": Points(8.0, 9)}, cluster_id="a"),
    ]
    rouge = Metric("rouge_l", "rate", True, each(lambda item, prediction: None))
    summary = summarize(rows, [rouge, SURPRISE, ONLY_A, LENGTH])
    assert (summary.rows, summary.clusters) == (2, 1)
    assert summary.figures == {"rouge_l": 0.5, "surprise": pytest.approx(math.exp(0.9)), "only_a": 1.0}
    assert summary.counted == {"rouge_l": 2, "surprise": 2, "only_a": 1}


def test_a_figure_of_a_group_is_taken_from_the_answers_of_exactly_its_rows():
    def longest(rows: list[Answered]) -> float:
        return max(row.prediction.n_tokens for row in rows)

    metric = Metric("longest", "tokens", False, LENGTH.points, of_group=longest)
    items = [item("a", slice="x"), item("b", slice="y"), item("c", slice="x")]
    predictions = [prediction("a", n_tokens=1), prediction("b", n_tokens=9), prediction("c", n_tokens=2)]
    rows = score_rows(items, predictions, [metric])
    slices = summarize_by(rows, "slice", [metric], answered_rows(items, predictions))
    assert {name: slice_.figures["longest"] for name, slice_ in slices.items()} == {"x": 2, "y": 9}
    assert summarize(rows, [metric]).figures == {}  # a mean of the points would be another figure


def test_rows_that_name_no_value_of_a_facet_are_in_no_slice():
    rows = [row("a", 1.0, role="qa-engineer"), row("b", 0.0)]
    assert list(summarize_by(rows, "role", [])) == ["qa-engineer"]


def test_an_average_of_nothing_is_refused():
    with pytest.raises(BadInput, match="no rows"):
        summarize([], [SAME])
