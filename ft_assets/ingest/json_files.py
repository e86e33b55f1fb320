"""JSON lines and JSON documents, from bytes to values with their places."""

import json
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import orjson

from ft_assets.ingest.values import Damage, Value

_FIRST_LINE = re.compile(rb"\s*[^\n]*")  # that is not blank
T = TypeVar("T")


def json_values(
    body: bytes, is_document: bool, read_lines: Callable[[bytes], Iterator[T]]
) -> Iterator[T] | Iterator[Value | Damage]:
    """Every record of a JSON file. `is_document` says what the file's name promises; `read_lines` reads one of lines.

    A `.json` file that holds lines and a `.jsonl` file that holds one indented document are read as what they are: only
    one of the readings is possible.
    """
    if is_document:
        document = decode(1, body)
        return read_lines(body) if isinstance(document, Damage) and _holds_lines(body) else _records(document)
    line = _FIRST_LINE.match(body)
    first = decode_line(1, line[0].strip()) if line else None
    if isinstance(first, Damage) and first.rule == "not_json":
        document = decode(1, body)
        if isinstance(document, Value):
            return _records(document)
    return read_lines(body)


def decode(number: int, text: bytes) -> Value | Damage:
    """The JSON value of these bytes, numbers of any size exact, or why there is none."""
    if not text.strip():
        return Damage(number, "empty_file", "the file holds no record")
    try:
        return Value(number, json.loads(text.decode("utf-8")))
    except UnicodeDecodeError as error:
        return Damage(number, "not_utf8", f"byte {error.start + 1} is not UTF-8; log the text as UTF-8")
    except json.JSONDecodeError as error:
        reason = f"not JSON: {error.msg} at line {error.lineno} of the record, character {error.colno}"
        return Damage(number, "not_json", reason)
    except RecursionError:
        return Damage(number, "nested_too_deep", "the JSON is nested deeper than any known format")
    except ValueError:  # an integer of more than 4300 digits
        return Damage(number, "not_json", "not JSON that can be read: it holds a number of thousands of digits")


def _records(document: Value | Damage) -> Iterator[Value | Damage]:
    """The records of a whole document: the items of a list or of an examples container, or the one object."""
    if isinstance(document, Damage):
        yield document
        return
    value, source_kind = document.value, None
    if isinstance(value, dict) and isinstance(value.get("examples"), list):
        value, source_kind = value["examples"], "example"
    if not isinstance(value, list):
        yield document
        return
    for number, record in enumerate(value, start=1):
        yield Value(number, record, source_kind)


def decoded_lines(body: bytes) -> Iterator[Value | Damage]:
    """One item per line that is not blank. Lines end at LF alone: U+2028 may stand inside a JSON text."""
    start, number, size = 0, 0, len(body)
    while start < size:
        number += 1
        end = body.find(b"\n", start)
        line = body[start : end if end >= 0 else size].strip()
        start = end + 1 if end >= 0 else size
        if line:
            yield decode_line(number, line, is_cut=end < 0)


def decode_line(number: int, line: bytes, is_cut: bool = False) -> Value | Damage:
    """As `decode`, at a third of its cost; numbers above 64 bits come rounded, hence the line beside them.

    `is_cut`: it is the last line and has no line end, so that a half record means a write that was cut off.
    """
    try:
        return Value(number, orjson.loads(line), None, line)
    except ValueError:  # it also refuses NaN, half a surrogate pair and 1e999, which are to be rejected by field
        item = decode(number, line)
    if is_cut and isinstance(item, Damage) and item.rule in ("not_json", "not_utf8"):
        reason = "the last line has no line end and is not whole JSON: the write was cut off; land the file again"
        return Damage(number, "torn_last_line", reason)
    return item


def _holds_lines(body: bytes) -> bool:
    """True when the first line alone is a JSON object, which one document cannot begin with and then go on."""
    match = re.match(rb"\s*([^\n]+)\n", body)
    return match is not None and isinstance(getattr(decode(1, match.group(1)), "value", None), dict)
