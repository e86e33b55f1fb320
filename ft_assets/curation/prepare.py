"""The part of curation that looks at each row alone: an Arrow table in, two out. It can run on any engine, anywhere."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ft_assets.curation.compose import composed
from ft_assets.curation.identity import (
    answer_id,
    answer_text,
    conversation_key,
    prompt_and_example_id,
    prompt_key,
    prompt_text,
)
from ft_assets.curation.masking import Maskers, masked, normalised
from ft_assets.curation.rules import TRANSFORMERS, Candidate, CurationRules, first_broken_rule
from ft_assets.curation.schema import MASKED
from ft_assets.curation.signals import scored
from ft_assets.curation.turns import Conversation, conversations, lists, nested
from ft_assets.rejections_schema import REJECTION_SCHEMA

SLICE_ROWS = 20_000  # bounds the Python objects that live at once
_AS_IT_CAME = (
    "day", "timestamp", "user_id", "conversation_id", "role", "task_type", "reasoning_mode", "domain", "source",
    "source_kind", "model_version", "difficulty", "tags",
)  # fmt: skip
_FOUND = (
    "prompt_id", "example_id", "answer_id", "prompt_key", "conversation_key", "prompt_text", "answer_text"
)  # fmt: skip
WORKING_COLUMNS = ("place", "prompt_key", "conversation_key", "prompt_text", "answer_text")  # not in the table


Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Prepared:
    """Candidates: the columns of the table that a row has by itself, and WORKING_COLUMNS. Rejections: the others."""

    candidates: pl.DataFrame
    rejections: pl.DataFrame


def prepare(raw: pl.DataFrame, rules: CurationRules) -> Prepared:
    """Turns composed, normalised, masked, transformed, filtered, scored and named, in the order of `raw` (RAW_SCHEMA).

    The rows of a day stand together in `raw`.
    """
    maskers: Maskers = {}
    parts = [_prepare_slice(part, rules, maskers) for part in _slices(raw)]
    return Prepared(pl.concat([part.candidates for part in parts]), pl.concat([part.rejections for part in parts]))


def _slices(raw: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Whole days together, or a part of one large day: where a day is cut does not depend on its neighbours."""
    start = stop = 0
    for rows in raw["day"].rle().struct.field("len"):
        if stop > start and stop - start + rows > SLICE_ROWS:
            yield from raw[start:stop].iter_slices(SLICE_ROWS)
            start = stop
        stop += rows
    yield from raw[start:stop].iter_slices(SLICE_ROWS) if raw.height else (raw,)


def _prepare_slice(raw: pl.DataFrame, rules: CurationRules, maskers: Maskers) -> Prepared:
    clean = masked(normalised(composed(raw)), raw, maskers)
    turns = _transformed(clean.turns, rules)
    broken: Columns = {"row": [], "rule": [], "reason": []}
    found: Columns = {name: [] for name in ("row", *_FOUND)}
    passes, fails = ([column.append for column in each.values()] for each in (found, broken))
    names = clean.rows.select("task_type", "conversation_id").iter_rows()
    for number, (conversation, (task, name)) in enumerate(zip(conversations(turns, raw.height), names, strict=True)):
        verdict = first_broken_rule(Candidate(conversation, task), rules)
        values = (number, *verdict) if verdict else (number, *_found(conversation, name))
        for append, value in zip(fails if verdict else passes, values, strict=True):
            append(value)
    rows = clean.rows.with_columns(nested(turns, raw.height), _counts(clean.counts, raw.height))
    return Prepared(_candidates(rows, found, rules), _rejections(raw, broken))


def _found(conversation: Conversation, conversation_id: str | None) -> tuple[object, ...]:
    asked = prompt_text(conversation)
    return (
        *prompt_and_example_id(conversation),
        answer_id(conversation),
        prompt_key(asked),
        conversation_key(conversation_id),
        asked,
        answer_text(conversation),
    )


def _transformed(turns: pl.DataFrame, rules: CurationRules) -> pl.DataFrame:
    if not rules.transformers:
        return turns
    changed = []
    number_of_conversations = int(turns["row"].max() or 0) + 1  # type: ignore[arg-type]
    for number, conversation in enumerate(conversations(turns, number_of_conversations)):
        new = conversation.turns()
        for name in rules.transformers:
            new = TRANSFORMERS[name](new)
        changed += [(number, *turn) for turn in new]
    return pl.DataFrame(changed, schema=turns.schema, orient="row")


def _candidates(rows: pl.DataFrame, found: Columns, rules: CurationRules) -> pl.DataFrame:
    kept = pl.Series(found.pop("row"), dtype=pl.Int64)
    new = [
        pl.Series(name, values, dtype=pl.Binary if name.endswith("_key") else pl.String)
        for name, values in found.items()
    ]
    by_row = rows.select(
        *_AS_IT_CAME, "messages", "masked", place=_place(), interaction_ids=pl.concat_list("interaction_id")
    )
    return by_row.with_columns(scored(rows, rules))[kept].with_columns(new)


def _counts(counts: dict[int, Counter[str]], rows: int) -> pl.Series:
    """What was masked, one list of kinds and counts per row."""
    lengths = np.zeros(rows + 1, np.int64)
    kinds, numbers = list[str](), list[int]()
    for row, its_counts in sorted(counts.items()):
        lengths[row + 1] = len(its_counts)
        for kind, count in sorted(its_counts.items()):
            kinds.append(kind)
            numbers.append(count)
    fields = pl.DataFrame({"kind": kinds, "count": numbers}, schema={"kind": pl.String, "count": pl.Int64})
    return lists("masked", fields, lengths.cumsum(), MASKED)


def _rejections(raw: pl.DataFrame, broken: Columns) -> pl.DataFrame:
    kept = pl.Series(broken.pop("row"), dtype=pl.Int64)
    why = [pl.Series(name, values, dtype=pl.String) for name, values in broken.items()]
    places = raw.select(pl.lit("curation").alias("stage"), "day", place=_place())[kept]
    return places.with_columns(why).select(list(REJECTION_SCHEMA))


def _place() -> pl.Expr:
    return pl.format("{}:{}", pl.col("source_file"), pl.col("source_line"))
