"""Whether answers may be judged at all: almost all there, each once, with possible numbers, to the same prompts."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.prediction import Prediction

LEAST_COVERAGE = 0.98


def evaluation_problems(predictions: Mapping[str, Sequence[Prediction]], items: Sequence[EvalItem]) -> list[str]:
    """Why these predictions may not be judged, one sentence each; empty when they may.

    `predictions` maps a side ("candidate", "base", "champion") to its answers. Looked at: at least 98 % of the items
    answered on every side, none twice, nothing else answered, numbers finite and possible, and the same prompts on all
    sides, in the same setting. What is returned belongs into `Evidence.problems`: the verdict is "not evaluated".
    """
    if not items:
        return ["The suite holds no item, so there is nothing to compare on."]
    problems = [problem for side, rows in sorted(predictions.items()) for problem in _side_problems(side, rows, items)]
    settings = {side: sorted({row.setting_digest for row in rows}) for side, rows in sorted(predictions.items())}
    if len({digest for digests in settings.values() for digest in digests}) > 1:
        problems.append(
            f"The sides answered in different settings (device, dtype, batch, decoding): {settings}. Hardware would be "
            "compared with hardware; generate the older answers again."
        )
    asked: dict[str, set[str]] = {}
    for rows in predictions.values():
        for row in rows:
            asked.setdefault(row.row_id, set()).add(row.prompt_digest)
    if differing := sorted(row_id for row_id, prompts in asked.items() if len(prompts) > 1):
        problems.append(f"The sides were asked different prompts on {len(differing)} rows (first: {differing[0]}).")
    return problems


def answered_share(rows: Sequence[Prediction], items: Sequence[EvalItem]) -> float:
    """The share of the items that have an answer, 0 to 1."""
    wanted = {item.row_id for item in items}
    return len(wanted & {row.row_id for row in rows}) / len(wanted) if wanted else 0.0


def _side_problems(side: str, rows: Sequence[Prediction], items: Sequence[EvalItem]) -> list[str]:
    wanted, answered = {item.row_id for item in items}, [row.row_id for row in rows]
    found = {
        "answers belong to no item": sorted(set(answered) - wanted),
        "answers are doubled": sorted(row_id for row_id, count in Counter(answered).items() if count > 1),
        "answers have impossible numbers": [row.row_id for row in rows if not _possible(row)],
    }
    problems = [f"{side}: {len(ids)} {what} (first: {ids[0]})." for what, ids in found.items() if ids]
    missing = sorted(wanted - set(answered))
    if (share := answered_share(rows, items)) < LEAST_COVERAGE:
        problems.append(
            f"{side}: {len(missing)} of {len(wanted)} items are not answered (first: {missing[0]}): "
            f"{100 * share:.1f} % are, and {100 * LEAST_COVERAGE:.0f} % are needed: the missing ones are "
            "rarely the easy ones."
        )
    return problems


def _possible(row: Prediction) -> bool:
    usable = math.isfinite(row.seconds) and row.seconds >= 0 and row.n_tokens >= 0
    if row.answer_nll is None or row.answer_tokens is None or row.answer_tokens_right is None:
        return usable
    counted = 0 <= row.answer_tokens_right <= row.answer_tokens and row.answer_tokens > 0
    return usable and counted and math.isfinite(row.answer_nll) and row.answer_nll >= 0
