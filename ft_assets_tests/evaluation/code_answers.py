"""Rows of an evaluation of code: a question, what the answer is checked against, and one model's answer."""

from ft_assets.evaluation.items import EvalItem, Expected
from ft_assets.evaluation.metric import Answered
from ft_assets.evaluation.prediction import Prediction
from ft_assets.records import Message

REFERENCE = "```python\ndef f():\n    return 1\n```"


def answered(answer: str, expected: Expected = Expected(), reference: str = REFERENCE, row_id: str = "r1") -> Answered:  # noqa: B008
    messages = (Message(role="user", content="Write f."), Message(role="assistant", content=reference))
    item = EvalItem(row_id, row_id, "code_generation", "code", messages, expected=expected)
    prediction = Prediction("model", "setting", "prompt", row_id, answer, n_tokens=9, cut_off=False, seconds=0.1)
    return Answered(item, prediction)
