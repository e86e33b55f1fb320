import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from ft_assets.errors import BadInput
from ft_assets.evaluation.score import (
    AnyScriptWords,
    RougeL,
    exact_match,
    perplexity,
    rate_of,
    score_rows,
    summarize,
    summarize_by,
)
from ft_assets_tests.evaluation.samples import item, prediction, row


def test_exact_match_forgives_whitespace_and_nothing_else():
    assert exact_match(" a\n\tb ", "a b") == 1.0
    assert exact_match("A b", "a b") == 0.0
    assert exact_match("a b.", "a b") == 0.0


@pytest.mark.parametrize(
    ("answer", "reference", "f_measure"),
    [
        ("the cat", "the cat", 1.0),
        ("police kill the gunman", "police killed the gunman", 0.75),  # Lin 2004, section 3.1, its first example
        ("the gunman kill police", "police killed the gunman", 0.5),  # and its second: the order counts
        ("a b c d", "a b", 2 * 0.5 * 1 / 1.5),
        ("x", "a b", 0.0),
        ("", "a b", 0.0),
    ],
)
def test_rouge_l_has_its_published_values(answer: str, reference: str, f_measure: float):
    assert RougeL()(answer, reference) == pytest.approx(f_measure)


def test_rouge_l_reads_other_scripts_and_falls_back_to_exact_match_without_words():
    assert RougeL()("перевод готов", "перевод готов") == 1.0
    assert RougeL()("готов", "перевод готов") == pytest.approx(2 / 3)
    assert RougeL()("->", "->") == 1.0
    assert RougeL()("=>", "->") == 0.0


@given(st.text(st.characters(max_codepoint=127), max_size=60), st.text(st.characters(max_codepoint=127), max_size=60))
def test_in_ascii_rouge_l_is_what_the_library_gives_by_default(answer: str, reference: str):
    ours = RougeScorer(["rougeL"], tokenizer=AnyScriptWords()).score(reference, answer)["rougeL"]
    assert ours == RougeScorer(["rougeL"]).score(reference, answer)["rougeL"]


def test_perplexity_is_over_tokens_and_stays_finite():
    assert perplexity(math.log(4096) * 10, 10) == pytest.approx(4096)
    assert perplexity(0.0, 3) == 1.0
    assert math.isfinite(perplexity(1e9, 1))


def test_rows_are_scored_against_their_reference_in_the_order_of_their_ids():
    items = [item("b", reference="one two"), item("a", reference="three")]
    scores = score_rows(items, [prediction("a", "three"), prediction("b", "one")])
    assert [score.row_id for score in scores] == ["a", "b"]
    assert [score.exact_match for score in scores] == [1.0, 0.0]
    assert [score.rouge_l for score in scores] == [1.0, pytest.approx(2 / 3)]


def test_a_row_without_an_answer_is_refused():
    with pytest.raises(BadInput, match=r"1 of 2.*first: b"):
        score_rows([item("a"), item("b")], [prediction("a")])


def test_a_summary_averages_rates_over_rows_and_tokens_over_tokens():
    rows = [
        row("a", 1.0, exact_match=1.0, answer_nll=1.0, answer_tokens=1, answer_tokens_right=1, n_tokens=1, seconds=0.1),
        row("b", 0.0, cluster_id="a", answer_nll=8.0, answer_tokens=9, answer_tokens_right=0, n_tokens=5, seconds=0.3),
    ]
    summary = summarize(rows)
    assert (summary.rows, summary.clusters) == (2, 1)
    assert (summary.rouge_l, summary.exact_match, summary.token_accuracy) == (0.5, 0.5, 0.1)
    assert summary.perplexity == pytest.approx(math.exp(0.9))
    assert (summary.tokens_per_answer, summary.seconds_per_answer) == (3.0, pytest.approx(0.2))


def test_groups_are_summarized_apart():
    rows = [row("a", 1.0, task_type="y"), row("b", 0.0, task_type="x"), row("c", 0.5, task_type="y")]
    groups = summarize_by(rows, "task_type")
    assert list(groups) == ["x", "y"]
    assert (groups["x"].rouge_l, groups["y"].rouge_l) == (0.0, 0.75)


def test_an_average_of_nothing_is_refused():
    with pytest.raises(BadInput, match="no rows"):
        summarize([])


def test_perplexity_is_not_a_rate():
    with pytest.raises(BadInput, match="perplexity"):
        rate_of(row("a", 1.0), "perplexity")
