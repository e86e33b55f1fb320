"""Made-up evaluation records that several tests of this folder use."""

from collections.abc import Mapping, Sequence
from typing import Any

from ft_assets.evaluation.items import EvalItem, Expected
from ft_assets.evaluation.metric import Answered, Points
from ft_assets.evaluation.prediction import Prediction
from ft_assets.evaluation.score import RowScore
from ft_assets.records import Message


def item(
    row_id: str,
    prompt: str = "Say it.",
    reference: str = "one two three",
    *,
    tool_calls: str | None = None,
    expected: Expected | None = None,
    **fields: str,
) -> EvalItem:
    """An eval item in a cluster of its own; `fields` are fields of EvalItem."""
    answer = Message(role="assistant", content=reference, tool_calls=tool_calls)
    own = {"cluster_id": row_id, "task_type": "t", "slice": "s", **fields}
    messages = (Message(role="user", content=prompt), answer)
    return EvalItem(row_id, messages=messages, expected=expected or Expected(), **own)


def prediction(row_id: str, answer: str = "one two three", **fields: Any) -> Prediction:
    """A plausible prediction for a reference of four tokens."""
    names = {"model_digest": "m", "setting_digest": "setting", "prompt_digest": "prompt", "row_id": row_id}
    numbers = {"n_tokens": 3, "cut_off": False, "seconds": 0.5}
    likelihood = {"answer_nll": 2.0, "answer_tokens": 4, "answer_tokens_right": 3}
    return Prediction(**{**names, "answer": answer, **numbers, **likelihood, **fields})


def answered(row_id: str, answer: str, reference: str, **fields: Any) -> Answered:
    """A row with its answer; `fields` are those of `item`."""
    return Answered(item(row_id, reference=reference, **fields), prediction(row_id, answer))


def row(row_id: str, rouge_l: float, points: Mapping[str, Points] | None = None, **fields: str) -> RowScore:
    """A scored row in a cluster of its own; `points` beside ROUGE-L's, `fields` are cluster_id and facets."""
    facets = {"task_type": "t", "slice": "s", **fields}
    cluster_id = facets.pop("cluster_id", row_id)
    return RowScore(row_id, cluster_id, facets, {"rouge_l": Points(rouge_l, 1.0), **(points or {})})


def rows(values: Sequence[float]) -> list[RowScore]:
    """Scored rows, one per given ROUGE-L value."""
    return [row(f"r{i:04d}", value) for i, value in enumerate(values)]
