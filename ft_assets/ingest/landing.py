"""One landing day, from its files to the rows of `raw_interactions` and the rejections beside them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import polars as pl

from ft_assets.ingest.files import Damage, read_values
from ft_assets.ingest.formats import Parsed, Place, parse, reject
from ft_assets.ingest.schema import RAW_SCHEMA
from ft_assets.lake import Lake
from ft_assets.records import Interaction, Rejection


@dataclass(frozen=True)
class DayIngest:
    """What a landing day became.

    `counts`: files, records (= rows + rejected), rows, rejected, rejected_by_rule, rows_by_format, unread_fields (keys
    that no format reads, with the number of records that carry them), task_type_from_file_name (rows).
    """

    rows: pl.DataFrame
    rejections: list[Rejection]
    counts: dict[str, Any]


def ingest_day(lake: Lake, day: str, known_ids: Mapping[str, str] | AbstractSet[str]) -> DayIngest:
    """Every record of `landing/<day>/` as a row with RAW_SCHEMA or as a rejection, in file and line order.

    An id belongs to the row that had it first: later copies of this day, and ids in `known_ids` (which other days
    hold; a mapping says which day, and this day's own ids in it do not count), are rejected as `duplicate_interaction`.
    The same files give the same rows and ids again.
    """
    rows: list[Interaction] = []
    rejections: list[Rejection] = []
    first_place: dict[str, str] = {}
    formats: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    named_by_file = 0
    files = lake.landing_files(day)
    for parsed in (parsed for file in files for parsed in _read(lake, day, file.name)):
        unread.update(parsed.unread_fields)
        for item in parsed.items:
            problem = item if isinstance(item, Rejection) else _duplicate(item, known_ids, first_place)
            if problem:
                rejections.append(problem)
            elif isinstance(item, Interaction):
                first_place[item.interaction_id] = f"{item.source_file}:{item.source_line}"
                rows.append(item)
                formats[parsed.format or ""] += 1
                named_by_file += parsed.task_type_from_file
    counts = {
        "files": len(files),
        "records": len(rows) + len(rejections),
        "rows": len(rows),
        "rejected": len(rejections),
        "rejected_by_rule": dict(Counter(rejection.rule for rejection in rejections)),
        "rows_by_format": dict(formats),
        "unread_fields": dict(unread.most_common(20)),
        "task_type_from_file_name": named_by_file,
    }
    return DayIngest(pl.DataFrame([row.model_dump() for row in rows], schema=RAW_SCHEMA), rejections, counts)


def _read(lake: Lake, day: str, name: str) -> Iterator[Parsed]:
    for item in read_values(name, lake.read_landing(day, name)):
        place = Place(day, name, item.number)
        if isinstance(item, Damage):
            yield Parsed([reject(place, item.rule, item.reason)])
        else:
            yield from parse(item.value, place, item.source_kind)


def _duplicate(
    item: Interaction, known_ids: Mapping[str, str] | AbstractSet[str], first_place: Mapping[str, str]
) -> Rejection | None:
    """The rejection of an interaction whose id was seen before; None for a new one."""
    place = Place(item.day, item.source_file, item.source_line)
    seen_at = first_place.get(item.interaction_id)
    if seen_at:
        return reject(place, "duplicate_interaction", f"the same interaction id stands at {seen_at} of this day")
    if item.interaction_id not in known_ids:
        return None
    day = known_ids[item.interaction_id] if isinstance(known_ids, Mapping) else "another day"
    if day == item.day:
        return None
    return reject(place, "duplicate_interaction", f"the same interaction id arrived on {day} already")
