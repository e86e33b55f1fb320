"""One parser per foreign format. A record's keys say which it is; a record that fits none, or two, is rejected.

| format          | recognised by                        | becomes                                                     |
|-----------------|--------------------------------------|------------------------------------------------------------|
| examples        | a list under `examples`              | one interaction per example                                 |
| native          | `input_text`, `output_text`          | a user turn and the answer                                  |
| messages        | `messages`                           | the turns as they are (OpenAI chat; native rows with turns) |
| sharegpt        | `conversations`                      | the turns, from `from` and `value`                          |
| preference      | `prompt`, `chosen`, `rejected`       | two interactions, told apart by `outcome`                   |
| alpaca          | `instruction`, `output`              | instruction and input as one user turn, and the answer      |
| input_output    | `input`, `output`                    | a user turn and the answer                                  |

Every format may also carry the fields of `fields.FIELDS`, at its top or under `metadata`.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ft_assets.ingest.fields import FIELD_NAMES, Unreadable, check_depth, found, read_fields, text
from ft_assets.ingest.turns import read_sharegpt, read_turns
from ft_assets.records import Interaction, Message, Rejection

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,39}")
# What a file's name may say about records of the format input_output, which has no place for it.
TASK_WORDS = {"classification": "classification", "qa": "question_answering", "summarization": "summarization"}


@dataclass(frozen=True)
class Place:
    """Where a record stands: the landing day, the file, and the line (or the record's number in a .json document)."""

    day: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Draft:
    """What a format's parser makes of a record, before the common fields are read."""

    messages: list[Message]
    suffix: str = ""  # tells two interactions of one record apart
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A format: its name, the keys that only it has together, its parser, and the kind of source it comes from."""

    name: str
    keys: frozenset[str]
    parse: Callable[[Mapping[str, object]], list[Draft]]
    source_kind: str
    also_reads: frozenset[str] = frozenset()
    outranks: frozenset[str] = frozenset()  # formats whose keys this one carries beside its own


@dataclass
class Parsed:
    """What a record became, and what of it was not read."""

    items: list[Interaction | Rejection]
    format: str | None = None
    unread_fields: list[str] = field(default_factory=list)
    task_type_from_file: bool = False


def parse(record: object, place: Place, source_kind: str | None = None) -> Iterator[Parsed]:
    """The interactions of a record, or the rejection that says what was found and what is known. Never raises.

    `source_kind` is what a container says about the records in it; a record's own field wins.
    """
    try:
        check_depth(record)
        if isinstance(record, dict) and isinstance(record.get("examples"), list):
            for example in record["examples"]:
                yield _parse_one(example, place, "example")
        else:
            yield _parse_one(record, place, source_kind)
    except Unreadable as problem:
        yield Parsed([reject(place, problem.rule, problem.reason)])


def reject(place: Place, rule: str, reason: str) -> Rejection:
    """A rejection of the stage ingest at this place."""
    return Rejection(stage="ingest", day=place.day, place=str(place), rule=rule, reason=reason)


def _parse_one(record: object, place: Place, source_kind: str | None) -> Parsed:
    try:
        if not isinstance(record, dict):
            raise Unreadable("not_an_object", f"the record is {found(record)}; every known format is a JSON object")
        shape = recognise(record)
        metadata = record.get("metadata")
        known = {**metadata, **_without_nulls(record)} if isinstance(metadata, dict) else record
        drafts = shape.parse(record)
        fields = read_fields({key: value for key, value in known.items() if key not in shape.keys})
        from_file = shape.name == "input_output" and "task_type" not in fields and task_named_by(place.file) is not None
        if from_file:
            fields["task_type"] = task_named_by(place.file)
        fields.setdefault("source_kind", source_kind or shape.source_kind)
        items: list[Interaction | Rejection] = [_interaction(draft, fields, place) for draft in drafts]
        read = FIELD_NAMES | shape.keys | shape.also_reads | {"metadata"}
        unread = sorted({_plain(key) for key in known if key not in read})
        return Parsed(items, shape.name, unread, from_file)
    except Unreadable as problem:
        return Parsed([reject(place, problem.rule, problem.reason)])


def recognise(record: Mapping[str, object]) -> Format:
    """The one format whose keys the record has.

    Raises:
        Unreadable: no format fits (`unknown_format`), or more than one does (`ambiguous_format`).
    """
    fitting = [shape for shape in FORMATS if shape.keys <= record.keys()]
    outranked = {name for shape in fitting for name in shape.outranks}
    fitting = [shape for shape in fitting if shape.name not in outranked]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = " and ".join(shape.name for shape in fitting)
        raise Unreadable("ambiguous_format", f"the record fits {names}; keep the keys of one of them")
    keys = [_plain(key) for key in list(record)[:8]]
    known = "; ".join(f"{shape.name} ({', '.join(sorted(shape.keys))})" for shape in FORMATS)
    what = f"keys {', '.join(keys)}" if keys else "no keys"
    raise Unreadable("unknown_format", f"the record has {what}; known: {known}; examples (a list under examples)")


def task_named_by(file: str) -> str | None:
    """The task that a file's name states, such as `classification_paws.jsonl` or `code_summarization.jsonl`.

    Only when exactly one task word stands in the name; otherwise None, and the rows count as free text.
    """
    words = re.split(r"[^a-z]+", file.lower().replace("question_answering", "qa"))
    named = {TASK_WORDS[word] for word in words if word in TASK_WORDS}
    return named.pop() if len(named) == 1 else None


def content_id(messages: list[Message], fields: Mapping[str, Any]) -> str:
    """The id of an interaction that came without one: SHA-256 over its turns, context, user and timestamp."""
    moment = fields.get("timestamp")
    content = {
        "messages": [message.model_dump() for message in messages],
        "context": fields.get("context"),
        "user_id": fields.get("user_id"),
        "timestamp": moment.isoformat() if moment else None,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _interaction(draft: Draft, fields: Mapping[str, Any], place: Place) -> Interaction:
    own = {**fields, **draft.fields}
    given = own.get("interaction_id")
    own["interaction_id"] = f"{given}{draft.suffix}" if given else content_id(draft.messages, own)
    own.setdefault("source", place.file.split(".")[0] or place.file)
    try:
        return Interaction(
            **own, day=place.day, messages=draft.messages, source_file=place.file, source_line=place.line
        )
    except ValidationError as error:  # the readers are stricter, so this is a reader that misses a case
        names = sorted({str(problem["loc"][0]) for problem in error.errors()})
        raise Unreadable(f"bad_{names[0]}", f"{', '.join(names)} does not fit the record's definition") from None


def _without_nulls(record: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in record.items() if value is not None}


def _plain(key: object) -> str:
    """A key that is a name, as it is; anything else could be text of the record."""
    return key if isinstance(key, str) and _PLAIN_NAME.fullmatch(key) else "(not a plain name)"


# ---- the formats -----------------------------------------------------------------------------------------------------
def _question_and_answer(question: str, answer: str) -> list[Message]:
    return [Message(role="user", content=question), Message(role="assistant", content=answer)]


def _native(record: Mapping[str, object]) -> list[Draft]:
    question = text("input_text", record["input_text"])
    return [Draft(_question_and_answer(question, text("output_text", record["output_text"])))]


def _input_output(record: Mapping[str, object]) -> list[Draft]:
    return [Draft(_question_and_answer(text("input", record["input"]), text("output", record["output"])))]


def _alpaca(record: Mapping[str, object]) -> list[Draft]:
    instruction, more = text("instruction", record["instruction"]), text("input", record.get("input") or "")
    question = f"{instruction}\n\n{more}" if more.strip() else instruction
    return [Draft(_question_and_answer(question, text("output", record["output"])))]


def _messages(record: Mapping[str, object]) -> list[Draft]:
    return [Draft(read_turns("messages", record["messages"]))]


def _sharegpt(record: Mapping[str, object]) -> list[Draft]:
    return [Draft(read_sharegpt("conversations", record["conversations"]))]


def _preference(record: Mapping[str, object]) -> list[Draft]:
    """The chosen and the rejected answer as two interactions without a score: a comparison is no rating."""
    prompt = _as_turns("prompt", record["prompt"], "user")
    drafts = []
    for side in ("chosen", "rejected"):
        answer = _as_turns(side, record[side], "assistant")
        turns = answer if answer[0].role != "assistant" else prompt + answer  # some sources repeat the prompt in both
        drafts.append(Draft(turns, f":{side}", {"outcome": json.dumps({"preference": side})}))
    return drafts


def _as_turns(name: str, value: object, role: str) -> list[Message]:
    return read_turns(name, value if isinstance(value, list) else [{"role": role, "content": text(name, value)}])


FORMATS = (
    Format("native", frozenset({"input_text", "output_text"}), _native, "interaction"),
    Format("messages", frozenset({"messages"}), _messages, "interaction"),
    Format("sharegpt", frozenset({"conversations"}), _sharegpt, "interaction"),
    Format(
        "preference",
        frozenset({"prompt", "chosen", "rejected"}),
        _preference,
        "preference",
        outranks=frozenset({"messages"}),  # some sources repeat the chosen conversation there
    ),
    Format(
        "alpaca",
        frozenset({"instruction", "output"}),
        _alpaca,
        "example",
        also_reads=frozenset({"input"}),
        outranks=frozenset({"input_output"}),
    ),
    Format("input_output", frozenset({"input", "output"}), _input_output, "example"),
)
