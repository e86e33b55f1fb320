"""Readers of single fields: each takes what the record holds and gives a typed value, or says by name what is wrong.

Types are taken at their word: "4" is text, not a rating, and a rating of 9 belongs to another scale. Both are rejected
with the field's name, because a wrong guess here would silently let bad answers into training.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ft_assets.records import JudgeScore, canonical_reasoning_mode, canonical_role

MAX_DEPTH = 64  # the deepest known format needs 8; deeper would exhaust the stack further down
_LARGEST_INTEGER = 2**63 - 1
_LONGEST_NAME = 256
_MILLISECONDS_FROM = 1e11  # as seconds that is the year 5138, as milliseconds 1973
_VERDICTS = {"accept": "accept", "accepted": "accept", "approved": "accept", "reject": "reject", "rejected": "reject"}


class Unreadable(Exception):
    """A record cannot become an interaction. Holds the rule and a reason that quotes nothing of the record."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(f"{rule}: {reason}")
        self.rule = rule
        self.reason = reason


def found(value: object) -> str:
    """What a value is, without its text: "text of 12 characters", "a list of 3", "9.5"."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, int):
        return str(value) if abs(value) <= _LARGEST_INTEGER else "a number too large to store"
    if isinstance(value, str):
        return f"text of {len(value)} characters"
    return f"a list of {len(value)}" if isinstance(value, list) else "an object"


def bad(field: str, value: object, wanted: str) -> Unreadable:
    """The rejection of a field: the rule by its name here, the reason by its name in the record."""
    return Unreadable(f"bad_{_CANONICAL.get(field, field)}", f"{field} is {found(value)}; wanted: {wanted}")


def text(field: str, value: object) -> str:
    """The text as it is. Half a surrogate pair (an emoji cut in two) cannot be stored and is rejected."""
    if not isinstance(value, str):
        raise bad(field, value, "text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        reason = f"{field} holds half a surrogate pair at character {error.start + 1}: an emoji that a log cut in two"
        raise Unreadable("lone_surrogate", reason) from None
    return value


def short_text(field: str, value: object) -> str | None:
    """A name or a label without the blanks around it; blank is None. A whole number is its digits."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_INTEGER:
        return str(value)
    name = text(field, value).strip()
    if len(name) > _LONGEST_NAME:  # a prompt under the key `task`, for example
        raise bad(field, value, f"a name of at most {_LONGEST_NAME} characters")
    return name or None


def long_text(field: str, value: object) -> str | None:
    """Text as it is; blank is None."""
    return text(field, value) if text(field, value).strip() else None


def role(field: str, value: object) -> str | None:
    """The engineering role in its one spelling."""
    return canonical_role(short_text(field, value))


def task_type(field: str, value: object) -> str | None:
    """The task in lower case with underscores, so that "Tool Call" and "tool-call" are one task."""
    name = short_text(field, value)
    return name and "_".join(name.lower().replace("-", " ").split())


def reasoning_mode(field: str, value: object) -> str:
    """standard, chain_of_thought, multi_step or agent."""
    mode = canonical_reasoning_mode(short_text(field, value))
    if mode not in ("standard", "chain_of_thought", "multi_step", "agent"):
        raise bad(field, value, "standard, chain_of_thought, multi_step or agent")
    return mode


def timestamp(field: str, value: object) -> datetime:
    """The moment in UTC, from ISO 8601 text (no zone means UTC) or from seconds or milliseconds since 1970."""
    wanted = "ISO 8601 text, or seconds or milliseconds since 1970"
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value.strip())
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS_FROM else value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise bad(field, value, wanted)


def number(low: float, high: float) -> Callable[[str, object], float]:
    """A reader of finite numbers between `low` and `high`, both allowed."""

    def read(field: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise bad(field, value, f"a number from {low:g} to {high:g}")
        return float(value)

    return read


def count(field: str, value: object) -> int:
    """A whole number of tokens."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_INTEGER:
        raise bad(field, value, "a whole number from 0")
    return value


def verdict(field: str, value: object) -> str:
    """accept or reject."""
    known = _VERDICTS.get(value.strip().lower()) if isinstance(value, str) else None
    if known is None:
        raise bad(field, value, "accept or reject")
    return known


def tags(field: str, value: object) -> list[str]:
    """A list of texts."""
    if not isinstance(value, list):
        raise bad(field, value, "a list of texts")
    return [text(field, tag) for tag in value]


def judge(criterion: str) -> Callable[[str, object], list[JudgeScore]]:
    """A reader of judge scores, each 0..1: one number (named `criterion`), {criterion: score}, or a list of both."""
    score = number(0, 1)

    def read(field: str, value: object) -> list[JudgeScore]:
        if isinstance(value, Mapping):
            named = list(value.items())
        elif isinstance(value, list):
            named = [_criterion(field, item) for item in value]
        else:
            named = [(criterion, value)]
        return [
            JudgeScore(criterion=text(field, name), score=score(field, each))
            for name, each in named
            if each is not None
        ]

    return read


def _criterion(field: str, item: object) -> tuple[object, object]:
    if not isinstance(item, Mapping) or not {"criterion", "score"} <= item.keys():
        raise bad(field, item, "a number, {criterion: score}, or a list of {criterion, score}")
    return item["criterion"], item["score"]


def json_text(field: str, value: object) -> str:
    """The value as JSON text. Text that already is a JSON object or list stays as it is."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        return text(field, value)
    try:
        return text(field, json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        raise bad(field, value, "JSON without NaN or Infinity") from None


# Field of Interaction: the names it goes by, the preferred one first, and its reader. A new spelling is a new name.
FIELDS: dict[str, tuple[tuple[str, ...], Callable[[str, object], Any]]] = {
    "interaction_id": (("interaction_id", "id"), short_text),
    "timestamp": (("timestamp", "created_at"), timestamp),
    "user_id": (("user_id",), short_text),
    "conversation_id": (("conversation_id",), short_text),
    "role": (("role",), role),
    "task_type": (("task_type", "task"), task_type),
    "reasoning_mode": (("reasoning_mode",), reasoning_mode),
    "context": (("context",), long_text),
    "model_version": (("model_version", "model"), short_text),
    "rating": (("rating", "user_rating", "user_feedback"), number(1, 5)),
    "expert_verdict": (("expert_verdict",), verdict),
    "corrected_output": (("corrected_output",), long_text),
    "outcome": (("outcome",), json_text),
    "latency_ms": (("latency_ms",), number(0, 1e12)),
    "prompt_tokens": (("prompt_tokens",), count),
    "completion_tokens": (("completion_tokens",), count),
    "source": (("source",), short_text),
    "source_kind": (("source_kind",), short_text),
    "domain": (("domain",), short_text),
    "difficulty": (("difficulty",), short_text),
    "tags": (("tags",), tags),
}
# Judge scores add up instead: each name that is present is a criterion, or several, of its own.
JUDGE_FIELDS = {
    "judge": judge("overall"),
    "judge_score": judge("overall"),
    "judge_scores": judge("overall"),
    "quality_score": judge("quality_score"),
}
_CANONICAL = {name: field for field, (names, _) in FIELDS.items() for name in names} | dict.fromkeys(
    JUDGE_FIELDS, "judge"
)
FIELD_NAMES = frozenset(_CANONICAL)


def read_fields(record: Mapping[str, object]) -> dict[str, Any]:
    """The fields of an Interaction that a record holds, typed. Null and absent are the same. Judge scores add up.

    Raises:
        Unreadable: a field has the wrong type or another scale, or two names of the rating disagree.
    """
    fields: dict[str, Any] = {}
    for field, (names, read) in FIELDS.items():
        present = [name for name in names if record.get(name) is not None]
        values = [read(name, record[name]) for name in (present if field == "rating" else present[:1])]
        if len(set(values) if field == "rating" else values) > 1:
            raise Unreadable("bad_rating", f"{' and '.join(present)} disagree, so neither can be trusted")
        if values and values[0] is not None:
            fields[field] = values[0]
    scores = [read(name, record[name]) for name, read in JUDGE_FIELDS.items() if record.get(name) is not None]
    if scores:
        fields["judge"] = [score for group in scores for score in group]
    return fields


def check_depth(record: object) -> None:
    """Refuses values nested deeper than `MAX_DEPTH`, without recursion.

    Raises:
        Unreadable: `nested_too_deep`.
    """
    level, depth = [record], 0
    while level:
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        depth += 1
        if depth > MAX_DEPTH:
            raise Unreadable("nested_too_deep", f"the record is nested deeper than {MAX_DEPTH} levels")
