"""The rows of a snapshot as its files hold them, one JSON object per line."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ft_assets.errors import BadInput, IncompleteArtifact
from ft_assets.records import Message, Side

if TYPE_CHECKING:
    import polars as pl

Row = TypeVar("Row", bound=BaseModel)
TURN_COLUMNS = ("messages", "prompt", "chosen", "rejected")
LEFT_OUT = (b',"tool_calls":null', b',"difficulty":null')  # inside a text their quotes would be escaped
SLICE_ROWS = 50_000  # bounds the memory of writing


class SnapshotRow(BaseModel):
    """One example on its side. The last message is the answer to learn or to be judged by."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    example_id: str
    cluster_id: str
    prompt_id: str
    role: str | None
    task_type: str | None
    reasoning_mode: str
    messages: list[Message]
    interaction_ids: list[str]
    difficulty: str | None = None


def read_side(directory: Path, side: Side) -> list[SnapshotRow]:
    """The rows of one side of the snapshot in `directory`, sorted by example_id.

    Raises:
        IncompleteArtifact: the side's file is not there; materialize train_eval_split again.
        BadInput: a line is not a snapshot row; names file and line.
    """
    return [row for _, row in read_lines(_side_file(directory, side), SnapshotRow)]


def read_lines(path: Path, model: type[Row]) -> Iterator[tuple[int, Row]]:
    """Line number (from 1) and row of each line of a file that is not blank.

    Raises:
        BadInput: a line does not fit `model`; names file, line and field.
    """
    with path.open("rb") as lines:
        yield from parsed_lines(lines, model, str(path))


def parsed_lines(lines: Iterable[bytes], model: type[Row], name: str) -> Iterator[tuple[int, Row]]:
    """The same for lines of the file `name`.

    They are bytes: only a newline ends a line, not the line separators of Unicode that a text may hold.

    Raises:
        BadInput: a line does not fit `model`; names file, line and field.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield number, model.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"])) or "the line"
            raise BadInput(
                f"{name}:{number} is not a {model.__name__}: {field}: {first['msg']}. "
                "Mend this line, or make the file again; nothing of it was used."
            ) from error


def write_lines(rows: "pl.DataFrame", model: type[BaseModel], path: Path) -> None:
    """Writes the columns of `model`, in the order of the rows, as lines of canonical JSON; a test compares the bytes.

    A turn without tool calls has no such field, nor has a row without difficulty, so that their lines, and with them
    the snapshot's digest, are what they were before there were any.
    """
    columns, has_turns = sorted(model.model_fields), [name for name in TURN_COLUMNS if name in model.model_fields]
    with path.open("wb") as file:
        for part in rows.iter_slices(SLICE_ROWS):
            lines = io.BytesIO()
            part.with_columns(_as_written(part, has_turns)).select(columns).write_ndjson(lines)
            content = lines.getvalue()
            for absent in LEFT_OUT:
                content = content.replace(absent, b"")
            file.write(content)


def _as_written(rows: "pl.DataFrame", has_turns: Sequence[str]) -> "list[pl.Expr]":
    import polars as pl

    from ft_assets.dataset.call_texts import has_calls

    turn = pl.element().struct
    calls = ["tool_calls"] if any(has_calls(rows[name]) for name in has_turns) else []
    fields = pl.struct(turn.field(name) for name in ("content", "role", *calls))
    return [pl.col("interaction_ids").list.sort(), *(pl.col(name).list.eval(fields) for name in has_turns)]


def side_frame(directory: Path, side: Side) -> "pl.DataFrame":
    """The rows of one side as a table with the columns of SnapshotRow, without a Python object per row.

    Raises:
        IncompleteArtifact: the side's file is not there; materialize train_eval_split again.
        BadInput: the file is not made of snapshot rows.
    """
    import polars as pl

    text, turn = pl.String, pl.Struct({"role": pl.String, "content": pl.String, "tool_calls": pl.String})
    lists = {"messages": pl.List(turn), "interaction_ids": pl.List(text)}
    schema = {name: lists.get(name, text) for name in SnapshotRow.model_fields}
    path = _side_file(directory, side)
    if not path.stat().st_size:
        return pl.DataFrame(schema=schema)
    try:
        return pl.read_ndjson(path, schema=schema)
    except pl.exceptions.PolarsError as error:
        list(read_lines(path, SnapshotRow))  # names the line
        raise BadInput(f"{path} is not a table of snapshot rows. Materialize train_eval_split again.") from error


def _side_file(directory: Path, side: Side) -> Path:
    path = directory / f"{side}.jsonl"
    if not path.is_file():
        raise IncompleteArtifact(
            f"{path} does not exist, so this is not a whole snapshot. Materialize train_eval_split again."
        )
    return path


def canonical_json(value: Any) -> str:
    """The one spelling of a value: sorted keys, no spaces, characters as they are. Digests are taken of this."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
