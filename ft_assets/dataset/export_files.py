"""Records into files of each type, whole or not at all. What a record of a format holds is said in export.py."""

import csv
import gzip
import io
import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from ft_assets.errors import BadInput

Record = dict[str, Any]
FILE_TYPES = (".json", ".jsonl", ".csv", ".parquet")
_TURN = pl.Struct({"role": pl.String, "content": pl.String, "tool_calls": pl.String})
_NESTED: dict[str, Any] = {
    "messages": pl.List(_TURN),
    "conversations": pl.List(pl.Struct({"from": pl.String, "value": pl.String})),
    "fields": pl.Struct({"prompt": pl.String, "response": pl.String, "messages": pl.List(_TURN)}),
    "responses": pl.List(pl.String),
    "metadata": pl.Struct({"role": pl.String, "task_type": pl.String, "reasoning_mode": pl.String}),
}
_LABELS = ("role", "task_type", "reasoning_mode")
_COLUMNS = {
    "native": ("interaction_id", "input_text", "output_text", *_LABELS),
    "input_output": ("id", "input", "output", *_LABELS),
    "completion": ("id", "prompt", "completion", *_LABELS),
    "alpaca": ("id", "instruction", "input", "output", *_LABELS),
    "messages": ("id", "messages", *_LABELS),
    "sharegpt": ("id", "conversations", *_LABELS),
    "transcript": ("id", "text", *_LABELS),
    "argilla": ("id", "fields", "responses", "metadata"),
    "preference": ("id", "prompt", "chosen", "rejected"),
}


class Unsayable(Exception):
    """A row has no place in this format; the message is the half-sentence that says why."""


def write_records(items: Iterable[tuple[str, Any]], say: Callable[[Any], Record], format: str, path: Path) -> int:
    """Writes every item, given with its name and said as a record by `say`, to `path`; returns how many there were.

    Raises:
        BadInput: an unknown file type, or a row that cannot be said in this format and file type; no file is written.
    """
    kind = file_type(path)
    written = 0

    def said() -> Iterator[Record]:
        nonlocal written
        for name, item in items:
            try:
                record = say(item)
                yield _flat(record) if kind == ".csv" else record
            except Unsayable as problem:
                raise BadInput(
                    f"{name} cannot be written as {format} to {path.name}: it {problem}. Write messages as .jsonl, "
                    "which holds everything, or leave such rows out; no file was written."
                ) from None
            written += 1

    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with _open(temporary, is_packed=path.name.lower().endswith(".gz")) as file:
            _WRITERS[kind](said(), file, format)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return written


def file_type(path: Path) -> str:
    """.json, .jsonl, .csv or .parquet.

    Raises:
        BadInput: another type.
    """
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    if kind not in FILE_TYPES:
        raise BadInput(f"{path} ends in no type that can be written. Use {', '.join(FILE_TYPES)}, each plain or .gz.")
    return kind


@contextmanager
def _open(path: Path, is_packed: bool) -> Iterator[Any]:
    """Without a time or a name in the gzip header, so that the same rows are the same bytes."""
    with path.open("wb") as file:
        if not is_packed:
            yield file
            return
        with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            yield packed


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _write_lines(records: Iterator[Record], file: Any, format: str) -> None:
    for record in records:
        file.write(_json(record) + b"\n")


def _write_document(records: Iterator[Record], file: Any, format: str) -> None:
    file.write(b'{"examples": [' if format == "examples" else b"[")
    for index, record in enumerate(records):
        file.write((b",\n" if index else b"\n") + _json(record))
    file.write(b"\n]}\n" if format == "examples" else b"\n]\n")


def _write_csv(records: Iterator[Record], file: Any, format: str) -> None:
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, _COLUMNS[format], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(records)
    text.detach()


def _flat(record: Record) -> Record:
    """The record with its structure as JSON text. CSV has no empty text; Alpaca's input may be left out."""
    optional = "input" if "instruction" in record else ""
    if any(value == "" for name, value in record.items() if name != optional):
        raise Unsayable("has an empty text, which CSV cannot tell from no text")
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        for name, value in record.items()
    }


def _write_parquet(records: Iterator[Record], file: Any, format: str) -> None:
    every = [{name: _storable(name, value) for name, value in record.items()} for record in records]
    has_turns = format == "preference" and any(isinstance(record["prompt"], list) for record in every)
    if has_turns:  # one type per column
        every = [{name: _as_turn_list(name, value) for name, value in record.items()} for record in every]
    nested = dict.fromkeys(("prompt", "chosen", "rejected"), pl.List(_TURN)) if has_turns else _NESTED
    schema = {name: nested.get(name, pl.String) for name in _COLUMNS[format]}
    buffer = io.BytesIO()
    pl.DataFrame(every, schema=schema).write_parquet(buffer)
    file.write(buffer.getvalue())


def _storable(name: str, value: Any) -> Any:
    """Turns with their tool calls as text: calls of different tools have no type in common."""
    if name == "fields" and isinstance(value, dict):
        return {key: _storable(key, inner) for key, inner in value.items()}
    if not isinstance(value, list) or name == "conversations":
        return value
    return [
        turn | {"tool_calls": _json(turn["tool_calls"]).decode()} if isinstance(turn.get("tool_calls"), list) else turn
        for turn in value
    ]


def _as_turn_list(name: str, value: Any) -> Any:
    if name == "id" or isinstance(value, list):
        return value
    return [{"role": "user" if name == "prompt" else "assistant", "content": value}]


_WRITERS = {".json": _write_document, ".jsonl": _write_lines, ".csv": _write_csv, ".parquet": _write_parquet}
