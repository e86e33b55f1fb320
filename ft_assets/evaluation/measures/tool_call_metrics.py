"""Metrics of tool calls: whether the right functions are called, and with the right arguments."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.measures.written_calls import WrittenCall, written_calls
from ft_assets.evaluation.metric import Metric, Points, each
from ft_assets.evaluation.prediction import Prediction
from ft_assets.tool_calls import calls_in

TOOL_TASKS = frozenset({"tool_call", "tool_calling", "function_calling", "api_call"})


def selection_of(item: EvalItem, prediction: Prediction) -> Points | None:
    """Share of answers that call exactly the functions of the reference, each as often: right / rows. The order does
    not count, because calls of one answer run side by side; arguments do not count here. A call that cannot be read is
    a wrong one, and where the reference calls nothing, calling nothing is right. Applies to rows whose reference holds
    calls, and to tool calling tasks. The function check of Patil et al. 2025, "The Berkeley Function Calling
    Leaderboard (BFCL)", simple, multiple, parallel and irrelevance."""
    wanted = _reference_calls(item)
    if wanted is None:
        return None
    made = written_calls(prediction.answer)
    return Points(float(Counter(call.name for call in made) == Counter(call.name for call in wanted)), 1.0)


def arguments_of(item: EvalItem, prediction: Prediction) -> Points | None:
    """Mean over the rows of the share of calls with the right name and arguments: calls of the reference that the
    answer makes too, one for one / the larger number of calls of the two, so that a call too many costs as much as a
    missing one. Each row counts as one, however many calls an answer makes, so that two models can be paired.
    Arguments are compared as JSON values at any depth: objects without order, lists with it, numbers by value (1 is
    1.0, and not true), texts to the letter but for whitespace. Every argument of the reference has to be there, and no
    other. Applies to rows whose reference holds calls. Compare "AST evaluation" in Patil et al. 2025, "The Berkeley
    Function Calling Leaderboard (BFCL)", which forgives case and punctuation in texts; this does not."""
    wanted = _reference_calls(item)
    if not wanted:
        return None
    made = written_calls(prediction.answer)
    return Points(_matched(wanted, made) / max(len(wanted), len(made)), 1.0)


def _reference_calls(item: EvalItem) -> list[WrittenCall] | None:
    """The calls of the reference; None where the row is no matter of calls."""
    answer = item.messages[-1]
    if logged := calls_in(answer.tool_calls):
        return [WrittenCall(call["name"], call["arguments"]) for call in logged]
    is_tool_task = item.task_type in TOOL_TASKS
    written = written_calls(answer.content) if is_tool_task or "<tool_call>" in answer.content else []
    return written if written or is_tool_task else None


def _matched(wanted: Sequence[WrittenCall], made: Sequence[WrittenCall]) -> int:
    """How many wanted calls were made; equality is transitive, so taking the first that fits is the best matching."""
    left, count = list(made), 0
    for call in wanted:
        place = next((place for place, other in enumerate(left) if _same_call(call, other)), None)
        if place is not None:
            left.pop(place)
            count += 1
    return count


def _same_call(call: WrittenCall, other: WrittenCall) -> bool:
    return call.name is not None and call.name == other.name and same_value(call.arguments, other.arguments)


def same_value(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same: numbers by value, texts but for whitespace, objects without order."""
    if isinstance(left, bool) or isinstance(right, bool) or left is None or right is None:
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        both_float = isinstance(left, float) and isinstance(right, float)
        return left == right or (both_float and math.isclose(left, right, rel_tol=1e-9))  # 0.1 + 0.2 is 0.3
    if isinstance(left, str) and isinstance(right, str):
        return left.split() == right.split()
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_value(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_value, left, right))
    return False


TOOL_SELECTION = Metric("tool_selection", "rate", True, each(selection_of))
TOOL_ARGUMENTS = Metric("tool_arguments", "rate", True, each(arguments_of))
