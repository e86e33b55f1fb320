"""From one record to the rows it becomes. Never raises: what cannot be read comes as `Unreadable` in its place.

A row is a dict of what the record said; day, file, line and defaults are columns of the file's frame (columns.py).
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ft_assets.ingest.feedback import read_feedback
from ft_assets.ingest.fields import read_fields
from ft_assets.ingest.formats import recognise
from ft_assets.ingest.plans import known_fields, plan_for
from ft_assets.ingest.turns import Turn
from ft_assets.ingest.typed_values import Unreadable, check_depth, found

Row = dict[str, Any]
# What a file's name may say about records of the format input_output, which has no place for it.
TASK_WORDS = {"classification": "classification", "qa": "question_answering", "summarization": "summarization"}
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode  # made once: ids are never to change


class Parsed(NamedTuple):
    """What a record became: rows of `raw_interactions`, or of `feedback` where the format is feedback."""

    rows: list[Row]
    format: str
    unread: tuple[str, ...]  # keys that nothing reads; whatever is no plain name is called so
    task_type_from_file: bool


def parse(
    record: object, task_of_file: str | None = None, source_kind: str | None = None, check_nesting: bool = True
) -> list[Parsed | Unreadable]:
    """What each part of a record became: one part, or one for each item of an examples container.

    `source_kind` is what a container says about the records in it; a record's own field wins. `task_of_file` is for
    records of the format input_output without a task of their own.
    """
    try:
        if check_nesting:
            check_depth(record)
        if not isinstance(record, dict):
            raise Unreadable("not_an_object", f"the record is {found(record)}; every known format is a JSON object")
        if isinstance(record.get("examples"), list):
            if not record["examples"]:
                raise Unreadable("empty_examples", "the list under examples is empty, so there is nothing to read")
            return [_parse_or_say(example, task_of_file, "example") for example in record["examples"]]
        return [_parse(record, task_of_file, source_kind)]
    except Unreadable as problem:
        return [problem]


def task_named_by(file: str) -> str | None:
    """The task that a file's name states, such as `classification_paws.jsonl` or `code_summarization.jsonl`.

    Only when exactly one task word stands in the name; otherwise None, and the rows count as free text.
    """
    words = re.split(r"[^a-z]+", file.lower().replace("question_answering", "qa"))
    named = {TASK_WORDS[word] for word in words if word in TASK_WORDS}
    return named.pop() if len(named) == 1 else None


def content_id(turns: Sequence[Turn], fields: Mapping[str, Any]) -> str:
    """The id of an interaction that came without one: SHA-256 over its turns, context, user and timestamp."""
    moment = fields.get("timestamp")
    content = {
        "messages": [{"role": role, "content": text, "tool_calls": calls} for role, text, calls in turns],
        "context": fields.get("context"),
        "user_id": fields.get("user_id"),
        "timestamp": moment.isoformat() if moment else None,
    }
    return hashlib.sha256(_canonical(content).encode()).hexdigest()


def _parse_or_say(record: object, task_of_file: str | None, source_kind: str) -> Parsed | Unreadable:
    try:
        if not isinstance(record, dict):
            raise Unreadable("not_an_object", f"the record is {found(record)}; every known format is a JSON object")
        return _parse(record, task_of_file, source_kind)
    except Unreadable as problem:
        return problem


def _parse(record: dict[str, Any], task_of_file: str | None, source_kind: str | None) -> Parsed:
    known = known_fields(record)
    plan = plan_for(known, record)
    shape = plan.certain
    if shape is None:
        shape = recognise(record, plan.possible)
        plan = plan_for(known, record, shape)
    if shape.name == "feedback":
        return Parsed(read_feedback(record, read_fields(known, plan.fields)), "feedback", plan.unread, False)
    drafts = shape.parse(record)
    fields = read_fields(known, plan.fields)
    from_file = task_of_file is not None and shape.name == "input_output" and "task_type" not in fields
    if from_file:
        fields["task_type"] = task_of_file
    fields.setdefault("source_kind", source_kind or shape.source_kind)
    if len(drafts) == 1 and not drafts[0].fields:
        rows = [_row(drafts[0].turns, fields, "")]
    else:
        if drafts[0].suffix and fields.get("interaction_id") is None:  # so that both sides have one name
            fields["interaction_id"] = content_id([turn for draft in drafts for turn in draft.turns], fields)
        rows = [_row(draft.turns, {**fields, **draft.fields}, draft.suffix) for draft in drafts]
    return Parsed(rows, shape.name, plan.unread, from_file)


def _row(turns: list[Turn], fields: Row, suffix: str) -> Row:
    given = fields.get("interaction_id")
    if given is None:
        fields["interaction_id"] = content_id(turns, fields)
    elif suffix:
        fields["interaction_id"] = f"{given}{suffix}"
    fields["messages"] = turns
    return fields
