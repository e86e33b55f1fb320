"""Readers of single values: each takes what the record holds and gives a typed value, or says by name what is wrong.

Types are taken at their word: "4" is text, not a rating, and a rating of 9 belongs to another scale. Both are rejected
with the field's name, because a wrong guess here would silently let bad answers into training.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from ft_assets.ingest.field_names import CANONICAL
from ft_assets.records import canonical_reasoning_mode, canonical_role

to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode  # made once: making it costs as much as using it
Score = tuple[str, float]  # a judge's criterion and its score, 0..1

MAX_DEPTH = 64  # the deepest known format needs 8; deeper would exhaust the stack further down
_LARGEST_INTEGER = 2**63 - 1
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,39}")
LONGEST_NAME = 256
_NUMBERS = (int, float)  # made once: a union would be made anew for each value
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


def plain_name(key: object) -> str:
    """A key that is a name, as it is; anything else could be text of the record."""
    return key if isinstance(key, str) and _PLAIN_NAME.fullmatch(key) else "(not a plain name)"


def bad(field: str, value: object, wanted: str) -> Unreadable:
    """The rejection of a field: the rule by its name here, the reason by its name in the record."""
    return Unreadable(f"bad_{CANONICAL.get(field, field)}", f"{field} is {found(value)}; wanted: {wanted}")


def text(field: str, value: object) -> str:
    """The text as it is. Half a surrogate pair (an emoji cut in two) cannot be stored and is rejected."""
    if not isinstance(value, str):
        raise bad(field, value, "text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            place = f"{field} holds half a surrogate pair at character {error.start + 1}"
            raise Unreadable("lone_surrogate", f"{place}: an emoji that a log cut in two") from None
    return value


def short_text(field: str, value: object) -> str | None:
    """A name or a label without the blanks around it; blank is None. A whole number is its digits."""
    if type(value) is int and abs(value) <= _LARGEST_INTEGER:
        return str(value)
    name = text(field, value).strip()
    if len(name) > LONGEST_NAME:  # a prompt under the key `task`, for example
        raise bad(field, value, f"a name of at most {LONGEST_NAME} characters")
    return name or None


def long_text(field: str, value: object) -> str | None:
    """Text as it is; blank is None."""
    whole = text(field, value)
    return whole if whole.strip() else None


def role(field: str, value: object) -> str | None:
    """The engineering role in its one spelling."""
    return _one_spelling(short_text(field, value))


_one_spelling = lru_cache(maxsize=256)(canonical_role)  # the same few names in every record of a day


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
            if moment.tzinfo is UTC:
                return moment
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if isinstance(value, _NUMBERS) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS_FROM else value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise bad(field, value, wanted)


@dataclass(frozen=True)
class Number:
    """A reader of finite numbers between `low` and `high`, both allowed."""

    low: float
    high: float

    def __call__(self, field: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, _NUMBERS) or not self.low <= value <= self.high:
            raise bad(field, value, f"a number from {self.low:g} to {self.high:g}")
        return float(value)


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


def judge(criterion: str) -> Callable[[str, object], list[Score]]:
    """A reader of judge scores, each 0..1: one number (named `criterion`), {criterion: score}, or a list of both."""
    score = Number(0, 1)

    def read(field: str, value: object) -> list[Score]:
        if type(value) is float:
            return [(criterion, score(field, value))]
        if isinstance(value, Mapping):
            named = list(value.items())
        elif isinstance(value, list):
            named = [_criterion(field, item) for item in value]
        else:
            named = [(criterion, value)]
        return [(text(field, name), score(field, each)) for name, each in named if each is not None]

    return read


def _criterion(field: str, item: object) -> tuple[object, object]:
    if not isinstance(item, Mapping) or not {"criterion", "score"} <= item.keys():
        raise bad(field, item, "a number, {criterion: score}, or a list of {criterion, score}")
    return item["criterion"], item["score"]


def json_text(field: str, value: object) -> str:
    """The value as JSON text. Text that already is a JSON object or list stays as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return text(field, value)
    try:
        return text(field, to_json(value))
    except (ValueError, TypeError, RecursionError):
        raise bad(field, value, "JSON without NaN or Infinity") from None


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
