"""Argilla records: the texts that annotators saw under `fields`, their answers under `responses`.

Two layouts of `responses` are in use: a list with one entry per annotator, {values: {question: {value}}, status,
user_id}, and a mapping with one entry per question, {question: [{value, user_id}]}. What a model proposed, under
`suggestions`, is nobody's judgement and is not read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ft_assets.ingest.turns import Turn, read_turns
from ft_assets.ingest.typed_values import Number, Unreadable, bad, long_text, plain_name, text, verdict

QUESTION_FIELDS = ("instruction", "prompt", "question", "input_text", "user_message", "query")
ANSWER_FIELDS = ("response", "output", "answer", "completion", "output_text", "generation")
TURN_FIELDS = ("messages", "conversation", "chat")
_RATING = re.compile(r"(?:.*[_\- ])?(?:rating|stars)|(?:(?:overall|response|answer)[_\- ])?quality")
_CORRECTION = re.compile(r"(?:.*[_\- ])?(?:correction|corrected(?:[_\- ](?:output|response|answer|completion|text))?)")
_VERDICT = re.compile(r"(?:.*[_\- ])?verdict")
_NOT_SUBMITTED = ("draft", "discarded", "pending", "missing")


def is_argilla(record: Mapping[str, object]) -> bool:
    """True for a record with an object under `fields` and with responses or suggestions."""
    return isinstance(record.get("fields"), Mapping) and ("responses" in record or "suggestions" in record)


def argilla_turns(fields: Mapping[str, object]) -> list[Turn]:
    """The turns that annotators saw: a list of messages, or one question field and one answer field.

    Raises:
        Unreadable: `unknown_argilla_fields`, when question and answer cannot be told by their names.
    """
    named = {
        key.lower().replace("-", "_").replace(" ", "_"): value for key, value in fields.items() if value is not None
    }
    chats = [name for name in TURN_FIELDS if name in named]
    questions = [name for name in QUESTION_FIELDS if name in named]
    answers = [name for name in ANSWER_FIELDS if name in named]
    if len(chats) == 1 and not questions and not answers:
        return read_turns(f"fields.{chats[0]}", named[chats[0]])
    if not questions and "input" in named:
        questions = ["input"]
    if chats or len(questions) != 1 or len(answers) != 1:
        seen = ", ".join(plain_name(key) for key in list(fields)[:8]) or "nothing"
        wanted = f"one of {', '.join(QUESTION_FIELDS)} and one of {', '.join(ANSWER_FIELDS)}"
        raise Unreadable("unknown_argilla_fields", f"fields holds {seen}; wanted: {wanted}, or turns under messages")
    question = text(f"fields.{questions[0]}", named[questions[0]])
    if questions != ["input"] and "input" in named:  # instruction and input, as Alpaca has them
        more = text("fields.input", named["input"])
        question = f"{question}\n\n{more}" if more.strip() else question
    return [("user", question, None), ("assistant", text(f"fields.{answers[0]}", named[answers[0]]), None)]


def argilla_signals(record: Mapping[str, object]) -> dict[str, Any]:
    """rating (mean over annotators, 1..5), corrected_output and expert_verdict, as far as they were submitted.

    Raises:
        Unreadable: a rating on another scale, several rating questions, or annotators who contradict each other where
            no mean exists.
    """
    answers: dict[str, list[object]] = {}
    for question, value in _submitted(record.get("responses")):
        answers.setdefault(question, []).append(value)
    signals: dict[str, Any] = {}
    ratings = _question(answers, _RATING)
    if ratings:
        read = Number(1, 5)
        values = [read("rating", value) for value in answers[ratings]]
        signals["rating"] = sum(values) / len(values)
    for field, pattern, read_one in (
        ("corrected_output", _CORRECTION, long_text),
        ("expert_verdict", _VERDICT, verdict),
    ):
        name = _question(answers, pattern)
        given = {read_one(field, value) for value in answers[name]} - {None} if name else set()
        if len(given) > 1:
            raise Unreadable(f"bad_{field}", f"{len(given)} annotators give different answers for {field}; keep one")
        signals[field] = given.pop() if given else None
    context = record["fields"].get("context") if isinstance(record["fields"], Mapping) else None
    if context is not None:
        signals["context"] = long_text("fields.context", context)
    return {field: value for field, value in signals.items() if value is not None}


def _question(answers: Mapping[str, object], pattern: re.Pattern[str]) -> str | None:
    """The one question of this meaning; the shortest name where one contains the meaning alone ("rating")."""
    names = [name for name in answers if pattern.fullmatch(name.lower())]
    if len(names) <= 1:
        return names[0] if names else None
    exact = [name for name in names if name.lower() in ("rating", "correction", "verdict")]
    if len(exact) == 1:
        return exact[0]
    listed = ", ".join(plain_name(name) for name in names)
    raise Unreadable("ambiguous_argilla_questions", f"responses answers {listed}; which one counts cannot be told")


def _submitted(responses: object) -> Iterator[tuple[str, object]]:
    """Question and value of every answer that was submitted, in either layout."""
    if isinstance(responses, Mapping):
        for question, given in responses.items():
            for answer in given if isinstance(given, list) else []:
                if not isinstance(answer, Mapping) or "value" not in answer:
                    raise bad("responses", answer, "a list of {value, user_id} per question")
                if answer.get("status") not in _NOT_SUBMITTED and answer["value"] is not None:
                    yield str(question), answer["value"]
        return
    if responses is not None and not isinstance(responses, list):
        raise bad("responses", responses, "a list of {values, status}, or {question: [{value, user_id}]}")
    for response in responses or []:
        values = response.get("values") if isinstance(response, Mapping) else None
        if not isinstance(response, Mapping) or (values is not None and not isinstance(values, Mapping)):
            raise bad("responses", response, "{values: {question: {value}}, status, user_id}")
        if response.get("status") in _NOT_SUBMITTED:
            continue
        for question, answer in (values or {}).items():
            value = answer.get("value") if isinstance(answer, Mapping) else answer
            if value is not None:
                yield str(question), value
