"""Tool calls as chat templates read them, from the JSON text that a message keeps of them."""

import json
from collections.abc import Mapping
from typing import Any

from ft_assets.errors import BadInput

ARGUMENTS = ("arguments", "input", "parameters")  # OpenAI's name for them, Anthropic's, and Llama's


def calls_in(text: str | None) -> list[dict[str, Any]]:
    """`{name, arguments}` of each call, arguments as an object; empty for no calls.

    Read are `[{"function": {"name", "arguments"}}]` as OpenAI logs it, with arguments as text or as an object, the
    same without `function`, and one call without the list around it.

    Raises:
        BadInput: it is not JSON, a call has no name, or its arguments are no object; mend the row or leave it out.
    """
    if not text:
        return []
    found = _json(text, "the tool calls of a message")
    calls = found if isinstance(found, list) else [found]
    return [_call(call, number) for number, call in enumerate(calls, start=1)]


def as_text(calls: list[dict[str, Any]]) -> str:
    """The calls for a template that knows none: each a line of JSON between <tool_call> and </tool_call>.

    The form of Hermes and Qwen, which servers read back into calls.
    """
    return "\n".join(f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>" for call in calls)


def _call(call: object, number: int) -> dict[str, Any]:
    inner = call.get("function", call) if isinstance(call, Mapping) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(name, str) or not name:
        raise BadInput(f"tool call {number} of a message names no function, so it cannot be learned. {_REMEDY}")
    arguments: Any = next((inner[key] for key in ARGUMENTS if inner.get(key)), {})
    if isinstance(arguments, str):
        arguments = _json(arguments, f"the arguments of tool call {number}")
    if not isinstance(arguments, dict):
        raise BadInput(
            f"the arguments of tool call {number} are {type(arguments).__name__}, not an object of names and values. "
            f"{_REMEDY}"
        )
    return {"name": name, "arguments": arguments}


_REMEDY = "Mend the row where it was logged, or leave it out in the specialization's rules."


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadInput(f"{what} are not JSON (at character {getattr(error, 'pos', 0)}). {_REMEDY}") from error
