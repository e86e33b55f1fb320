"""The part of curation that looks at each row alone: an Arrow table in, two out. It can run on any engine, anywhere."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ft_assets.curation.compose import composed, without_originals
from ft_assets.curation.faults import faults
from ft_assets.curation.identities import identified
from ft_assets.curation.masking import Maskers, masked, normalised
from ft_assets.curation.rules import TRANSFORMERS, Candidate, CurationRules, first_broken_rule
from ft_assets.curation.schema import MASKED
from ft_assets.curation.signals import SCORES, scored
from ft_assets.curation.suspects import suspects
from ft_assets.curation.turns import conversations, lists, nested, starts
from ft_assets.rejections_schema import REJECTION_SCHEMA

SLICE_ROWS = 20_000  # bounds the Python objects that live at once
_AS_IT_CAME = (
    "day", "timestamp", "user_id", "conversation_id", "role", "task_type", "reasoning_mode", "domain", "source",
    "source_kind", "model_version", "difficulty", "tags", "messages", "masked", "original_answer",
    "faults", "conflicting",
)  # fmt: skip
WORKING_COLUMNS = ("place", "prompt_key", "conversation_key", "prompt_text", "answer_text")  # not in the table


Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Prepared:
    """Candidates: the columns of the table that a row has by itself, and WORKING_COLUMNS. Rejections: the others."""

    candidates: pl.DataFrame
    rejections: pl.DataFrame


def prepare(raw: pl.DataFrame, rules: CurationRules) -> Prepared:
    """Turns composed, normalised, masked, transformed, filtered, scored and named, in the order of `raw`.

    `raw` has RAW_SCHEMA and what `with_feedback` and `with_judge` add. The rows of a day stand together in it.
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
    learned, originals = without_originals(clean.turns)
    turns = _transformed(learned, rules)
    broken = _broken(turns, clean.rows["task_type"], rules)
    original = pl.Series("original_answer", [None], dtype=pl.String).new_from_index(0, raw.height)
    rows = clean.rows.with_columns(
        nested(turns, raw.height),
        _counts(clean.counts, raw.height),
        original.scatter(originals["row"], originals["original_answer"]),
        place=_place(),
    )
    kept = np.ones(raw.height, bool)
    kept[broken["row"]] = False
    return Prepared(_candidates(rows, turns, kept, rules), _rejections(raw, broken))


def _broken(turns: pl.DataFrame, tasks: pl.Series, rules: CurationRules) -> Columns:
    """The number, first broken rule and reason of each row that a filter rejects."""
    broken: Columns = {"row": [], "rule": [], "reason": []}
    suspicious = suspects(turns, tasks, rules)
    numbers = np.flatnonzero(suspicious)
    its_turns = turns.filter(suspicious[turns["row"].to_numpy()]) if len(numbers) else turns.clear()
    of_each = its_turns.with_columns(row=pl.Series(np.searchsorted(numbers, its_turns["row"].to_numpy())))
    for number, conversation in zip(numbers.tolist(), conversations(of_each, len(numbers)), strict=True):
        if verdict := first_broken_rule(Candidate(conversation, tasks[number]), rules):
            for column, value in zip(broken.values(), (number, *verdict), strict=True):
                column.append(value)
    return broken


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


def _candidates(rows: pl.DataFrame, turns: pl.DataFrame, kept: np.ndarray, rules: CurationRules) -> pl.DataFrame:
    if not kept.all():
        rows, turns = rows.filter(kept), turns.filter(kept[turns["row"].to_numpy()])
        turns = turns.with_columns(row=pl.Series((kept.cumsum() - 1)[turns["row"].to_numpy()]))
    ids = identified(turns, rows["conversation_id"])
    found = faults(ids["answer_text"], _last_questions(turns, rows.height), rows["task_type"], rules.faults)
    rows = rows.with_columns(found, interaction_ids=pl.concat_list("interaction_id"))
    rows = rows.with_columns(scored(rows, rules))
    return rows.select(*_AS_IT_CAME, "interaction_ids", "place", *SCORES).hstack(ids)


def _last_questions(turns: pl.DataFrame, rows: int) -> pl.Series:
    """The turn before each answer; the answer itself where there is none."""
    places = starts(turns, rows)
    return turns["content"][np.maximum(places[1:] - 2, places[:-1])]


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
