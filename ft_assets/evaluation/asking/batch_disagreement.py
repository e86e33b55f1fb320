"""Whether a model answers otherwise when its questions are asked alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from ft_assets.evaluation.asking.backend import Backend, questions_of
from ft_assets.evaluation.items import EvalItem, digest
from ft_assets.evaluation.prediction import Prediction
from ft_assets.system_prompts import SystemPrompt


@dataclass(frozen=True)
class BatchDisagreement:
    """`differing` of `rows` sampled rows had another answer alone than in their batch.

    `largest_nll_gap` is the largest difference of a reference's likelihood, in nats; None where no likelihood is known.
    """

    rows: int
    differing: tuple[str, ...]
    largest_nll_gap: float | None


def batch_disagreement(
    backend: Backend,
    items: Sequence[EvalItem],
    system_prompt: SystemPrompt,
    predictions: Sequence[Prediction],
    sample_rows: int = 32,
) -> BatchDisagreement:
    """Asks a sample of the answered rows again, one at a time. In float32 none is expected to differ.

    The sample is drawn by the digest of the prompt, so it is the same for every model. A row that has no answer alone
    counts as differing.
    """
    together = {prediction.row_id: prediction for prediction in predictions}
    asked = [question for question in questions_of(items, system_prompt) if question.row_id in together]
    sample = sorted(asked, key=lambda question: digest(["batch disagreement", question.digest]))[:sample_rows]
    alone = {one.row_id: one for batch in backend.alone().batches(sample) for one in batch.predictions}
    differing = sorted(
        question.row_id
        for question in sample
        if question.row_id not in alone or alone[question.row_id].answer != together[question.row_id].answer
    )
    gaps = [
        abs(one.answer_nll - before)
        for one in alone.values()
        if one.answer_nll is not None and (before := together[one.row_id].answer_nll) is not None
    ]
    return BatchDisagreement(len(sample), tuple(differing), max(gaps) if gaps else None)
