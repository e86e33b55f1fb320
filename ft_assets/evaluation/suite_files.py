"""Suites that people write themselves: JSON lines with messages, or with input and output."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ft_assets.errors import BadInput, MissingInput
from ft_assets.evaluation.items import EvalItem, Expected, digest
from ft_assets.evaluation.suites import Kind, Suite, suite_of
from ft_assets.records import Message
from ft_assets.system_prompts import SystemPrompt


class SuiteRow(BaseModel):
    """A line: `messages` that end with the reference answer, or `input` with `output`; the rest may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str | None = Field(None, min_length=1)
    cluster_id: str | None = Field(None, min_length=1)
    task_type: str = Field("without task", min_length=1)
    slice: str = Field("all", min_length=1)
    role: str | None = None
    reasoning_mode: str | None = None
    difficulty: str | None = None
    messages: tuple[Message, ...] = ()
    input: str | None = None
    output: str | None = None
    tests: str | None = None
    entry_point: str | None = None
    code_prefix: str | None = None
    labels: tuple[str, ...] | None = Field(None, min_length=2)
    json_schema: str | None = None

    @field_validator("json_schema", mode="before")
    @classmethod
    def _schema_as_text(cls, schema: object) -> object:
        """An object becomes its JSON text; whatever it is, it has to be a JSON Schema."""

        from jsonschema import SchemaError
        from jsonschema.validators import validator_for

        if schema is None:
            return None
        try:
            parsed = json.loads(schema) if isinstance(schema, str) else schema
            validator_for(parsed).check_schema(parsed)
        except (ValueError, TypeError, AttributeError, SchemaError) as error:
            raise ValueError("json_schema is no JSON Schema") from error
        return json.dumps(parsed, sort_keys=True)

    @model_validator(mode="after")
    def _asks_and_answers(self) -> Self:
        pair = self.input is not None or self.output is not None
        if pair == bool(self.messages) or (pair and (self.input is None or self.output is None)):
            raise ValueError("found neither or both of messages and input with output; give one of the two")
        roles = [message.role for message in self.messages]
        if roles and ("user" not in roles or roles[-1] != "assistant"):
            raise ValueError(f"messages have the roles {roles}; a row has a user's turn and ends with the assistant's")
        if (self.entry_point or self.code_prefix) and not self.tests:
            raise ValueError("entry_point and code_prefix say how tests are run, and there are no tests")
        return self

    @property
    def turns(self) -> tuple[Message, ...]:
        """The conversation in either form."""
        if self.messages:
            return self.messages
        return Message(role="user", content=self.input or ""), Message(role="assistant", content=self.output or "")


def suite_from_file(
    source: Path | bytes,
    system_prompt: SystemPrompt,
    name: str | None = None,
    labels: Sequence[str] | None = None,
    sha256: str | None = None,
    kind: Kind = "own",
) -> Suite:
    """The file as a suite, called by its name without ending unless `name` is given. `source` is the file, or its
    content with a `name`.

    A row without an id is called by its line; without a cluster_id its cluster is its prompt, so that copies count
    once. `labels` is the closed set of answers of every row that names none itself. `sha256` freezes the content.

    Raises:
        MissingInput: there is no such file.
        BadInput: the content is another than `sha256`, a line is no row (names file, line and field), an id occurs
            twice, a reference is none of its labels, or there is no row at all.
    """
    place = str(source) if isinstance(source, Path) else str(name)
    content = _content(source) if isinstance(source, Path) else source
    if sha256 is not None and (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise BadInput(
            f"The suite {place} has the SHA-256 {found} and was frozen as {sha256}, so its scores could not be "
            "compared with earlier ones. Bring the frozen file back, or freeze the new content and expect a new "
            "baseline."
        )
    items: list[EvalItem] = []
    line_of: dict[str, int] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        item = _item(line, f"{place}:{number}", f"line-{number:06d}", tuple(labels) if labels else None)
        if (earlier := line_of.setdefault(item.row_id, number)) != number:
            raise BadInput(f"{place}:{number} has the id of line {earlier}, {item.row_id!r}. Give each row its own id.")
        items.append(item)
    if not items:
        raise BadInput(f"The suite {place} holds no row, so it measures nothing. Fill it, or take it out.")
    return suite_of(name or Path(place).stem, kind, items, system_prompt)


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise MissingInput(f"The suite {path} does not exist. Make the file, or take it out of the specialization.")
    return path.read_bytes()


def _item(line: bytes, place: str, default_id: str, labels: tuple[str, ...] | None) -> EvalItem:
    row = _row(line, place)
    labels = row.labels or labels
    answer = row.turns[-1].content.strip()
    if labels and answer not in labels:
        raise BadInput(f"{place}: the reference is none of the {len(labels)} labels, so no answer could be right.")
    expected = Expected(row.tests, row.entry_point, row.code_prefix, labels, row.json_schema)
    prompt = [message.model_dump() for message in row.turns[:-1]]
    return EvalItem(
        row_id=row.id or default_id,
        cluster_id=row.cluster_id or f"prompt-{digest(prompt)[:16]}",
        task_type=row.task_type,
        slice=row.slice,
        messages=row.turns,
        role=row.role,
        reasoning_mode=row.reasoning_mode,
        difficulty=row.difficulty,
        expected=expected,
    )


def _row(line: bytes, place: str) -> SuiteRow:
    try:
        return SuiteRow.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "the line"
        raise BadInput(
            f"{place} is no row of a suite: {field}: {first['msg']}. A row has messages, or input and output, and may "
            f"have {', '.join(name for name in SuiteRow.model_fields if name not in ('messages', 'input', 'output'))}."
        ) from None
