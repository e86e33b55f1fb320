"""From answers to numbers: four metrics per row, and their sums over any group of rows. Needs no model and no torch."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ft_assets.errors import BadInput
from ft_assets.evaluation.generate import EvalItem, Prediction

Grouping = Literal["task_type", "slice"]
RATES = ("rouge_l", "exact_match", "token_accuracy")
# The longest mean surprise that still has a finite perplexity; an untrained model of any vocabulary stays under 20.
LARGEST_EXPONENT = 700.0
WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class RowScore:
    """One answered row. `answer_nll` in nats and `answer_tokens` belong to the reference, `n_tokens` to the answer."""

    row_id: str
    cluster_id: str
    task_type: str
    slice: str
    exact_match: float
    rouge_l: float
    answer_nll: float
    answer_tokens: int
    answer_tokens_right: int
    n_tokens: int
    seconds: float


@dataclass(frozen=True)
class Summary:
    """The metrics of a group of rows. Rates are between 0 and 1; perplexity is 1 or more, and lower is better."""

    rows: int
    clusters: int
    rouge_l: float
    exact_match: float
    token_accuracy: float
    perplexity: float
    tokens_per_answer: float
    seconds_per_answer: float


def exact_match(answer: str, reference: str) -> float:
    """1.0 where both texts are the same after every run of whitespace became one space, else 0.0 (SQuAD's EM, without
    its lower-casing and its dropping of articles and punctuation, which would hide errors in code)."""
    return float(answer.split() == reference.split())


class AnyScriptWords:
    """Lower-cased words for `rouge_score`: what its own tokenizer gives for ASCII, and words of other scripts too,
    which that one drops, so that a right answer in Chinese or Russian would score 0."""

    def tokenize(self, text: str) -> list[str]:
        return WORD.findall(text.lower())


class RougeL:
    """ROUGE-L F-measure, 0 to 1: with L the longest common subsequence of words, precision L / words of the answer and
    recall L / words of the reference, F = 2PR / (P + R). Lin 2004, "ROUGE: A Package for Automatic Evaluation of
    Summaries", section 3.1, as computed by the `rouge_score` library without stemming."""

    def __init__(self) -> None:
        from rouge_score.rouge_scorer import RougeScorer  # pulls in nltk: only when something is scored

        self._scorer = RougeScorer(["rougeL"], tokenizer=AnyScriptWords())

    def __call__(self, answer: str, reference: str) -> float:
        """The F-measure. A reference without any word (only signs) has no subsequence: then exact match decides."""
        if not WORD.search(reference):
            return exact_match(answer, reference)
        return float(self._scorer.score(target=reference, prediction=answer)["rougeL"].fmeasure)


def perplexity(nll: float, tokens: int) -> float:
    """exp(sum of the negative log-likelihoods in nats / number of reference tokens), over tokens and not over rows
    (Jelinek et al. 1977). 1.0 is certainty; the size of the vocabulary is blind guessing."""
    return math.exp(min(nll / tokens, LARGEST_EXPONENT))


def score_rows(items: Sequence[EvalItem], predictions: Iterable[Prediction]) -> list[RowScore]:
    """One score per item, ordered by row id.

    Raises:
        BadInput: an item has no prediction; generate again, the cached answers belong to another suite.
    """
    answered = {prediction.row_id: prediction for prediction in predictions}
    missing = [item.row_id for item in items if item.row_id not in answered]
    if missing:
        raise BadInput(
            f"{len(missing)} of {len(items)} eval rows have no answer (first: {missing[0]}), so a mean over the others "
            "would compare different questions. Materialize evaluation_report again; the answers are generated anew."
        )
    rouge_l = RougeL()
    return [_score(item, answered[item.row_id], rouge_l) for item in sorted(items, key=lambda item: item.row_id)]


def _score(item: EvalItem, prediction: Prediction, rouge_l: RougeL) -> RowScore:
    return RowScore(
        row_id=item.row_id,
        cluster_id=item.cluster_id,
        task_type=item.task_type,
        slice=item.slice,
        exact_match=exact_match(prediction.answer, item.reference),
        rouge_l=rouge_l(prediction.answer, item.reference),
        answer_nll=prediction.answer_nll,
        answer_tokens=prediction.answer_tokens,
        answer_tokens_right=prediction.answer_tokens_right,
        n_tokens=prediction.n_tokens,
        seconds=prediction.seconds,
    )


def rate_of(row: RowScore, metric: str) -> tuple[float, float]:
    """(points won, points possible) of a row, so that a rate over rows is sum of the first / sum of the second.

    Raises:
        BadInput: the metric is no rate; use one of `RATES`.
    """
    if metric == "token_accuracy":
        return float(row.answer_tokens_right), float(row.answer_tokens)
    if metric not in RATES:
        raise BadInput(f"{metric!r} is not a rate between 0 and 1, so it cannot be compared as one: use {RATES}.")
    return float(getattr(row, metric)), 1.0


def rate(rows: Iterable[RowScore], metric: str) -> float:
    """The rate of a group, 0 to 1: mean over rows for ROUGE-L and exact match, over reference tokens for token
    accuracy (the share of reference tokens that the model ranks first when the tokens before are given)."""
    won, possible = zip(*(rate_of(row, metric) for row in rows), strict=True)
    return math.fsum(won) / math.fsum(possible)


def summarize(rows: Sequence[RowScore]) -> Summary:
    """The metrics of these rows.

    Raises:
        BadInput: there are no rows; an average of nothing would look like a result.
    """
    if not rows:
        raise BadInput("There are no rows to summarize. Look at the coverage gaps of train_eval_split: its eval side.")
    return Summary(
        rows=len(rows),
        clusters=len({row.cluster_id for row in rows}),
        rouge_l=rate(rows, "rouge_l"),
        exact_match=rate(rows, "exact_match"),
        token_accuracy=rate(rows, "token_accuracy"),
        perplexity=perplexity(math.fsum(row.answer_nll for row in rows), sum(row.answer_tokens for row in rows)),
        tokens_per_answer=sum(row.n_tokens for row in rows) / len(rows),
        seconds_per_answer=math.fsum(row.seconds for row in rows) / len(rows),
    )


def summarize_by(rows: Sequence[RowScore], grouping: Grouping) -> Mapping[str, Summary]:
    """The metrics of every task type or of every slice, ordered by name."""
    names = sorted({getattr(row, grouping) for row in rows})
    return {name: summarize([row for row in rows if getattr(row, grouping) == name]) for name in names}
