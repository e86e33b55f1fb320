"""Rows that wait to become frames: those of plain records, a batch at a time, and those of others, one by one."""

import polars as pl

from ft_assets.ingest.columns import Columns, Turns, columns_of_rows, feedback_frame, frame_of_columns
from ft_assets.ingest.parse import Parsed, Row
from ft_assets.ingest.plain_records import PlainRecords


class SliceRows:
    """The rows of a slice of a file. Plain records and others wait apart, and `_order` says how they alternate."""

    def __init__(self) -> None:
        self._plain: Columns = {}
        self._plain_height = 0
        self._others: list[Row] = []
        self._order: list[int] = []  # in the file's order: places among the plain ones, or -1 - those among the others
        self._lines: list[int] = []
        self._formats: list[str] = []
        self._named_by_file: list[bool] = []
        self._feedback: list[Row] = []

    def __len__(self) -> int:
        return len(self._order) + len(self._feedback)

    def wait_for(self, plain: PlainRecords) -> int:
        """Keeps the columns of these records, of which `add_plain` then names the good ones; the first one's place."""
        first = self._plain_height
        _append(self._plain, first, plain.columns(), len(plain))
        self._plain_height += len(plain)
        return first

    def add_plain(self, place: int, number: int, format_name: str, is_named_by_file: bool) -> None:
        """The next row of the file is the plain record at this place; it comes from this line."""
        self._order.append(place)
        self._lines.append(number)
        self._formats.append(format_name)
        self._named_by_file.append(is_named_by_file)

    def add(self, part: Parsed, number: int) -> None:
        """The next rows of the file are those of this record."""
        if part.format == "feedback":
            self._feedback += [row | {"source_line": number} for row in part.rows]
            return
        for row in part.rows:
            self.add_plain(-1 - len(self._others), number, part.format, part.task_type_from_file)
            self._others.append(row)

    def interactions(self, day: str, file: str) -> list[pl.DataFrame]:
        """The interactions in the file's order, with the columns `format` and `task_from_file`; none without any."""
        if not self._order:
            return []
        height = self._plain_height + len(self._others)
        columns = self._plain
        _append(columns, self._plain_height, columns_of_rows(self._others), len(self._others))
        order = [place if place >= 0 else self._plain_height - 1 - place for place in self._order]
        frame = frame_of_columns(columns, height, day, file)
        return [
            (frame if order == list(range(height)) else frame[order]).with_columns(
                pl.Series("source_line", self._lines, pl.Int64),
                pl.Series("format", self._formats, pl.String),
                pl.Series("task_from_file", self._named_by_file, pl.Boolean),
            )
        ]

    def feedback(self, day: str, file: str) -> list[pl.DataFrame]:
        """The feedback in the file's order; none without any."""
        return [feedback_frame(self._feedback, day, file)] if self._feedback else []


def _append(columns: Columns, height: int, more: Columns, count: int) -> None:
    """Puts `count` values below those of each column. A column that is not there holds nulls."""
    for name in more.keys() - columns.keys():
        columns[name] = Turns() if name == "messages" else []
        columns[name] += [None] * height
    for name, values in columns.items():
        values += more.get(name) or [None] * count
