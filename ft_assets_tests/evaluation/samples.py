"""Made-up evaluation records that several tests of this folder use."""

from collections.abc import Sequence

from ft_assets.evaluation.generate import EvalItem, Prediction
from ft_assets.evaluation.score import RowScore
from ft_assets.records import Message


def item(row_id: str, prompt: str = "Say it.", reference: str = "one two three", **fields: str) -> EvalItem:
    """An eval item in a cluster of its own."""
    messages = (Message(role="user", content=prompt), Message(role="assistant", content=reference))
    return EvalItem(
        row_id, fields.get("cluster_id", row_id), fields.get("task_type", "t"), fields.get("slice", "s"), messages
    )


def prediction(row_id: str, answer: str = "one two three", **fields) -> Prediction:
    """A plausible prediction for a reference of four tokens."""
    values = {
        "key": "k",
        "model_digest": "m",
        "suite_digest": "suite",
        "row_id": row_id,
        "answer": answer,
        "n_tokens": 3,
    }
    numbers = {"answer_nll": 2.0, "answer_tokens": 4, "answer_tokens_right": 3, "seconds": 0.5}
    return Prediction(**{**values, **numbers, **fields})


def row(row_id: str, rouge_l: float, **fields) -> RowScore:
    """A scored row in a cluster of its own."""
    values = {"row_id": row_id, "cluster_id": row_id, "task_type": "t", "slice": "s", "exact_match": 0.0}
    numbers = {"answer_nll": 2.0, "answer_tokens": 4, "answer_tokens_right": 3, "n_tokens": 3, "seconds": 0.5}
    return RowScore(**{**values, **numbers, "rouge_l": rouge_l, **fields})


def rows(values: Sequence[float]) -> list[RowScore]:
    """Scored rows, one per given ROUGE-L value."""
    return [row(f"r{i:04d}", value) for i, value in enumerate(values)]
