"""One landing file, from its bytes to frames and rejections, in slices so that a day's Python objects never pile up."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from ft_assets.ingest.columns import feedback_frame, interaction_frame
from ft_assets.ingest.files import read_items, read_values
from ft_assets.ingest.json_files import decode
from ft_assets.ingest.parse import Parsed, Row, parse, task_named_by
from ft_assets.ingest.plain_lines import PlainLines, plain_lines
from ft_assets.ingest.rules import IngestRules
from ft_assets.ingest.typed_values import MAX_DEPTH, Unreadable
from ft_assets.ingest.values import Damage, Value

ROWS_PER_FRAME = 5000  # of records that are read one by one: as many as make the fixed cost of a frame small
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


class _Rows:
    """Rows of single records that wait to become a frame."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.feedback: list[Row] = []

    def __len__(self) -> int:
        return len(self.rows) + len(self.feedback)

    def add(self, part: Parsed, number: int) -> None:
        """The rows of this record, which stands in this line."""
        rows = self.feedback if part.format == "feedback" else self.rows
        about = {"source_line": number, "format": part.format, "task_from_file": part.task_type_from_file}
        rows += [row | about for row in part.rows]

    def move_to(self, result: FileRows, day: str, file: str, plain: pl.DataFrame | None = None) -> None:
        """Into frames of the result, by line; `plain` are rows of other lines."""
        frames = [] if plain is None else [plain]
        if self.rows:
            more = {name: pl.Series([row[name] for row in self.rows]) for name in ("format", "task_from_file")}
            frames.append(interaction_frame(self.rows, day, file).with_columns(**more))
        if frames:
            result.rows.append(pl.concat(frames).sort("source_line", maintain_order=True) if frames[1:] else frames[0])
        if self.feedback:
            result.feedback.append(feedback_frame(self.feedback, day, file))
        self.rows, self.feedback = [], []


def read_file(day: str, name: str, content: bytes, rules: IngestRules) -> FileRows:
    """Every record of a landing file as rows or rejections, in the file's order.

    Where more of its records are broken than `rules` allow, nothing of it is used and each record is a rejection
    `file_too_broken`: half a file of a source that writes garbage is not a sample of it.
    """
    result, alone = FileRows(), _Rows()
    task = task_named_by(name)
    for item in read_items(name, content, lambda body: plain_lines(body, day, name, task)):
        if isinstance(item, PlainLines):
            _add_plain(item, task, alone, result, day, name)
        else:
            _read_alone(item, task, alone, result)
        if len(alone) >= ROWS_PER_FRAME:
            alone.move_to(result, day, name)
    if rules.too_broken(result.broken, result.records):
        return _refused(name, content, result, rules)
    alone.move_to(result, day, name)
    return result


def _add_plain(lines: PlainLines, task: str | None, alone: _Rows, result: FileRows, day: str, name: str) -> None:
    result.records += lines.rows.height
    for keys, records in lines.unread.items():
        result.unread.update(dict.fromkeys(keys, records))
    for item in lines.others:
        _read_alone(item, task, alone, result)
    alone.move_to(result, day, name, lines.rows if lines.rows.height else None)


def _read_alone(item: Value | Damage, task: str | None, rows: _Rows, result: FileRows) -> None:
    result.records += 1
    if isinstance(item, Damage):
        result.rejections.append(item)
        result.broken += item.rule not in _NOT_BROKEN
        return
    result.expanded -= 1
    for part in _parts(item, task):
        if isinstance(part, Unreadable):
            result.rejections.append((item.number, part.rule, part.reason))
            result.expanded += 1
        else:
            rows.add(part, item.number)
            result.unread.update(part.unread)
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
