"""What a judge's reply is worth: five grades, or the name of what is wrong with it. Nothing in it is trusted."""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ft_assets.judge_prompt import CRITERIA, HIGHEST, LOWEST

MOST_TOKENS = 10_000_000  # of one reply; an endpoint that claims more counts wrong
_THINKING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*?)\n?```\s*\Z", re.DOTALL | re.IGNORECASE)


class Reading(NamedTuple):
    """Scores from 0 to 1 by criterion, or the failure; and the tokens that the endpoint counted, None without."""

    scores: dict[str, float] | None
    failure: str | None
    tokens: tuple[int, int] | None


class NoGrades(Exception):
    """There are no five grades in a reply; the argument is the kind of failure. Never leaves `read_reply`."""


def read_reply(body: bytes, scores_in: Callable[[str], dict[str, float]] | None = None) -> Reading:
    """The grades in the body of a chat completion: each x from 1 to 5 becomes (x - 1) / 4, so 0, 0.25, 0.5, 0.75 or 1.

    `scores_in` reads the judge's words where it was asked for something else than the five grades. Failures: not_json,
    error_body, no_answer, refusal, content_filter, cut_off, not_json_answer, ambiguous, missing_criteria, not_a_grade
    (text, null, a fraction), out_of_range.
    """
    import orjson

    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Reading(None, "not_json", None)
    tokens = _tokens(reply)
    try:
        return Reading((scores_in or _grades_in)(_answer_text(reply)), None, tokens)
    except NoGrades as why:
        return Reading(None, str(why), tokens)


def _answer_text(reply: Any) -> str:
    if not isinstance(reply, dict):
        raise NoGrades("no_answer")
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise NoGrades("error_body" if reply.get("error") else "no_answer")
    message, finished = choices[0].get("message"), choices[0].get("finish_reason")
    if not isinstance(message, dict):
        raise NoGrades("no_answer")
    if message.get("refusal"):
        raise NoGrades("refusal")
    if finished in ("length", "content_filter"):
        raise NoGrades("cut_off" if finished == "length" else "content_filter")
    content = message.get("content")
    if not isinstance(content, str) or not content.strip():
        raise NoGrades("no_answer")
    return content


def _grades_in(text: str) -> dict[str, float]:
    """The grades in the judge's own words."""
    grades = only_object_in(text)
    if not grades.keys() >= set(CRITERIA):
        raise NoGrades("missing_criteria")
    return {name: (_grade(grades[name]) - LOWEST) / (HIGHEST - LOWEST) for name in CRITERIA}


def only_object_in(text: str) -> dict[str, Any]:
    """The JSON object that a judge answered. It must be all it says: an object amid prose may be a quotation.

    Raises:
        NoGrades: not_json_answer, or ambiguous where a name stands twice in it.
    """
    text = _THINKING.sub("", text).strip()
    if fenced := _FENCE.match(text):
        text = fenced[1]
    try:
        found = json.loads(text, object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError):
        raise NoGrades("not_json_answer") from None
    if not isinstance(found, dict):
        raise NoGrades("not_json_answer")
    return found


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise NoGrades("ambiguous")
    return dict(pairs)


def _grade(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value % 1:
        raise NoGrades("not_a_grade")
    if not LOWEST <= value <= HIGHEST:
        raise NoGrades("out_of_range")
    return int(value)


def _tokens(reply: Any) -> tuple[int, int] | None:
    """Prompt and completion tokens as the endpoint counted them; None when it counts none, or nonsense."""
    usage = reply.get("usage") if isinstance(reply, dict) else None
    if not isinstance(usage, dict):
        return None
    prompt, completion = (_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    return (prompt, completion) if prompt and completion is not None else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= MOST_TOKENS else None
