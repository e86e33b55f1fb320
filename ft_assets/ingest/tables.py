"""CSV and Parquet: their rows become the same records that JSON lines hold."""

import csv
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

import polars as pl

from ft_assets.ingest.field_names import COLUMN_NAMES, COUNT_NAMES, JSON_NAMES, NAMES, NUMBER_NAMES, TEXT_OR_TURNS
from ft_assets.ingest.json_files import decode
from ft_assets.ingest.values import Damage, Value
from ft_assets.spreadsheet_cells import unguarded, unguarded_id

_ROWS_AT_ONCE = 5000
_LONGEST_DECODE_SECONDS = 900
_DECODE = (
    "import io, sys, polars; table = polars.read_parquet(io.BytesIO(sys.stdin.buffer.read()));"
    "out = io.BytesIO(); table.write_ipc(out); sys.stdout.buffer.write(out.getbuffer())"
)
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,3})?")
_WRITTEN_DATE = re.compile(r"\d{8}")  # 20260105 is a day, not a second of 1970
_KNOWN = ", ".join(sorted(COLUMN_NAMES))
_REVIEW = frozenset(["interaction_id", "example_id", "reviewer"])  # the columns that make a table a review file
_UNDO = {"interaction_id": unguarded_id, "example_id": unguarded_id}


def csv_values(body: bytes) -> Iterator[Value | Damage]:
    """One record per row of a comma-separated UTF-8 file, placed by the line it begins on. An empty cell is null.

    The first line names the columns. A row with another number of cells is `ragged_row`; every line that a misplaced
    quotation mark swallows is `broken_quoting`; a file whose first line names no known column is rejected line by line,
    since that line is probably a record.
    """
    csv.field_size_limit(max(csv.field_size_limit(), len(body)))  # the library stops at 128 KB
    header: list[str] | None = None
    problem: tuple[str, str] | None = None
    torn_line = _torn_line(body)
    for number, cells in _csv_rows(body, torn_line):
        if isinstance(cells, Damage):
            yield cells
        elif header is None:
            header = [name.strip() for name in cells]
            problem = _wrong_header(header)
            if problem:
                yield Damage(number, *problem)
        elif problem:
            yield Damage(number, *problem)
        elif len(cells) != len(header):
            yield Damage(number, *_ragged(len(cells), len(header), number == torn_line))
        else:
            if set(header) >= _REVIEW:
                cells = [_UNDO.get(name, unguarded)(cell) for name, cell in zip(header, cells, strict=True)]
            yield Value(number, {name: _cell(name, cell) for name, cell in zip(header, cells, strict=True)})


def parquet_values(body: bytes) -> Iterator[Value | Damage]:
    """One record per row of a Parquet file, placed by its number from 1. Null and NaN are null."""
    table = _decoded_apart(body)
    if table is None:
        yield Damage(1, "not_parquet", "not a whole Parquet file that can be decoded; write it again and land it whole")
        return
    number = 0
    for piece in table.iter_slices(_ROWS_AT_ONCE):
        for row in piece.iter_rows(named=True):
            number += 1
            yield Value(number, {name: _typed(name, value) for name, value in row.items()})


def _decoded_apart(body: bytes) -> pl.DataFrame | None:
    """The table, decoded in a process of its own; None where that fails.

    A few flipped bytes can make the decoder abort its whole process, which no `except` stops; a day's other files must
    not go down with it. The process costs 0.2 CPU-seconds a file.
    """
    if len(body) < 12 or not (body.startswith(b"PAR1") and body.endswith(b"PAR1")):
        return None
    command = [sys.executable, "-P", "-c", _DECODE]
    try:
        decoded = subprocess.run(
            command, input=body, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_LONGEST_DECODE_SECONDS
        )
        return pl.read_ipc(io.BytesIO(decoded.stdout)) if decoded.returncode == 0 else None
    except (subprocess.TimeoutExpired, pl.exceptions.PolarsError, UnicodeDecodeError):
        return None


def _csv_rows(body: bytes, torn_line: int) -> Iterator[tuple[int, list[str] | Damage]]:
    """The cells of each row that is not blank, with the line it begins on; undecodable bytes become damage."""
    consumed: list[int] = []  # lines with text that the row at hand has taken
    reader = csv.reader(_text_lines(body, consumed), delimiter=_mark(body), strict=True)
    while True:
        start = reader.line_num + 1
        consumed.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            lines = tuple(consumed)
            yield from ((number, _misquoted(number, lines, torn_line)) for number in lines)
            continue
        if not cells or (len(cells) == 1 and not cells[0].strip()):
            continue  # a blank line
        if _holds_raw_bytes(cells):
            yield start, Damage(start, "not_utf8", "the row holds bytes that are not UTF-8; log the text as UTF-8")
        else:
            yield start, cells


def _mark(body: bytes) -> str:
    """What stands between cells: the comma; in a review file a semicolon, where a spreadsheet's language writes it."""
    names = body.partition(b"\n")[0].decode("utf-8", "replace").replace('"', "").strip().split(";")
    return ";" if set(names) >= _REVIEW else ","


def _text_lines(body: bytes, consumed: list[int]) -> Iterator[str]:
    for number, line in enumerate(io.BytesIO(body), start=1):
        if line.strip():
            consumed.append(number)
        yield line.decode("utf-8", "surrogateescape")


def _holds_raw_bytes(cells: list[str]) -> bool:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return True
    return False


def _wrong_header(header: list[str]) -> tuple[str, str] | None:
    """The rule that it breaks and why; None when it is fine."""
    if len(set(header)) < len(header):
        return "duplicate_column", f"two of the {len(header)} columns have the same name; give each its own"
    if not COLUMN_NAMES & set(header):
        what = f"none of the {len(header)} cells of the first line names a known column; is the header missing, or"
        return "no_known_column", f"{what} another mark than the comma between the cells? known: {_KNOWN}"
    return None


def _ragged(cells: int, columns: int, is_torn: bool) -> tuple[str, str]:
    if cells < columns and is_torn:
        return "torn_last_line", "the last line has no line end and too few cells: the write was cut off; land it again"
    reason = (
        f"the row has {cells} cells and the header {columns}; is a comma or a line end missing its quotation marks?"
    )
    return "ragged_row", reason


def _misquoted(number: int, lines: tuple[int, ...], torn_line: int) -> Damage:
    if len(lines) == 1 and number == torn_line:
        reason = "the last line has no line end and an open quotation mark: the write was cut off; land the file again"
        return Damage(number, "torn_last_line", reason)
    span = f"lines {lines[0]} to {lines[-1]}" if len(lines) > 1 else f"line {lines[0]}"
    reason = f"a quotation mark in {span} is not closed or not doubled, so their cells cannot be told apart"
    return Damage(number, "broken_quoting", reason)


def _torn_line(body: bytes) -> int:
    """The number of the last line where it has no line end, else 0, which is no line."""
    return 0 if body.endswith(b"\n") else body.count(b"\n") + 1


def _cell(name: str, cell: str) -> object:
    """What a CSV cell stands for: null, a number where the column holds numbers, the JSON where it holds structure."""
    if not cell:
        return None
    if name in NUMBER_NAMES and _NUMBER.fullmatch(cell.strip()):
        if name in NAMES["timestamp"] and _WRITTEN_DATE.fullmatch(cell.strip()):
            return cell
        return _typed(name, int(cell) if cell.strip().lstrip("-").isdigit() else float(cell))
    return _structure(name, cell)


def _structure(name: str, cell: str) -> object:
    if not (name in JSON_NAMES or name in TEXT_OR_TURNS) or cell.lstrip()[:1] not in ("[", "{"):
        return cell
    decoded = decode(1, cell.encode("utf-8", "surrogatepass"))
    if isinstance(decoded, Damage) or (name in TEXT_OR_TURNS and not _are_turns(decoded.value)):
        return cell
    return decoded.value


def _are_turns(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, dict) and {"role", "content"} <= v.keys() for v in value)
    )


def _typed(name: str, value: object) -> object:
    """A cell of a typed table as JSON would have it. A number of tokens may come as 12.0."""
    if isinstance(value, str):
        return _structure(name, value)
    if isinstance(value, float) and name in COUNT_NAMES and value.is_integer():
        return int(value)
    return _as_json(value)


def _as_json(value: object) -> object:
    if isinstance(value, float):
        return None if value != value else value
    if isinstance(value, dict):  # every row of a struct column has all its keys
        filled = {key: _as_json(inner) for key, inner in value.items()}
        return {key: inner for key, inner in filled.items() if inner is not None} or None
    if isinstance(value, list):
        return [_as_json(inner) for inner in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return _text_of(value)
    return value


def _text_of(value: bytes) -> object:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value  # its field will say that this is no text
