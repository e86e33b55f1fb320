"""Questions as the chat completions API takes them, and its replies as answers."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ft_assets.errors import BadInput
from ft_assets.evaluation.asking.backend import Question
from ft_assets.records import Message
from ft_assets.tool_calls import as_text, calls_in


class Said(NamedTuple):
    """The text of a reply, its length in the endpoint's tokens, and whether it was stopped at the most allowed."""

    answer: str
    n_tokens: int
    cut_off: bool


def messages_of(question: Question) -> list[dict[str, Any]]:
    """The prompt as the API takes it: the system prompt where the row has no system turn of its own, then its turns.

    Raises:
        BadInput: a tool call of the prompt is no JSON.
    """
    turns: list[Message] = list(question.item.messages[:-1])
    messages: list[dict[str, Any]] = []
    if question.system_prompt and turns[0].role != "system":
        messages.append({"role": "system", "content": question.system_prompt})
    unanswered: list[str] = []
    number = 0
    for turn in turns:
        message: dict[str, Any] = {"role": turn.role, "content": turn.content}
        if calls := calls_in(turn.tool_calls):
            ids = [f"call{number + i:05d}" for i in range(1, len(calls) + 1)]
            number += len(calls)
            unanswered += ids
            message["tool_calls"] = [_call(one, call) for one, call in zip(ids, calls, strict=True)]
        elif turn.role == "tool" and unanswered:
            message["tool_call_id"] = unanswered.pop(0)
        messages.append(message)
    return messages


def read_completion(body: Mapping[str, Any]) -> Said | str:
    """What a chat completion says, tool calls written as a reference's are; or what is wrong with it."""
    choices, usage = body.get("choices"), body.get("usage")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    if not isinstance(message, dict):
        return "the reply is torn or no chat completion"
    content = message.get("content")
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if content is not None and not isinstance(content, str):
        return "the content of the reply is no text"
    if not isinstance(tokens, int):
        return "the reply does not count its tokens (usage.completion_tokens)"
    try:
        calls = calls_in(json.dumps(message["tool_calls"])) if message.get("tool_calls") else []
    except BadInput:
        return "the tool calls of the reply cannot be read"
    answer = "\n".join(filter(None, (content, as_text(calls))))
    return Said(answer, tokens, choice.get("finish_reason") == "length")


def _call(call_id: str, call: dict[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(call["arguments"], ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": call["name"], "arguments": arguments}}
