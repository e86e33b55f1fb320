"""Answers and the table `predictions` that keeps them: no model is asked the same question twice under one setting.

A row of the table belongs to one model, one setting (decoding, backend, number format, device, batches) and one prompt,
not to a suite: a suite that grew asks for its new rows only. What comes back is written in parts of several batches, so
that a process that is killed loses at most one part. A batch is a partition of its own, whose key starts with that of
model and setting and names its prompts: two processes with the same work write the same partitions, whatever their
parts, and what another one wrote before is not written again.

Lakes of older versions hold a table of this name, with a key for each suite. Its rows stay and are never read here.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

from ft_assets.evaluation.asking.backend import Backend, Batch, Question, Setting, questions_of, setting_digest
from ft_assets.evaluation.deciding.gate_rules import LEAST_COVERAGE
from ft_assets.evaluation.items import EvalItem, digest
from ft_assets.evaluation.prediction import Prediction
from ft_assets.lake import Lake
from ft_assets.system_prompts import SystemPrompt

if TYPE_CHECKING:
    import polars as pl

TABLE = "predictions"
PART_BATCHES = 8
PART_SECONDS = 60.0
UNANSWERED = "the backend gave no answer and no reason"
Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Answers:
    """One model's answers to a suite, ordered by row id. `missing`: why a row has none, by its id.

    `asked` rows were answered now, the others were in the table; `in_smaller_batches`: of all, those answered after
    memory had run out and batches were halved.
    """

    model_digest: str
    setting: Setting
    predictions: list[Prediction]
    missing: dict[str, str]
    asked: int
    in_smaller_batches: int

    @property
    def coverage(self) -> float:
        """The share of rows with an answer, 0 to 1; 0 for a suite without rows."""
        rows = len(self.predictions) + len(self.missing)
        return len(self.predictions) / rows if rows else 0.0

    @property
    def not_evaluated(self) -> str | None:
        """Why nothing may be concluded from these answers, or None: at least 98 % of the rows are answered."""
        if self.coverage >= LEAST_COVERAGE:
            return None
        rows = len(self.predictions) + len(self.missing)
        if not rows:
            return "the suite has no rows"
        row_id, reason = min(self.missing.items())
        return (
            f"{len(self.predictions)} of {rows} rows were answered, less than 98 %; first missing: {row_id}, {reason}"
        )


@dataclass(frozen=True)
class _Kept:
    """A row of the table; `halved`: answered in a batch that was made smaller because memory had run out."""

    prediction: Prediction
    halved: bool


def nothing(done: int, of: int) -> None:
    """The progress that nobody looks at."""


def answers_to(
    lake: Lake,
    backend: Backend,
    items: Sequence[EvalItem],
    system_prompt: SystemPrompt,
    on_progress: Progress = nothing,
    part_batches: int = PART_BATCHES,
    part_seconds: float = PART_SECONDS,
) -> Answers:
    """The model's answers to all items: those in the table, and the others, which are asked and kept.

    A part is written after so many batches or seconds, whichever comes first, and whatever ends the work.

    Raises:
        BadInput: an item has no reference or shares its id with another.
    """
    questions = questions_of(items, system_prompt)
    side = _side_key(backend)
    kept = _kept(lake, side, {question.digest for question in questions})
    waiting = list({question.digest: question for question in questions if question.digest not in kept}.values())
    digests = {question.row_id: question.digest for question in waiting}
    parts = _Parts(lake, side, part_batches, part_seconds)
    missing: dict[str, str] = {}
    try:
        for batch in backend.batches(waiting):
            parts.add(batch)
            missing |= {digests[row_id]: reason for row_id, reason in batch.missing.items()}
            on_progress(len(kept) + len(parts.rows) + len(missing), len(kept) + len(waiting))
    finally:
        parts.write()
    return _answers(backend, questions, kept | parts.rows, missing, len(parts.rows))


def _answers(
    backend: Backend, questions: Sequence[Question], rows: Mapping[str, _Kept], missing: Mapping[str, str], asked: int
) -> Answers:
    """Each question with the answer to its prompt, under its own row id."""
    answered = [question for question in questions if question.digest in rows]
    predictions = [replace(rows[question.digest].prediction, row_id=question.row_id) for question in answered]
    reasons = {q.row_id: missing.get(q.digest, UNANSWERED) for q in questions if q.digest not in rows}
    return Answers(
        model_digest=backend.model_digest,
        setting=backend.setting,
        predictions=sorted(predictions, key=lambda prediction: prediction.row_id),
        missing=dict(sorted(reasons.items())),
        asked=asked,
        in_smaller_batches=sum(rows[question.digest].halved for question in answered),
    )


class _Parts:
    """What came back, by prompt, and how much of it is in the table."""

    def __init__(self, lake: Lake, side: str, most_batches: int, most_seconds: float):
        self.lake, self.side = lake, side
        self.most_batches, self.most_seconds = most_batches, most_seconds
        self.rows: dict[str, _Kept] = {}
        self._begin()

    def add(self, batch: Batch) -> None:
        rows = {one.prompt_digest: _Kept(one, batch.halved) for one in batch.predictions}
        self.rows |= rows
        self._unwritten.append(rows)
        if len(self._unwritten) >= self.most_batches or time.monotonic() - self._started >= self.most_seconds:
            self.write()

    def write(self) -> None:
        """Writes what is not in the table yet, also because of another process that answers the same."""
        there = _kept(self.lake, self.side, {prompt for batch in self._unwritten for prompt in batch})
        new = [{prompt: batch[prompt] for prompt in sorted(batch) if prompt not in there} for batch in self._unwritten]
        keyed = {f"{self.side}-{digest(list(batch))[:16]}": list(batch.values()) for batch in new if batch}
        if keyed:
            self.lake.replace(TABLE, _with_older_columns(self.lake, _frame(keyed)), {"key": sorted(keyed)})
        self._begin()

    def _begin(self) -> None:
        self._unwritten: list[dict[str, _Kept]] = []  # batch by batch
        self._started = time.monotonic()


def _side_key(backend: Backend) -> str:
    return digest([backend.model_digest, setting_digest(backend.setting)])[:32]


def _kept(lake: Lake, side: str, prompts: set[str]) -> dict[str, _Kept]:
    """The answers of one model under one setting that the table has for these prompts."""
    import polars as pl

    keys = [key for key in lake.fingerprints(TABLE) if key.startswith(f"{side}-")] if prompts else []
    if not keys:
        return {}
    columns = [field.name for field in fields(Prediction)]
    rows = lake.scan(TABLE, {"key": keys}).filter(pl.col("prompt_digest").is_in(list(prompts)))
    # Two suites that share rows and are asked in the same instant batch them differently: the smaller key is read.
    once = rows.sort("key").unique("prompt_digest", keep="first").select(*columns, "halved").collect()
    return {
        row["prompt_digest"]: _Kept(halved=row.pop("halved"), prediction=Prediction(**row)) for row in once.to_dicts()
    }


def _frame(keyed: Mapping[str, Sequence[_Kept]]) -> "pl.DataFrame":
    import polars as pl

    types: dict[object, type[pl.DataType]] = {
        **{str: pl.String, bool: pl.Boolean},
        **{int: pl.Int64, int | None: pl.Int64, float: pl.Float64, float | None: pl.Float64},
    }
    schema = {field.name: types[field.type] for field in fields(Prediction)}  # nulls alone would tell no type
    values = [
        {**asdict(row.prediction), "halved": row.halved, "key": key} for key in sorted(keyed) for row in keyed[key]
    ]
    return pl.DataFrame(values, schema={"key": pl.String, **schema, "halved": pl.Boolean})


def _with_older_columns(lake: Lake, frame: "pl.DataFrame") -> "pl.DataFrame":
    """The frame with nulls in the columns that only a table of an older version has."""
    import polars as pl

    older = lake.scan(TABLE).collect_schema() if lake.exists(TABLE) else {}
    return frame.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in older.items() if name not in frame.columns
    )
