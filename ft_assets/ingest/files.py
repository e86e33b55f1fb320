"""From the bytes of a landing file to its values, each with its place. The name says the kind of file."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from ft_assets.ingest.json_files import decoded_lines, json_values
from ft_assets.ingest.tables import csv_values, parquet_values
from ft_assets.ingest.unpack import unpack
from ft_assets.ingest.values import Damage, Value

KNOWN_FILES = ".jsonl, .ndjson, .json, .csv, .parquet, each plain or .gz"
T = TypeVar("T")
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_values(name: str, content: bytes) -> Iterator[Value | Damage]:
    """Every record of a landing file by itself: see `read_items`."""
    return read_items(name, content, decoded_lines)


def read_items(name: str, content: bytes, read_lines: Callable[[bytes], Iterator[T]]) -> Iterator[T | Value | Damage]:
    """Every record of a landing file in its order; what cannot be read comes as `Damage` in its place. Never raises.

    The name says the kind (`.jsonl`, `.ndjson`, `.json`, `.csv`, `.parquet`, each plain or `.gz`). `read_lines` gives
    what stands in the bytes of JSON lines, one by one or many at once.
    """
    plain_name = name.lower().removesuffix(".gz")
    kind = plain_name.rpartition(".")[2] if "." in plain_name else ""
    if kind not in ("jsonl", "ndjson", "json", "csv", "parquet"):
        yield Damage(1, "unknown_file_type", f"the file's name does not end in a known type; known: {KNOWN_FILES}")
        return
    body, damage = unpack(content) if name.lower().endswith(".gz") else (content, None)
    found = False
    for item in _values(kind, body, read_lines) if body or not damage else ():
        found = True
        yield item
    if damage:
        yield damage
    elif not found:
        yield Damage(1, "empty_file", "the file holds no record; if its copy is under way, it is read again afterwards")


def _values(
    kind: str, body: bytes, read_lines: Callable[[bytes], Iterator[T]]
) -> Iterator[T] | Iterator[Value | Damage]:
    if kind == "parquet":
        return parquet_values(body)
    if _is_utf16(body):
        return iter([Damage(1, "not_utf8", "the file is UTF-16 or UTF-32; convert it to UTF-8 and land it again")])
    text = body.removeprefix(_UTF8_MARK)
    return csv_values(text) if kind == "csv" else json_values(text, kind == "json", read_lines)


def _is_utf16(body: bytes) -> bool:
    """By its byte order mark, or without one by every second byte being zero: ASCII in UTF-16 looks like that."""
    even, odd = body[:64:2], body[1:64:2]
    return body.startswith(_UTF16_MARKS) or (len(body) >= 4 and any(even) != any(odd))
