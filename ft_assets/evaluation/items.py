"""One question of an evaluation, and everything its answer may be checked against."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ft_assets.records import Expected, Message
from ft_assets.system_prompts import SystemPrompt, prompt_of
from ft_assets.tool_calls import as_text, calls_in

__all__ = ["EvalItem", "Expected", "digest", "prompt_digest", "suite_digest"]


NO_CHECKS = Expected()


@dataclass(frozen=True)
class EvalItem:
    """One question of an eval suite. The last message is the reference answer, those before it are the prompt.

    `role` and `reasoning_mode` choose its system prompt; `difficulty`, with them, is what results are sliced by.
    """

    row_id: str
    cluster_id: str
    task_type: str
    slice: str
    messages: tuple[Message, ...]
    role: str | None = None
    reasoning_mode: str | None = None
    difficulty: str | None = None
    expected: Expected = NO_CHECKS

    @property
    def reference(self) -> str:
        """The answer that counts as right; its tool calls as a model that was trained on them writes them."""
        answer = self.messages[-1]
        return "\n".join(filter(None, (answer.content, as_text(calls_in(answer.tool_calls)))))


def prompt_digest(item: EvalItem, system_prompt: SystemPrompt) -> str:
    """The identity of what a model is given for one item: its conversation with the reference, and its system prompt.

    Not its id, cluster, slice or checks: they change nothing about the answer.
    """
    messages = [message.model_dump() for message in item.messages]
    return digest({"messages": messages, "system_prompt": prompt_of(system_prompt, item) or ""})


def suite_digest(items: Sequence[EvalItem], system_prompt: SystemPrompt) -> str:
    """The identity of a suite, whatever the order of its items: every field of them, and the system prompts."""
    rows = sorted((asdict(item) for item in items), key=lambda row: str(row["row_id"]))
    for row in rows:
        row["messages"] = [message.model_dump() for message in row["messages"]]
    return digest({"items": rows, "system_prompt": system_prompt or ""})


def digest(value: object) -> str:
    """SHA-256 of a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
