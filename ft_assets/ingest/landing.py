"""One landing day, from its files to the rows of `raw_interactions` and `feedback` and the rejections beside them."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import polars as pl

from ft_assets.forgotten_users import ForgottenUsers
from ft_assets.ingest.duplicates import KnownIds, Problem, without_known, without_repeats
from ft_assets.ingest.file_rows import FileRows, read_file
from ft_assets.ingest.forgotten import without_forgotten
from ft_assets.ingest.rules import IngestRules
from ft_assets.ingest.schema import FEEDBACK_SCHEMA, RAW_SCHEMA
from ft_assets.lake import Lake
from ft_assets.records import Rejection


@dataclass(frozen=True)
class DayIngest:
    """What a landing day became.

    `rows` has RAW_SCHEMA, `feedback` has FEEDBACK_SCHEMA, both in file and line order, as `rejections`.

    `counts`: files, records (what the reader gave, before parsing), expanded (items that records added which become
    several: both sides of a comparison, each signal of a feedback record), rows, feedback, rejected, rejected_by_rule,
    rows_by_format, unread_fields (keys that no format reads, with the number of records that carry them),
    task_type_from_file_name (rows). Always records + expanded = rows + feedback + rejected.
    """

    rows: pl.DataFrame
    rejections: list[Rejection]
    counts: dict[str, Any]
    feedback: pl.DataFrame


def ingest_day(
    lake: Lake,
    day: str,
    known_ids: KnownIds = None,
    rules: IngestRules | None = None,
    forgotten: ForgottenUsers | None = None,
) -> DayIngest:
    """Every record of `landing/<day>/` as a row, as feedback or as a rejection.

    An id belongs to the row that had it first: later copies of this day, and ids in `known_ids` (what all days hold, as
    a frame with interaction_id and day or a mapping; this day's own ids in it do not count), are rejected as
    `duplicate_interaction`. Records of users in `forgotten` are rejected as `user_forgotten`. The same files give the
    same rows and ids again.
    """
    names = [file.name for file in lake.landing_files(day)]
    files = [read_file(day, name, lake.read_landing(day, name), rules or IngestRules()) for name in names]
    every = pl.concat([_NO_ROWS, *(frame for file in files for frame in file.rows)], rechunk=False)
    said = pl.concat([FEEDBACK_SCHEMA.to_frame(), *(frame for file in files for frame in file.feedback)])
    every, refused = without_forgotten(every, forgotten)
    said, unsaid = without_forgotten(said, forgotten, is_feedback=True)
    rows, known = without_known(every, known_ids, day)
    feedback, repeated = without_repeats(said)
    rejections = _rejections(day, names, files, refused + unsaid + known + repeated)
    counts = {
        "files": len(names),
        "records": sum(file.records for file in files),
        "expanded": sum(file.expanded for file in files),
        "rows": rows.height,
        "feedback": feedback.height,
        "rejected": len(rejections),
        "rejected_by_rule": dict(Counter(rejection.rule for rejection in rejections)),
        "rows_by_format": dict(rows["format"].value_counts(sort=True).iter_rows()),
        "unread_fields": dict(sum((file.unread for file in files), Counter()).most_common(20)),
        "task_type_from_file_name": int(rows["task_from_file"].sum()),
    }
    return DayIngest(rows.drop("format", "task_from_file"), rejections, counts, feedback)


def _rejections(day: str, names: list[str], files: list[FileRows], duplicates: list[Problem]) -> list[Rejection]:
    """All of them by file and line."""
    problems = [(name, *problem) for name, file in zip(names, files, strict=True) for problem in file.rejections]
    order = {name: number for number, name in enumerate(names)}
    problems = sorted([*problems, *duplicates], key=lambda problem: (order[problem[0]], problem[1]))
    return [
        Rejection(stage="ingest", day=day, place=f"{file}:{line}", rule=rule, reason=reason)
        for file, line, rule, reason in problems
    ]


_NO_ROWS = pl.Schema({**RAW_SCHEMA, "format": pl.String(), "task_from_file": pl.Boolean()}).to_frame()
