"""Metrics of answers that have to be JSON."""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from ft_assets.errors import BadInput
from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.measures.normalised_text import is_json_container
from ft_assets.evaluation.metric import Answered, Metric, Points

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_FENCE = re.compile(r"^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.DOTALL | re.MULTILINE)


class NotJson(ValueError):
    """An answer holds no JSON, or more than one; the argument says which."""


def json_in(answer: str) -> Any:
    """The JSON value of an answer: the whole answer, or else what stands in its only fenced block (```json or ```),
    whatever is said around it.

    Raises:
        NotJson: the text is no JSON by RFC 8259 (NaN and Infinity are none, nor a key that stands twice in an object),
            or there are several fenced blocks and nobody can tell which is meant.
    """
    try:
        return _parsed(answer)
    except NotJson:
        fenced = [body for language, body in _FENCE.findall(answer) if language.lower() in ("json", "")]
        if len(fenced) != 1:
            raise
    return _parsed(fenced[0])


def json_valid_of(rows: Sequence[Answered]) -> list[Points | None]:
    """Share of answers that are JSON: answers that RFC 8259's grammar accepts / answers that had to be JSON. Applies to
    rows with a schema, and to rows whose reference is a JSON object or array as a whole. Read is the whole answer, or
    its only fenced block; a value that is no object or array does not count where the reference is one."""
    return [Points(float(_is_valid(row)), 1.0) if _must_be_json(row.item) else None for row in rows]


def matches_schema_of(rows: Sequence[Answered]) -> list[Points | None]:
    """Share of answers that are JSON and match the row's schema: matching / rows with a schema. JSON Schema, draft
    2020-12 unless the schema names another, as the library `jsonschema` checks it; `format` is not checked, and no
    reference leaves the schema. An answer that is no JSON does not match."""
    return [
        None if row.item.expected.json_schema is None else Points(float(_matches(row.item, row.prediction.answer)), 1.0)
        for row in rows
    ]


def _must_be_json(item: EvalItem) -> bool:
    return item.expected.json_schema is not None or is_json_container(item.reference)


def _is_valid(row: Answered) -> bool:
    try:
        value = json_in(row.prediction.answer)
    except NotJson:
        return False
    return isinstance(value, dict | list) or not is_json_container(row.item.reference)


def _matches(item: EvalItem, answer: str) -> bool:
    try:
        value = json_in(answer)
    except NotJson:
        return False
    try:
        return bool(_validator(item.expected.json_schema or "").is_valid(value))
    except RecursionError:  # an answer nested deeper than anybody reads, under a schema that follows it down
        return False
    except Exception as error:  # a reference that leads nowhere shows when it is followed; jsonschema has no one type
        raise BadInput(
            f"The JSON schema of eval row {item.row_id} cannot be used ({type(error).__name__}), so no answer to it "
            "can be judged. Mend the schema in the suite's file; references have to stay inside of it."
        ) from error


@lru_cache(maxsize=256)
def _validator(schema: str) -> "Validator":
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing import Registry

    read = json.loads(schema)
    kind = validator_for(read, default=Draft202012Validator)
    kind.check_schema(read)
    return kind(read, registry=Registry())  # an empty registry: nothing is fetched


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError) as error:
        raise NotJson("no JSON") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


JSON_VALID = Metric("json_valid", "rate", True, json_valid_of)
JSON_MATCHES_SCHEMA = Metric("json_matches_schema", "rate", True, matches_schema_of)
