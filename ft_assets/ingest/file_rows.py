"""One landing file, from its bytes to frames and rejections, in slices so that a day's Python objects never pile up."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import polars as pl

from ft_assets.ingest.files import read_values
from ft_assets.ingest.json_files import decode
from ft_assets.ingest.parse import Parsed, parse, task_named_by
from ft_assets.ingest.plain_records import PlainRecords
from ft_assets.ingest.rules import IngestRules
from ft_assets.ingest.slice_rows import SliceRows
from ft_assets.ingest.typed_values import MAX_DEPTH, Unreadable
from ft_assets.ingest.values import Damage, Value

RECORDS_PER_BATCH = 250  # few enough that a decoded record is still in the processor's cache when it is read
ROWS_PER_FRAME = 5000  # as many as make the fixed cost of a frame small
# Not the mark of a source that writes garbage: a write that was cut off, or a file that is no file of records at all.
_NOT_BROKEN = frozenset(["torn_last_line", "damaged_gzip", "empty_file", "unknown_file_type", "file_too_large"])


@dataclass
class FileRows:
    """What a file became. `format` and `task_from_file` are columns beside those of RAW_SCHEMA.

    `records` counts what the reader gave before anything was parsed; `expanded` what records that become several items
    added. So records + expanded is the number of rows, feedback rows and rejections.
    """

    rows: list[pl.DataFrame] = field(default_factory=list)
    feedback: list[pl.DataFrame] = field(default_factory=list)
    rejections: list[tuple[int, str, str]] = field(default_factory=list)  # line, rule, reason
    records: int = 0
    expanded: int = 0
    broken: int = 0
    unread: Counter[str] = field(default_factory=Counter)


def read_file(day: str, name: str, content: bytes, rules: IngestRules) -> FileRows:
    """Every record of a landing file as rows or rejections, in the file's order.

    Where more of its records are broken than `rules` allow, nothing of it is used and each record is a rejection
    `file_too_broken`: half a file of a source that writes garbage is not a sample of it.
    """
    result = FileRows()
    unread: Counter[tuple[str, ...]] = Counter()
    task = task_named_by(name)
    values = read_values(name, content)
    waiting = SliceRows()
    while batch := list(islice(values, RECORDS_PER_BATCH)):
        _read_batch(batch, task, waiting, result, unread)
        if len(waiting) >= ROWS_PER_FRAME:
            waiting = _framed(waiting, result, day, name)
    if rules.too_broken(result.broken, result.records):
        return _refused(name, content, result, rules)
    _framed(waiting, result, day, name)
    for keys, records in unread.items():
        result.unread.update(dict.fromkeys(keys, records))
    return result


def _framed(waiting: SliceRows, result: FileRows, day: str, name: str) -> SliceRows:
    """Moves what waits into the result's frames; an empty slice to go on with."""
    result.rows += waiting.interactions(day, name)
    result.feedback += waiting.feedback(day, name)
    return SliceRows()


def _read_batch(
    batch: list[Value | Damage], task: str | None, rows: SliceRows, result: FileRows, unread: Counter[tuple[str, ...]]
) -> None:
    """Plain records together, column by column; every other one alone, by `parse`."""
    result.records += len(batch)
    plain = PlainRecords(task)
    taken = [isinstance(item, Value) and plain.take(item) for item in batch]
    first, position = rows.wait_for(plain), -1
    for item, is_taken in zip(batch, taken, strict=True):
        position += is_taken
        if isinstance(item, Damage):
            result.rejections.append(item)
            result.broken += item.rule not in _NOT_BROKEN
        elif is_taken and position not in plain.odd:
            plan = plain.plans[position]
            unread[plan.unread] += 1
            rows.add_plain(first + position, item.number, plan.format, plain.named_by_file[position])
        else:
            _read_alone(item, task, rows, result, unread)


def _read_alone(
    item: Value, task: str | None, rows: SliceRows, result: FileRows, unread: Counter[tuple[str, ...]]
) -> None:
    result.expanded -= 1
    for part in _parts(item, task):
        if isinstance(part, Unreadable):
            result.rejections.append((item.number, part.rule, part.reason))
            result.expanded += 1
        else:
            rows.add(part, item.number)
            unread[part.unread] += 1
            result.expanded += len(part.rows)


def _parts(item: Value, task: str | None) -> list[Parsed | Unreadable]:
    """What the parts of a record became.

    A line from the fast decoder is decoded exactly where its rounded numbers could show: in the reason of a rejection,
    and in JSON that is kept as text.
    """
    line = item.line
    if line is None:
        return parse(item.value, task, item.source_kind)
    is_deep = line.count(b"{") + line.count(b"[") > MAX_DEPTH  # cheaper than walking through every record
    parts = parse(item.value, task, item.source_kind, check_nesting=is_deep)
    keeps_json = b"outcome" in line or b"_call" in line
    if not any(isinstance(part, Unreadable) or (keeps_json and _holds_large_number(part)) for part in parts):
        return parts
    exact = decode(item.number, line)
    if isinstance(exact, Damage):
        return [Unreadable(exact.rule, exact.reason)]
    return parse(exact.value, task, item.source_kind)


def _holds_large_number(part: Parsed) -> bool:
    """True where kept JSON may hold a whole number that was rounded: such a float is written with e+."""
    texts = [row.get("outcome") or row.get("value") for row in part.rows]
    texts += [calls for row in part.rows for _, _, calls in row.get("messages", ())]
    return any(text is not None and "e+" in text for text in texts)


def _refused(name: str, content: bytes, found: FileRows, rules: IngestRules) -> FileRows:
    what = (
        f"{found.broken} of the file's {found.records} records are broken, more than max_broken_share "
        f"{rules.max_broken_share:g} allows, so none of them is used; mend or remove the file, or raise the share"
    )
    refused = [(item.number, "file_too_broken", f"{what}{own}") for item, own in _with_own_reason(name, content)]
    return FileRows(rejections=refused, records=found.records, broken=found.broken)


def _with_own_reason(name: str, content: bytes) -> Iterator[tuple[Value | Damage, str]]:
    for item in read_values(name, content):
        yield item, f"; this one: {item.rule}: {item.reason}" if isinstance(item, Damage) else ""
