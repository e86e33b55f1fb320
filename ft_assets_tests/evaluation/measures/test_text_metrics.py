import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from ft_assets.evaluation.measures.text_metrics import (
    CUT_OFF_RATE,
    EXACT_MATCH,
    SECONDS_PER_ANSWER,
    TOKENS_PER_ANSWER,
    AnyScriptWords,
    RougeL,
)
from ft_assets.evaluation.metric import Answered
from ft_assets_tests.evaluation.samples import answered, item, prediction


def exact(answer: str, reference: str, task_type: str = "question_answering") -> float:
    (points,) = EXACT_MATCH.points([answered("a", answer, reference, task_type=task_type)])
    return points.won / points.possible


def test_exact_match_forgives_case_punctuation_around_words_articles_and_whitespace():
    assert exact(" the Cat\n", "Cat.") == 1.0
    assert exact("6000", "$6,000.00") == 1.0
    assert exact("a cat", "a dog") == 0.0
    assert exact("", "cat") == 0.0
    assert exact("cat", "") == 0.0
    assert exact("", "") == 1.0


def test_in_code_exact_match_forgives_whitespace_and_nothing_else():
    assert exact("return  a\n", "return a", "code") == 1.0
    assert exact("return A", "return a", "code") == 0.0
    assert exact('{"a": 1.0}', '{"a": 1}', "extraction") == 0.0


@pytest.mark.parametrize(
    ("answer", "reference", "f_measure"),
    [
        ("the cat", "the cat", 1.0),
        ("police kill the gunman", "police killed the gunman", 0.75),  # Lin 2004, section 3.1, its first example
        ("the gunman kill police", "police killed the gunman", 0.5),  # and its second: the order counts
        ("a b c d", "a b", 2 * 0.5 * 1 / 1.5),
        ("x", "a b", 0.0),
        ("", "a b", 0.0),
        ("", "", 1.0),
        ("x", "", 0.0),
    ],
)
def test_rouge_l_has_its_published_values(answer: str, reference: str, f_measure: float):
    assert RougeL()(answer, reference) == pytest.approx(f_measure)


def test_rouge_l_reads_other_scripts_and_compares_signs_where_there_are_no_words():
    assert RougeL()("перевод готов", "перевод готов") == 1.0
    assert RougeL()("готов", "перевод готов") == pytest.approx(2 / 3)
    assert RougeL()("->", "->") == 1.0
    assert RougeL()("=>", "->") == 0.0


@given(st.text(st.characters(max_codepoint=127), max_size=60), st.text(st.characters(max_codepoint=127), max_size=60))
def test_in_ascii_rouge_l_is_what_the_library_gives_by_default(answer: str, reference: str):
    ours = RougeScorer(["rougeL"], tokenizer=AnyScriptWords()).score(reference, answer)["rougeL"]
    assert ours == RougeScorer(["rougeL"]).score(reference, answer)["rougeL"]


def test_what_an_answer_costs_is_a_mean_over_answers():
    rows = [
        Answered(item("a"), prediction("a", n_tokens=3, seconds=0.5, cut_off=True)),
        Answered(item("b"), prediction("b", n_tokens=5, seconds=1.5)),
    ]
    figures = [metric.figure(metric.points(rows)) for metric in (TOKENS_PER_ANSWER, SECONDS_PER_ANSWER, CUT_OFF_RATE)]
    assert figures == [4.0, 1.0, 0.5]
