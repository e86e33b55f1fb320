"""Which foreign format a record has. Its keys say so, and for some formats what stands under them; never a guess.

| format       | recognised by                              | becomes                                         |
|--------------|--------------------------------------------|-------------------------------------------------|
| examples     | a list under `examples`                    | one interaction per example                     |
| native       | `input_text`, `output_text`                | a user turn and the answer                      |
| messages     | `messages`, or a list under `conversation` | the turns (OpenAI chat; native rows with turns) |
| sharegpt     | `conversations`                            | `system`, and the turns from `from` and `value` |
| preference   | `prompt`, `chosen`, `rejected`             | two interactions, told apart by `outcome`       |
| comparison   | `chosen`, `rejected`: transcripts or turns | two interactions, told apart by `outcome`       |
| transcript   | `transcript`, or `text` with both speakers | the turns behind `Human:` and `Assistant:`      |
| argilla      | object under `fields`, beside `responses`  | the turns, with what annotators submitted       |
| alpaca       | `instruction`, `output`                    | instruction and input as one user turn, answer  |
| input_output | `input`, `output`                          | a user turn and the answer                      |
| completion   | `prompt`, `completion`, no other texts     | a user turn or the turns, and the answer        |
| feedback     | `interaction_id`, a signal, and no text    | one row of `feedback` per kind of signal        |

Every format may also carry the fields of `field_names`, at its top or under `metadata`.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ft_assets.ingest.argilla import argilla_signals, argilla_turns, is_argilla
from ft_assets.ingest.field_names import FEEDBACK_NAMES
from ft_assets.ingest.turns import Turn, is_transcript, read_sharegpt, read_transcript, read_turns
from ft_assets.ingest.typed_values import Unreadable, plain_name, text
from ft_assets.records import Role


class Draft(NamedTuple):
    """What a format's parser makes of a record, before the common fields are read."""

    turns: list[Turn]
    suffix: str = ""  # tells two interactions of one record apart
    fields: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Format:
    """A format: its name, the keys that only it has together, its parser, and the kind of source it comes from."""

    name: str
    keys: frozenset[str]
    parse: Callable[[Mapping[str, object]], list[Draft]]
    source_kind: str = "interaction"
    fits: Callable[[Mapping[str, object]], bool] | None = None  # what must stand under the keys
    also_reads: frozenset[str] = field(default_factory=frozenset)
    outranks: frozenset[str] = field(default_factory=frozenset)  # formats whose keys this one carries beside its own


def candidates(keys: Collection[str]) -> list[Format]:
    """The formats whose keys are all among these. Feedback only where no key could hold an interaction's text."""
    present = set(keys)
    is_feedback = bool(SIGNAL_KEYS & present) and not TEXT_KEYS & present
    return [shape for shape in FORMATS if shape.keys <= present and (shape.name != "feedback" or is_feedback)]


def told_by_keys(possible: Collection[Format]) -> Format | None:
    """The format of every record with these possible formats, where no value needs to be looked at; or None."""
    if any(shape.fits for shape in possible):
        return None
    fitting = _fitting({}, possible)
    return fitting[0] if len(fitting) == 1 else None


def recognise(record: Mapping[str, object], possible: Collection[Format]) -> Format:
    """The one format that the record has, out of those that its keys allow.

    Raises:
        Unreadable: no format fits (`unknown_format`), or more than one does (`ambiguous_format`).
    """
    fitting = _fitting(record, possible)
    if len(fitting) > 1 and None in record.values():  # a table has all columns in every row
        filled = {key: value for key, value in record.items() if value is not None}
        fitting = _fitting(filled, candidates(filled)) or fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = " and ".join(shape.name for shape in fitting)
        raise Unreadable("ambiguous_format", f"the record fits {names}; keep the keys of one of them")
    keys = [plain_name(key) for key in list(record)[:8]]
    known = "; ".join(f"{shape.name} ({', '.join(sorted(shape.keys))})" for shape in FORMATS)
    what = f"keys {', '.join(keys)}" if keys else "no keys"
    raise Unreadable("unknown_format", f"the record has {what}; known: {known}; examples (a list under examples)")


def _fitting(record: Mapping[str, object], possible: Collection[Format]) -> list[Format]:
    fitting = [shape for shape in possible if shape.fits is None or shape.fits(record)]
    outranked = {name for shape in fitting for name in shape.outranks}
    return [shape for shape in fitting if shape.name not in outranked]


# ---- the formats -----------------------------------------------------------------------------------------------------
def _question_and_answer(record: Mapping[str, object], question: str, answer: str) -> list[Draft]:
    turns: list[Turn] = [("user", text(question, record[question]), None)]
    return [Draft([*turns, ("assistant", text(answer, record[answer]), None)])]


def _native(record: Mapping[str, object]) -> list[Draft]:
    return _question_and_answer(record, "input_text", "output_text")


def _input_output(record: Mapping[str, object]) -> list[Draft]:
    return _question_and_answer(record, "input", "output")


def _alpaca(record: Mapping[str, object]) -> list[Draft]:
    instruction, more = text("instruction", record["instruction"]), text("input", record.get("input") or "")
    question = f"{instruction}\n\n{more}" if more.strip() else instruction
    return [Draft([("user", question, None), ("assistant", text("output", record["output"]), None)])]


def _messages(record: Mapping[str, object]) -> list[Draft]:
    return [Draft(read_turns("messages", record["messages"]))]


def _conversation(record: Mapping[str, object]) -> list[Draft]:
    return [Draft(read_turns("conversation", record["conversation"]))]


def _sharegpt(record: Mapping[str, object]) -> list[Draft]:
    turns = read_sharegpt("conversations", record["conversations"])
    system = record.get("system")  # some dumps keep it beside the turns
    if isinstance(system, str) and system.strip() and turns[0][0] != "system":
        turns.insert(0, ("system", text("system", system), None))
    return [Draft(turns)]


def _completion(record: Mapping[str, object]) -> list[Draft]:
    return [Draft(_prompt_turns(record["prompt"]) + _as_turns("completion", record["completion"], "assistant"))]


def _preference(record: Mapping[str, object]) -> list[Draft]:
    prompt = _prompt_turns(record["prompt"])
    sides = {}
    for side in ("chosen", "rejected"):
        answer = _as_turns(side, record[side], "assistant")
        # some sources repeat the prompt in both
        sides[side] = answer if answer[0][0] != "assistant" else prompt + answer
    return _two_sides(sides)


def _comparison(record: Mapping[str, object]) -> list[Draft]:
    read = {True: read_turns, False: read_transcript}
    return _two_sides(
        {side: read[isinstance(record[side], list)](side, record[side]) for side in ("chosen", "rejected")}
    )


def _two_sides(sides: Mapping[str, list[Turn]]) -> list[Draft]:
    """The chosen and the rejected answer as two interactions without a score: a comparison is no rating."""
    return [Draft(turns, f":{side}", {"outcome": json.dumps({"preference": side})}) for side, turns in sides.items()]


def _prompt_turns(prompt: object) -> list[Turn]:
    """A prompt's turns; a transcript that ends where the assistant is to go on is one, too."""
    if is_transcript(prompt) and isinstance(prompt, str) and prompt.rstrip().endswith("\n\nAssistant:"):
        return read_transcript("prompt", prompt)
    return _as_turns("prompt", prompt, "user")


def _as_turns(name: str, value: object, role: Role) -> list[Turn]:
    return read_turns(name, value) if isinstance(value, list) else [(role, text(name, value), None)]


def _transcript(record: Mapping[str, object]) -> list[Draft]:
    key = "transcript" if record.get("transcript") is not None else "text"
    return [Draft(read_transcript(key, record.get(key)))]


def _argilla(record: Mapping[str, object]) -> list[Draft]:
    fields = record["fields"]
    assert isinstance(fields, Mapping)  # is_argilla
    return [Draft(argilla_turns(fields), fields=argilla_signals(record))]


def _feedback(record: Mapping[str, object]) -> list[Draft]:
    raise NotImplementedError("feedback has no turns; feedback.read_feedback reads it")


def _is_comparison(record: Mapping[str, object]) -> bool:
    """Without a prompt of its own, so that both sides must hold it."""
    return record.get("prompt") is None


def _has_turns_alone(record: Mapping[str, object]) -> bool:
    return isinstance(record["conversation"], list) and _has_no_other_texts(record)


def _is_unjudged_completion(record: Mapping[str, object]) -> bool:
    """Not with a `label` that may call the answer a bad one: as an example it would count as good."""
    return record.get("label") is None and _has_no_other_texts(record)


def _has_no_other_texts(record: Mapping[str, object]) -> bool:
    """Other formats may carry a prompt, a completion or a conversation beside what they are read from."""
    return all(record.get(key) is None for key in _OTHER_TEXTS)


def _format(name: str, keys: str, parse: Callable[[Mapping[str, object]], list[Draft]], **more: Any) -> Format:
    return Format(name, frozenset(keys.split()), parse, **more)


FORMATS = (
    _format("native", "input_text output_text", _native),
    _format("messages", "messages", _messages),
    _format("messages", "conversation", _conversation, fits=_has_turns_alone, outranks=frozenset({"feedback"})),
    _format("sharegpt", "conversations", _sharegpt, also_reads=frozenset({"system"})),
    _format(  # some sources repeat the chosen conversation under messages
        "preference",
        "prompt chosen rejected",
        _preference,
        source_kind="preference",
        outranks=frozenset({"messages", "comparison"}),
    ),
    _format(
        "comparison",
        "chosen rejected",
        _comparison,
        source_kind="preference",
        fits=_is_comparison,
        outranks=frozenset({"messages"}),
    ),
    _format("transcript", "transcript", _transcript),
    _format("transcript", "text", _transcript, fits=lambda record: is_transcript(record["text"])),
    _format(
        "argilla", "fields", _argilla, fits=is_argilla, also_reads=frozenset({"responses"}), source_kind="interaction"
    ),
    _format(
        "alpaca",
        "instruction output",
        _alpaca,
        source_kind="example",
        also_reads=frozenset({"input"}),
        outranks=frozenset({"input_output"}),
    ),
    _format("input_output", "input output", _input_output, source_kind="example"),
    _format("completion", "prompt completion", _completion, source_kind="example", fits=_is_unjudged_completion),
    _format("feedback", "interaction_id", _feedback),
)
_MAY_NAME_A_TEXT = {"conversation", "completion"}  # and may stand in feedback: what they hold decides
TEXT_KEYS = (
    frozenset(key for shape in FORMATS if shape.name != "feedback" for key in shape.keys) | {"examples"}
) - _MAY_NAME_A_TEXT
_OTHER_TEXTS = TEXT_KEYS - {"prompt", "text"}
SIGNAL_KEYS = frozenset(name for names in FEEDBACK_NAMES.values() for name in names)
