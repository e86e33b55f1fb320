"""From the bytes of a landing file to its JSON values, each with its place. Nothing here knows a format."""

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

KNOWN_FILES = ".jsonl, .ndjson, .json, each plain or .gz"
MAX_UNPACKED_BYTES = 2 * 1024**3  # a gzip bomb must not take the machine with it
_PIECE_BYTES = 1 << 16  # unpacks to at most 66 MB
_GZIP = 31  # zlib window bits for a gzip header
_ODD_BYTE_ORDER = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Value:
    """A JSON value and its place: the line of a JSON-lines file, or the record's number in a .json document."""

    number: int
    value: object
    source_kind: str | None = None  # "example" for what stood in an examples container


@dataclass(frozen=True)
class Damage:
    """A place that holds no JSON value, and why. Never quotes the file."""

    number: int
    rule: str
    reason: str


def read_values(name: str, content: bytes) -> Iterator[Value | Damage]:
    """Every record of a landing file in its order; what cannot be read comes as `Damage` in its place. Never raises.

    The name says the kind (`.jsonl`, `.ndjson`, `.json`, each plain or `.gz`). A `.json` file that holds JSON lines and
    a `.jsonl` file that holds one indented document are read as what they are: only one of the readings is possible.
    """
    plain_name = name.lower().removesuffix(".gz")
    if not plain_name.endswith((".jsonl", ".ndjson", ".json")):
        yield Damage(1, "unknown_file_type", f"the file's name does not end in a known type; known: {KNOWN_FILES}")
        return
    body, damage = unpack(content) if name.lower().endswith(".gz") else (content, None)
    if body.startswith(_ODD_BYTE_ORDER):
        yield Damage(1, "not_utf8", "the file is UTF-16; convert it to UTF-8 and land it again")
        return
    body = body.removeprefix(b"\xef\xbb\xbf")
    found = False
    for item in _values_of(body, is_document=plain_name.endswith(".json")):
        found = True
        yield item
    if damage:
        yield damage
    elif not found:
        yield Damage(1, "empty_file", "the file holds no record; if its copy is under way, it is read again afterwards")


def unpack(content: bytes) -> tuple[bytes, Damage | None]:
    """The unpacked bytes of a gzip file, as far as they are whole, and what is wrong with it."""
    parts: list[bytes] = []
    size = 0
    member = zlib.decompressobj(wbits=_GZIP)
    try:
        for start in range(0, len(content), _PIECE_BYTES):  # small pieces bound what one call can unpack
            piece = content[start : start + _PIECE_BYTES]
            while piece:
                if member.eof:
                    member, piece = zlib.decompressobj(wbits=_GZIP), piece.lstrip(b"\0")  # a file may hold several
                parts.append(member.decompress(piece))
                size += len(parts[-1])
                piece = member.unused_data
            if size > MAX_UNPACKED_BYTES:
                reason = f"the file unpacks to more than {MAX_UNPACKED_BYTES} bytes; split it into smaller files"
                return b"", Damage(1, "file_too_large", reason)
        is_whole = member.eof
    except zlib.error:
        is_whole = False
    body = b"".join(parts)
    if is_whole:
        return body, None
    reason = f"the gzip file is cut off or damaged after {size} unpacked bytes; land it again"
    return body, Damage(body.count(b"\n") + 1, "damaged_gzip", reason)


def _values_of(body: bytes, is_document: bool) -> Iterator[Value | Damage]:
    if is_document:
        document = _decode(1, body)
        if isinstance(document, Damage) and _holds_lines(body):
            return _lines(body)
        return _records(document)
    lines = _lines(body)
    first = next(lines, None)
    if isinstance(first, Damage) and first.rule in ("not_json", "torn_last_line"):
        document = _decode(1, body)
        if isinstance(document, Value):
            return _records(document)
    return lines if first is None else chain([first], lines)


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


def _lines(body: bytes) -> Iterator[Value | Damage]:
    """One item per line that is not blank. Lines end at LF alone: U+2028 may stand inside a JSON text."""
    start, number = 0, 0
    while start < len(body):
        number += 1
        end = body.find(b"\n", start)
        is_torn = end < 0
        line = body[start : len(body) if is_torn else end].strip()
        start = len(body) if is_torn else end + 1
        if not line:
            continue
        item = _decode(number, line)
        if isinstance(item, Damage) and is_torn and item.rule in ("not_json", "not_utf8"):
            reason = "the last line has no line end and is not whole JSON: the write was cut off; land the file again"
            item = Damage(number, "torn_last_line", reason)
        yield item


def _decode(number: int, text: bytes) -> Value | Damage:
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


def _holds_lines(body: bytes) -> bool:
    """True when the first line alone is a JSON object, which one document cannot begin with and then go on."""
    match = re.match(rb"\s*([^\n]+)\n", body)
    return match is not None and isinstance(getattr(_decode(1, match.group(1)), "value", None), dict)
