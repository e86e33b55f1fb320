"""A landing file without some of its records: every format that ingest reads is written again as it was.

In files of lines (JSON lines, CSV) a record that goes leaves empty lines, so that every other record keeps its place.
"""

import gzip
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from ft_assets.ingest.files import read_values
from ft_assets.ingest.json_files import decode
from ft_assets.ingest.unpack import unpack
from ft_assets.ingest.values import Damage, Value

IsTheirs = Callable[[object], bool]
Mentions = Callable[[str], bool]
MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Rewritten:
    """`content` is None where nothing changes, b"" where nothing is left and the file goes. `records` went, `damaged`
    are places nobody can read. `unreadable` says why the file cannot be written again; then nothing else holds."""

    content: bytes | None = None
    records: int = 0
    damaged: int = 0
    unreadable: str = ""
    mentions: bool = False


def without(name: str, content: bytes, is_theirs: IsTheirs, mentions: Mentions) -> Rewritten:
    """The file without the records that are theirs, and without damaged places that may be: those that mention them,
    and all of a file that holds records of theirs."""
    items = list(read_values(name, content))
    kind, is_packed = _kind(name)
    body, torn = unpack(content) if is_packed else (content, None)
    if torn or not any(isinstance(item, Value) for item in items):
        readable = any(isinstance(item, Value) and is_theirs(item.value) for item in items)
        reason = next((item.reason for item in items if isinstance(item, Damage)), "nothing in it can be read")
        if not body.strip() and not torn:
            return Rewritten()
        return Rewritten(unreadable=reason, mentions=readable or any(map(mentions, _as_texts(body))))
    rewrite = _rewriter(kind, body)
    found = rewrite(body, items, is_theirs, mentions)
    if found.content and is_packed:
        return Rewritten(gzip.compress(found.content, mtime=0), found.records, found.damaged)
    return found


def cleaned(record: object, is_theirs: IsTheirs) -> tuple[object, int]:
    """The record without what is theirs, None where nothing is left, and how many records that takes away."""
    if isinstance(record, Mapping) and isinstance(record.get("examples"), list):
        kept = [example for example in record["examples"] if not is_theirs(example)]
        gone = len(record["examples"]) - len(kept)
        rest = {key: value for key, value in record.items() if key != "examples"}
        if is_theirs(rest):
            return None, gone + len(kept)
        return ({**record, "examples": kept} if kept or not gone else None), gone
    return (None, 1) if is_theirs(record) else (record, 0)


def _kind(name: str) -> tuple[str, bool]:
    plain = name.lower().removesuffix(".gz")
    return plain.rpartition(".")[2], name.lower().endswith(".gz")


def _rewriter(kind: str, body: bytes) -> Callable[[bytes, list[Any], IsTheirs, Mentions], Rewritten]:
    if kind == "parquet":
        return _parquet
    return _document if kind != "csv" and _is_document(kind, body.removeprefix(MARK)) else _lines


def _is_document(kind: str, body: bytes) -> bool:
    """As `json_values` decides it: a .json file that is one value, or a .jsonl file that only is one as a whole."""
    if kind == "json":
        return isinstance(decode(1, body), Value)
    first = next((line for line in body.split(b"\n") if line.strip()), b"")
    return isinstance(decode(1, first), Damage) and isinstance(decode(1, body), Value)


def _lines(body: bytes, items: list[Any], is_theirs: IsTheirs, mentions: Mentions) -> Rewritten:
    """An item reaches from its line to that of the next one."""
    lines = list(io.BytesIO(body))
    spans = list(zip(items, [item.number for item in items[1:]] + [len(lines) + 1], strict=True))
    gone = sum(_clean(lines, item, end, is_theirs) for item, end in spans if isinstance(item, Value))
    damaged = [(item.number, end) for item, end in spans if isinstance(item, Damage)]
    dropped = [(start, end) for start, end in damaged if gone or mentions(_text(lines, start, end))]
    for start, end in dropped:
        _put(lines, start, end, b"")
    if not gone and not dropped:
        return Rewritten(damaged=len(damaged))
    nothing_left = gone + len(dropped) == sum(map(_records, items))
    return Rewritten(b"" if nothing_left else b"".join(lines), gone, len(damaged) - len(dropped))


def _clean(lines: list[bytes], item: Value, end: int, is_theirs: IsTheirs) -> int:
    """Takes what is theirs out of an item's lines; how many records that was."""
    kept, taken = cleaned(item.value, is_theirs)
    if taken:
        _put(lines, item.number, end, b"" if kept is None else json.dumps(kept, ensure_ascii=False).encode())
    return taken


def _text(lines: list[bytes], start: int, end: int) -> str:
    return b"".join(lines[start - 1 : end - 1]).decode("utf-8", "replace")


def _records(item: Value | Damage) -> int:
    is_many = (
        isinstance(item, Value) and isinstance(item.value, Mapping) and isinstance(item.value.get("examples"), list)
    )
    return len(item.value["examples"]) if is_many else 1  # type: ignore[union-attr, index]


def _put(lines: list[bytes], start: int, end: int, text: bytes) -> None:
    """Replaces the lines from `start` to before `end` by one with this text and empty ones."""
    ending = b"\r\n" if lines[start - 1].endswith(b"\r\n") else b"\n"
    lines[start - 1 : end - 1] = [text + ending, *[ending] * (min(end - 1, len(lines)) - start)]


def _document(body: bytes, items: list[Any], is_theirs: IsTheirs, mentions: Mentions) -> Rewritten:
    value = json.loads(body.removeprefix(MARK).decode("utf-8"))
    gone = 0
    if isinstance(value, list):
        pairs = [cleaned(record, is_theirs) for record in value]
        gone = sum(taken for _, taken in pairs)
        rest: object = [record for record, _ in pairs if record is not None] or None
    else:
        rest, gone = cleaned(value, is_theirs)
    if not gone:
        return Rewritten()
    return Rewritten(b"" if rest is None else json.dumps(rest, ensure_ascii=False, indent=1).encode() + b"\n", gone)


def _parquet(body: bytes, items: list[Any], is_theirs: IsTheirs, mentions: Mentions) -> Rewritten:
    keep = [cleaned(item.value, is_theirs)[1] == 0 for item in items]
    if all(keep):
        return Rewritten()
    if not any(keep):
        return Rewritten(b"", len(keep))
    table = pl.read_parquet(io.BytesIO(body)).filter(pl.Series(keep))
    # Categories would keep the values of rows that are gone.
    coded = [name for name, kind in table.schema.items() if isinstance(kind, pl.Categorical | pl.Enum)]
    content = io.BytesIO()
    table.with_columns(pl.col(coded).cast(pl.String)).write_parquet(content, compression="zstd")
    return Rewritten(content.getvalue(), keep.count(False))


def _as_texts(body: bytes) -> list[str]:
    """What an unreadable file may say, in the encodings that people use."""
    return [body.decode(encoding, "replace") for encoding in ("utf-8", "utf-16-le", "utf-16-be")]
