"""JSON lines without surprises, by the thousand: from bytes to typed columns, without a Python object for each record.

Nothing is decided here that `parse` would decide otherwise. Only lines whose names tell the format are taken, only
values that the readers of `fields` accept become part of a column, and a line with any other value is odd: it is left
to `parse`, which alone says what is wrong with it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
import polars as pl
import pyarrow as pa

from ft_assets.ingest.columns import Columns, frame_of_columns, lists_of
from ft_assets.ingest.field_names import JUDGE_NAMES
from ft_assets.ingest.fields import JUDGE_READERS, READERS, Reader
from ft_assets.ingest.json_files import decode_line
from ft_assets.ingest.json_grammar import TEXT, unescaped
from ft_assets.ingest.json_scan import INSIDE, NULL, Scan, scan
from ft_assets.ingest.line_shapes import ANSWER, QUESTION, Shape, shaped
from ft_assets.ingest.plain_texts import READ_SCORES, READ_TOGETHER, Together
from ft_assets.ingest.schema import JUDGE_SCORE, MESSAGE
from ft_assets.ingest.turns import ROLES
from ft_assets.ingest.typed_values import Unreadable
from ft_assets.ingest.values import Damage, Value

_ROLES = list(ROLES.values())
_USER, _ASSISTANT = _ROLES.index("user"), _ROLES.index("assistant")
_FLAT = {"row": pl.Int64, "role": pl.String, "content": pl.String, "tool_calls": pl.String}
_SCORES = {"row": pl.Int64, "criterion": pl.String, "score": pl.Float64}


class PlainLines(NamedTuple):
    """Some lines of a file: the rows of plain ones, with RAW_SCHEMA, `format` and `task_from_file`; how many of them
    carry keys that nothing reads; and the others, one by one."""

    rows: pl.DataFrame
    unread: Counter[tuple[str, ...]]
    others: list[Value | Damage]


class _Values(NamedTuple):
    """Values of one field, none of them null: their rows, ascending, and what the scan says of each."""

    rows: np.ndarray
    kinds: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    escapes: np.ndarray

    def where(self, chosen: np.ndarray) -> "_Values":
        return _Values(*(each[chosen] for each in self))


def plain_lines(body: bytes, day: str, file: str, task_of_file: str | None) -> Iterator[PlainLines]:
    """All lines of a file of JSON lines, some thousand at a time. `task_of_file`: see `parse`."""
    cut_line = 0 if body.endswith(b"\n") else body.count(b"\n") + 1
    whole = body + b"\n" if cut_line else body
    data, at, number = np.frombuffer(whole, np.uint8), 0, 1
    while at < len(data):
        found = scan(data, at)
        lines = _Lines(whole, found, number)
        rows, others = lines.rows(day, file, task_of_file), lines.others(cut_line)
        if rows.height or others:
            yield PlainLines(rows, lines.unread(), others)
        at, number = found.next, number + len(found.lines)


class _Lines:
    """A scan on its way to columns. `odd`: the rows that are left to `parse`; it grows while columns are made."""

    def __init__(self, body: bytes, found: Scan, number: int):
        self._body, self._data, self._scan, self._number = body, np.frombuffer(body, np.uint8), found, number
        self._places = np.flatnonzero(found.lines[:, 2])  # of the plain lines, among all
        lines = shaped(body, found)
        self._shapes, self._shape = lines.shapes, lines.of
        self._members = lines.members_by_field()
        self.odd = self._of_shape(lambda _: False, of_none=True)

    def __len__(self) -> int:
        return len(self._places)

    def rows(self, day: str, file: str, task_of_file: str | None) -> pl.DataFrame:
        """The rows of the lines that are not odd."""
        columns: Columns = {"messages": self._messages(), "judge": self._judged()}
        columns |= {field: self._column(field) for field in READERS if len(self._members[field][0])}
        columns["source_line"] = pl.Series(self._places + self._number)
        frame = frame_of_columns(columns, len(self), day, file).with_columns(
            format=self._words(lambda shape: shape.plan.format),
            source_kind=pl.col("source_kind").fill_null(self._words(lambda shape: shape.plan.source_kind)),
        )
        is_named = pl.col("task_type").is_null() & (pl.col("format") == "input_output") & (task_of_file is not None)
        frame = frame.with_columns(task_from_file=is_named).with_columns(
            task_type=pl.when("task_from_file").then(pl.lit(task_of_file, pl.String)).otherwise("task_type")
        )
        self.odd |= frame["interaction_id"].is_null().to_numpy()
        return frame.filter(~self.odd) if self.odd.any() else frame

    def unread(self) -> Counter[tuple[str, ...]]:
        """The keys that nothing reads, with the number of rows; call it after `rows`."""
        counts = np.bincount(self._shape[~self.odd], minlength=len(self._shapes)).tolist()
        unread: Counter[tuple[str, ...]] = Counter()
        for shape, rows in zip(self._shapes, counts, strict=True):
            if rows and shape is not None:
                unread[shape.plan.unread] += rows
        return unread

    def others(self, cut_line: int) -> list[Value | Damage]:
        """Each line that is not plain, or odd, unless it is blank; call it after `rows`."""
        is_row = np.zeros(len(self._scan.lines), bool)
        is_row[self._places[~self.odd]] = True
        found = []
        for at in np.flatnonzero(~is_row).tolist():
            start, stop = self._scan.lines[at, :2]
            if line := self._body[start:stop].strip():
                number = self._number + at
                found.append(decode_line(number, line, is_cut=number == cut_line))
        return found

    def _column(self, field: str) -> pl.Series | list[Any] | None:
        """The values of a field, typed, null where a row has none; None where no row has one."""
        typed, others = self._read(self._values(field), READ_TOGETHER.get(field), READERS[field])
        if typed is None:
            return [others.get(row) for row in range(len(self))] if others else None
        return typed.scatter(list(others), pl.Series(list(others.values()), dtype=typed.dtype)) if others else typed

    def _judged(self) -> pl.Series:
        """The scores of all judges, which add up."""
        parts = [pl.DataFrame(schema=_SCORES)]
        for name in JUDGE_NAMES:
            typed, others = self._read(self._values(name), READ_SCORES, JUDGE_READERS[name])
            criterion = "quality_score" if name == "quality_score" else "overall"
            if typed is not None:
                scores = pl.DataFrame({"row": np.arange(len(self)), "score": typed}).drop_nulls()
                parts.append(scores.select("row", pl.lit(criterion).alias("criterion"), "score"))
            flat = [(row, *score) for row, scores_ in others.items() for score in scores_]
            parts.append(pl.DataFrame(flat, _SCORES, orient="row"))
        flat_scores = pl.concat(parts).sort("row", maintain_order=True)
        return self._lists("judge", flat_scores, JUDGE_SCORE)

    def _read(
        self, values: _Values, together: Together | None, reader: Reader
    ) -> tuple[pl.Series | None, dict[int, Any]]:
        """The values that can be read as a column, and by row those that the reader read; what it refuses is odd."""
        typed, alone = None, np.ones(len(values.rows), bool)
        if together is not None and len(values.rows):
            alone = ~np.isin(values.kinds, together.kinds)
            typed, doubtful = together.read(self._texts(values.where(~alone)))
            if doubtful.any():
                alone |= doubtful.fill_null(False).to_numpy()[values.rows]
        found = {}
        for row, kind, start, stop, _ in zip(*(each[alone].tolist() for each in values), strict=True):
            quote = kind == TEXT
            try:
                found[row] = reader("", orjson.loads(self._body[start - quote : stop + quote]))
            except Unreadable:
                self.odd[row] = True
        return typed, found

    def _messages(self) -> pl.Series:
        """The turns of each row; an odd one has any."""
        said = pl.concat([self._scanned_turns(), self._question_and_answer(), self._other_turns()])
        return self._lists("messages", said.sort("row", maintain_order=True), MESSAGE)

    def _scanned_turns(self) -> pl.DataFrame:
        rows = np.repeat(np.arange(len(self)), self._scan.lines[self._places, 4])
        chosen = self._of_shape(lambda shape: shape.has_turns)[rows]
        return self._turns(rows[chosen], *self._scan.turns[chosen].T)

    def _question_and_answer(self) -> pl.DataFrame:
        sides = []
        for name, role in ((QUESTION, _USER), (ANSWER, _ASSISTANT)):
            rows, _, *spans = self._values(name)
            sides.append(self._turns(rows, np.full(len(rows), role), *spans))
        return pl.concat(sides)

    def _turns(self, rows: np.ndarray, roles: np.ndarray, *spans: np.ndarray) -> pl.DataFrame:
        """Flat turns whose contents stand at these places."""
        role = pl.Series(_ROLES, dtype=pl.String).gather(roles)
        contents = _texts_at(self._data, spans)
        return pl.DataFrame({"row": rows, "role": role, "content": contents}).with_columns(
            tool_calls=pl.lit(None, pl.String)
        )

    def _other_turns(self) -> pl.DataFrame:
        """The turns that take more than looking at texts: of other formats, with tool calls, with content in parts."""
        flat: list[tuple[Any, ...]] = []
        for row in np.flatnonzero(self._of_shape(lambda shape: not (shape.has_turns or shape.is_spoken))).tolist():
            shape = self._shapes[self._shape[row]]
            start, stop = self._scan.lines[self._places[row], :2]
            assert shape is not None and shape.plan.certain is not None  # _of_shape
            try:
                flat += [
                    (row, *turn) for turn in shape.plan.certain.parse(orjson.loads(self._body[start:stop]))[0].turns
                ]
            except Unreadable:
                self.odd[row] = True
        return pl.DataFrame(flat, _FLAT, orient="row")

    def _values(self, field: str) -> _Values:
        rows, places = self._members[field]
        members = self._scan.members[places]
        values = _Values(rows, members[:, 2] % INSIDE, *members[:, 3:].T)
        return values.where(values.kinds != NULL)

    def _texts(self, values: _Values) -> pl.Series:
        """The values as they are written, without quotation marks and escapes; null where a row has none."""
        present = np.zeros(len(self), bool)
        present[values.rows] = True
        spans = np.zeros((3, len(self)), np.int64)
        spans[:, values.rows] = values[2:]
        validity = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
        return _texts_at(self._data, spans, validity)

    def _lists(self, name: str, flat: pl.DataFrame, kind: pl.Struct) -> pl.Series:
        """One list of structs for each row, of those with its number; ascending."""
        ends = np.searchsorted(flat["row"].to_numpy(), np.arange(len(self) + 1))
        return lists_of(name, ends, flat.drop("row").to_struct(), pl.List(kind))

    def _of_shape(self, holds: Callable[[Shape], bool], of_none: bool = False) -> np.ndarray:
        """Boolean per row, from what holds for its shape."""
        return np.array([of_none if shape is None else holds(shape) for shape in self._shapes])[self._shape]

    def _words(self, word: Callable[[Shape], str]) -> pl.Series:
        """A word per row, from that of its shape; null where it has none."""
        words = [None if shape is None else word(shape) for shape in self._shapes]
        return pl.Series(words, dtype=pl.String).gather(self._shape)


def _texts_at(
    data: np.ndarray, spans: Sequence[np.ndarray] | np.ndarray, validity: pa.Buffer | None = None
) -> pl.Series:
    """The texts at these places: starts, stops and whether they have escapes. `validity`: bits, 0 for null."""
    content, ends = unescaped(data, *spans)
    buffers = [validity, pa.py_buffer(ends), pa.py_buffer(content)]
    return pl.Series(pa.Array.from_buffers(pa.large_string(), len(ends) - 1, buffers), dtype=pl.String)
