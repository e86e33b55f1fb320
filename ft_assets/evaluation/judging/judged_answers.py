"""What a judge said about answers of evaluations: asked once, kept in the table `judged_answers`."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ft_assets.evaluation.items import EvalItem
from ft_assets.judge_client import JudgeClient, Judged, Outcome
from ft_assets.lake import Lake

if TYPE_CHECKING:
    import polars as pl

TABLE = "judged_answers"
HOLDS_SECRET = "holds_secret"

# The texts of one conversation, masked together; None where something is left that must not leave the house.
Mask = Callable[[Sequence[str]], list[str] | None]


class JudgedAnswers:
    """One judge's words by content id, of this run and of earlier ones; what is known is never asked again.

    `version` is the digest of what the judge is asked, `criteria` are the names of the scores it gives. Without a lake
    only this run remembers. Failures are remembered by this run alone: the next one asks again.
    """

    def __init__(self, client: JudgeClient, version: str, criteria: Sequence[str], lake: Lake | None):
        self.client, self.version, self.criteria, self.lake = client, version, tuple(criteria), lake
        self.told: dict[str, Outcome] = {}
        self.cached = 0

    def outcomes(self, items: Sequence[Judged]) -> dict[str, Outcome]:
        """The outcome of every item by its content id, asked in their order; saved while they are asked."""
        wanted = {item.content_id: item for item in items if item.content_id not in self.told}
        known = self._kept(list(wanted))
        self.cached += len(known)
        self.told |= known
        for part in _parts([item for name, item in wanted.items() if name not in known], self._between_saves):
            answers = self.client.ask(part)
            self.told |= answers
            self._keep(answers)
        return {item.content_id: self.told[item.content_id] for item in items}

    @property
    def _between_saves(self) -> int:
        return self.client.rules.items_between_saves

    def _kept(self, names: list[str]) -> dict[str, Outcome]:
        """What the table holds of these; an answer without all criteria is not known."""
        import polars as pl

        if not names or self.lake is None or not self.lake.exists(TABLE):
            return {}
        same_judge = (pl.col("judge_model") == self.client.endpoint.model) & (pl.col("prompt_version") == self.version)
        wanted = same_judge & pl.col("content_id").is_in(names)
        rows = self.lake.scan(TABLE).filter(wanted).select("content_id", "criterion", "score").unique().collect()
        scores: dict[str, dict[str, float]] = {}
        for name, criterion, score in rows.sort("content_id", "criterion", "score").iter_rows():
            scores.setdefault(name, {}).setdefault(criterion, score)
        return {
            name: Outcome({criterion: its[criterion] for criterion in self.criteria})
            for name, its in scores.items()
            if its.keys() >= set(self.criteria)
        }

    def _keep(self, answers: dict[str, Outcome]) -> None:
        rows = [
            (name, criterion, score)
            for name, outcome in answers.items()
            for criterion, score in (outcome.scores or {}).items()
        ]
        if self.lake is None or not rows:
            return
        from ft_assets.evaluation.judging.judged_answers_schema import judged_answers_frame

        told = sorted(name for name, outcome in answers.items() if outcome.scores)
        chunk = hashlib.sha256("\n".join([self.client.endpoint.model, self.version, *told]).encode()).hexdigest()
        frame: pl.DataFrame = judged_answers_frame(rows, chunk, self.client.endpoint.model, self.version)
        self.lake.replace(TABLE, frame, {"chunk": [chunk]})


def question_of(item: EvalItem) -> str:
    """The prompt of an item as a judge reads it: each turn under its role, its calls behind its text."""
    turns = ("\n".join(filter(None, (f"({turn.role})", turn.content, turn.tool_calls))) for turn in item.messages[:-1])
    return "\n\n".join(turns)


def content_id(*texts: str) -> str:
    """The SHA-256 of masked texts in their order."""
    return hashlib.sha256("\x1e".join(texts).encode(errors="replace")).hexdigest()


def tally(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """How a run went: scored, failed and not_submitted by their reason, and the tokens that were paid for."""
    failed: dict[str, int] = {}
    left_out: dict[str, int] = {}
    for outcome in outcomes:
        for counts, why in ((failed, outcome.failure), (left_out, outcome.not_submitted)):
            if why:
                counts[why] = counts.get(why, 0) + 1
    return {
        "scored": sum(outcome.scores is not None for outcome in outcomes),
        "failed": dict(sorted(failed.items())),
        "not_submitted": dict(sorted(left_out.items())),
        "prompt_tokens": sum(outcome.prompt_tokens for outcome in outcomes),
        "completion_tokens": sum(outcome.completion_tokens for outcome in outcomes),
    }


def covers(outcomes: Sequence[Outcome], least: float) -> bool:
    """Whether at least that share of what was submitted has scores. Who fails where it likes judges nothing."""
    submitted = [outcome for outcome in outcomes if outcome.not_submitted is None]
    return bool(submitted) and sum(outcome.scores is not None for outcome in submitted) >= least * len(submitted)


def _parts(items: Sequence[Judged], size: int) -> Iterator[Sequence[Judged]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
