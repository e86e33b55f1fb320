"""Metrics of an answer's text against its reference, and of what the answer cost."""

import re
import sys
from collections.abc import Sequence

from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.measures.closed_answers import closed_sets, is_right
from ft_assets.evaluation.measures.normalised_text import collapsed, is_verbatim, same_text
from ft_assets.evaluation.metric import Answered, Metric, Points, each
from ft_assets.evaluation.prediction import Prediction

WORD = re.compile(r"[^\W_]+")


class AnyScriptWords:
    """Lower-cased words for `rouge_score`: what its own tokenizer gives for ASCII, and words of other scripts too,
    which that one drops, so that a right answer in Chinese or Russian would score 0."""

    def tokenize(self, text: str) -> list[str]:
        return WORD.findall(text.lower())


class RougeL:
    """ROUGE-L of one answer, with one scorer for many."""

    def __init__(self) -> None:
        from absl import logging as absl_logging
        from rouge_score.rouge_scorer import RougeScorer  # pulls in nltk: only when something is scored

        # absl's handler closes the stream that it got at import, which may be somebody's capture, when Dagster sets up
        # logging anew.
        absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__
        self._scorer = RougeScorer(["rougeL"], tokenizer=AnyScriptWords())

    def __call__(self, answer: str, reference: str) -> float:
        """The F-measure. A reference without any word (only signs) has no subsequence: then the same text is 1."""
        if not WORD.search(reference):
            return float(collapsed(answer) == collapsed(reference))
        return float(self._scorer.score(target=reference, prediction=answer)["rougeL"].fmeasure)


def exact_match_of(item: EvalItem, prediction: Prediction) -> Points:
    """Share of answers that are the reference: 1 where both are the same after normalisation, else 0. Words are
    compared without case, punctuation around them, articles and spellings of a number (the steps stand in
    normalised_text.py); code, calls and JSON with every run of whitespace as one space and nothing else forgiven.
    Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text", section 6.1."""
    verbatim = is_verbatim(item.task_type, item.reference)
    return Points(float(same_text(prediction.answer, item.reference, verbatim)), 1.0)


def rouge_l_of(rows: Sequence[Answered]) -> list[Points | None]:
    """ROUGE-L F-measure, 0 to 1: with L the longest common subsequence of words, precision L / words of the answer and
    recall L / words of the reference, F = 2PR / (P + R). Lin 2004, "ROUGE: A Package for Automatic Evaluation of
    Summaries", section 3.1, as computed by the `rouge_score` library without stemming; words of every script."""
    rouge_l = RougeL()
    return [Points(rouge_l(row.prediction.answer, row.item.reference), 1.0) for row in rows]


def accuracy_of(rows: Sequence[Answered]) -> list[Points | None]:
    """Share of right answers among questions with a closed answer: right / asked (Manning, Raghavan and Schuetze 2008,
    "Introduction to Information Retrieval", section 8.3). Applies to rows with labels, and to classification, question
    answering, multiple choice and math with a short answer. Read is the label that the answer names, the choice, the
    final number or the final answer; how stands in closed_answers.py. An answer that names none, or several, is
    wrong."""
    return [
        None if closed is None else Points(float(is_right(row.prediction.answer, closed)), 1.0)
        for row, closed in zip(rows, closed_sets([row.item for row in rows]), strict=True)
    ]


def tokens_of(item: EvalItem, prediction: Prediction) -> Points:
    """Generated tokens / answers, the end token not counted (SPEC 5: token efficiency)."""
    return Points(float(prediction.n_tokens), 1.0)


def seconds_of(item: EvalItem, prediction: Prediction) -> Points:
    """Seconds of generation / answers; of a batch every row has an equal share (SPEC 5: response time)."""
    return Points(prediction.seconds, 1.0)


def cut_off_of(item: EvalItem, prediction: Prediction) -> Points:
    """Share of answers that were stopped at the most tokens allowed: cut off / answers. High where a model does not
    know when to end, or where `max_new_tokens` is too low for the task."""
    return Points(float(prediction.cut_off), 1.0)


EXACT_MATCH = Metric("exact_match", "rate", True, each(exact_match_of))
ROUGE_L = Metric("rouge_l", "rate", True, rouge_l_of)
ACCURACY = Metric("accuracy", "rate", True, accuracy_of)
TOKENS_PER_ANSWER = Metric("tokens_per_answer", "tokens", False, each(tokens_of))
SECONDS_PER_ANSWER = Metric("seconds_per_answer", "seconds", False, each(seconds_of))
CUT_OFF_RATE = Metric("cut_off_rate", "rate", False, each(cut_off_of))
