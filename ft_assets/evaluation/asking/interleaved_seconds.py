"""How long models take to answer, side by side on one machine: kept answers say nothing about time."""

from collections.abc import Mapping, Sequence

from ft_assets.errors import EvaluationIncomplete
from ft_assets.evaluation.asking.backend import Backend, Question, questions_of
from ft_assets.evaluation.items import EvalItem, digest
from ft_assets.system_prompts import SystemPrompt

SAMPLE_ROWS = 32


def interleaved_seconds(
    sides: Mapping[str, Backend],
    items: Sequence[EvalItem],
    system_prompt: SystemPrompt,
    sample_rows: int = SAMPLE_ROWS,
) -> dict[str, dict[str, float]]:
    """Seconds of wall time per answer: by row id for each side, of a sample of the items, one row at a time, merged.

    The sides take turns, A B and then B A, so that what slows the machine down for a while slows both. Each answers the
    first row once more before, which is not counted: caches and kernels are warm. Nothing is read from the table.

    Raises:
        EvaluationIncomplete: a side could not answer a sampled row, for example because both models do not fit into
            memory together; compare times on a larger machine.
    """
    questions = questions_of(items, system_prompt)
    sample = sorted(questions, key=lambda question: digest(["seconds", question.digest]))[:sample_rows]
    served = {name: backend.as_served() for name, backend in sides.items()}
    for name in served if sample else ():
        _seconds(name, served[name], sample[0])
    seconds: dict[str, dict[str, float]] = {name: {} for name in served}
    for turn, question in enumerate(sample):
        for name in list(served) if turn % 2 == 0 else list(served)[::-1]:
            seconds[name][question.row_id] = _seconds(name, served[name], question)
    return seconds


def _seconds(name: str, backend: Backend, question: Question) -> float:
    for batch in backend.batches([question]):
        for prediction in batch.predictions:
            return prediction.seconds
        for reason in batch.missing.values():
            raise EvaluationIncomplete(
                f"{name} has no answer to row {question.row_id} ({reason}), so its time cannot be compared. "
                "Use a machine with more memory, or leave time out of the metrics."
            )
    raise EvaluationIncomplete(f"{name} gave no answer to row {question.row_id}, so its time cannot be compared.")
