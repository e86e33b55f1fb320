"""The frozen evaluation set of a model line: read from a file or from the lake, and held to its digest."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ft_assets.dataset.rows import canonical_json, parsed_lines
from ft_assets.errors import BadInput, MissingInput
from ft_assets.records import Expected, Message


class GoldenRow(BaseModel):
    """One question of a frozen evaluation set. The last message is the reference answer.

    `role` and `reasoning_mode` choose its system prompt, `difficulty` is a slice of the report; the fields after them
    are checks of the answer beside its reference, see `records.Expected`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str = Field(min_length=1)
    cluster_id: str = Field(min_length=1)
    task_type: str
    slice: str
    messages: list[Message]
    role: str | None = None
    reasoning_mode: str | None = None
    difficulty: str | None = None
    tests: str | None = None
    entry_point: str | None = None
    code_prefix: str | None = None
    labels: tuple[str, ...] | None = Field(None, min_length=2)
    json_schema: str | None = None

    @property
    def expected(self) -> Expected:
        """What the answer is checked against beside its reference."""
        return Expected(self.tests, self.entry_point, self.code_prefix, self.labels, self.json_schema)

    @model_validator(mode="after")
    def _asks_and_answers(self) -> Self:
        roles = [message.role for message in self.messages]
        if "user" not in roles or roles[-1] != "assistant":
            raise ValueError(f"messages have the roles {roles}; a golden row has a user's turn and ends with assistant")
        return self


def golden_rows(source: Path | bytes, name: str | None = None, sha256: str | None = None) -> list[GoldenRow]:
    """The golden set in the order of its file. `source` is the file, or its content with the `name` for messages.

    With `sha256` (evaluation.golden_sha256 of the specialization) the content must be the one it was frozen as.

    Raises:
        MissingInput: there is no such file; make it, or set `evaluation.golden_set: null` in the specialization.
        BadInput: the content is not the frozen one, a line is no golden row, an id occurs twice, or the file holds
            none; names file and line.
    """
    name = name or (str(source) if isinstance(source, Path) else "the golden set")
    content = _content(source) if isinstance(source, Path) else source
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise BadInput(
            f"The golden set {name} has the SHA-256 {found}, and evaluation.golden_sha256 froze it as {sha256}. Scores "
            "on another set cannot be compared. Bring the frozen file back; if the change is meant, write the new "
            "digest into the specialization, and expect a new baseline."
        )
    first_line: dict[str, int] = {}
    rows = []
    for number, row in parsed_lines(content.split(b"\n"), GoldenRow, name):
        if (earlier := first_line.setdefault(row.id, number)) != number:
            raise BadInput(f"{name}:{number} has the id {row.id!r} of line {earlier}. Give each golden row its own id.")
        rows.append(row)
    if not rows:
        raise BadInput(f"The golden set {name} holds no row, so it guards nothing. Fill it, or set golden_set to null.")
    return rows


def golden_digest(golden: Sequence[GoldenRow]) -> str | None:
    """SHA-256 of the golden set, whatever the order of its file; None for none. None is as if absent."""
    rows = sorted((_written(row) for row in golden), key=lambda row: row["id"])
    return hashlib.sha256(canonical_json(rows).encode()).hexdigest() if rows else None


def _written(row: GoldenRow) -> dict[str, Any]:
    return {name: value for name, value in row.model_dump(mode="json").items() if value is not None}


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise MissingInput(
            f"The golden set {path} does not exist, so nothing keeps its prompts out of training. "
            "Make the file, or set evaluation.golden_set to null in the specialization."
        )
    return path.read_bytes()
