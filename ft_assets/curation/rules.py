"""What an example must be to be kept, and what it takes to count as a good one.

A structure rule is a function that gives a reason or None; its name is the rule's name in `rejections`. Adding one is
the function and a line in STRUCTURE_RULES.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field

from ft_assets.records import Message

# Tasks whose right answer is short by nature: a label, a number, a name, a call, a line of code.
CLOSED_ANSWER_TASKS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(
        (
            "classification",
            "question_answering",
            "qa",
            "multiple_choice",
            "extraction",  # as long as what there is to extract
            "translation",  # as long as what there is to translate
            "math",
            "tool_call",
            "tool_calling",
            "function_calling",
            "api_call",
            "code",
            "code_generation",
            "code_completion",
            "commit_message",
        ),
        1,
    )
)


class CurationRules(BaseModel):
    """The thresholds of SPEC 13. Every signal that is present must pass, and at least one must be present."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    min_rating: float = Field(default=4.0, ge=1, le=5, description="Lowest passing rating, on its own scale 1-5.")
    min_judge_mean: float = Field(
        default=0.8, ge=0, le=1, description="The judge's mean must be above this, on its scale 0-1."
    )
    min_answer_chars: int = Field(default=50, ge=1, description="Shortest answer in free text, in characters.")
    min_answer_chars_by_task: Mapping[str, int] = Field(
        default_factory=lambda: dict(CLOSED_ANSWER_TASKS),
        description="Shortest answer of the tasks that differ from free text, in characters.",
    )

    def shortest_answer_chars(self, task_type: str | None) -> int:
        """The least characters of an answer to this task. No task, or one not listed, is free text."""
        return self.min_answer_chars_by_task.get(task_type or "", self.min_answer_chars)


@dataclass(frozen=True)
class Candidate:
    """An example under test: masked, normalised turns and the task."""

    messages: tuple[Message, ...]
    task_type: str | None


def ends_without_answer(example: Candidate, rules: CurationRules) -> str | None:
    """The last turn must be the assistant's, or there is nothing to learn from."""
    last = example.messages[-1].role
    return None if last == "assistant" else f"the last turn is the {last}'s, so there is no answer to learn"


def empty_answer(example: Candidate, rules: CurationRules) -> str | None:
    """The answer must hold text or call a tool."""
    answer = example.messages[-1]
    return None if answer.content.strip() or answer.tool_calls else "the answer is empty"


def no_user_turn(example: Candidate, rules: CurationRules) -> str | None:
    """Somebody must have asked."""
    return None if any(turn.role == "user" for turn in example.messages) else "there is no user turn"


def empty_turn(example: Candidate, rules: CurationRules) -> str | None:
    """Every turn before the answer must say something; a tool may return nothing."""
    for number, turn in enumerate(example.messages[:-1], start=1):
        if turn.role != "tool" and not turn.content.strip() and not turn.tool_calls:
            return f"turn {number} of {len(example.messages)}, the {turn.role}'s, is empty"
    return None


# What may follow what. Chat templates raise on, or garble, anything else.
_MAY_FOLLOW = {
    None: ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user",),
    "assistant with tool calls": ("tool", "user"),  # a logged call is often answered outside of the log
    "tool": ("tool", "assistant"),
}


def turns_out_of_order(example: Candidate, rules: CurationRules) -> str | None:
    """At most one system turn and it is first; user and assistant take turns; tools answer the assistant's calls."""
    before = None
    for number, turn in enumerate(example.messages, start=1):
        if turn.role not in _MAY_FOLLOW[before]:
            return f"turn {number} of {len(example.messages)} is the {turn.role}'s after {before or 'nothing'}"
        before = "assistant with tool calls" if turn.role == "assistant" and turn.tool_calls else turn.role
    return None


def answer_too_short(example: Candidate, rules: CurationRules) -> str | None:
    """The answer needs the least characters of its task; a tool call is never too short."""
    answer = example.messages[-1]
    length, needed = len(answer.content.strip()), rules.shortest_answer_chars(example.task_type)
    if answer.tool_calls or length >= needed:
        return None
    hint = "" if example.task_type else "; a record without a task_type counts as free text, so name its task"
    return f"the answer has {length} characters and its task needs {needed}{hint}"


StructureRule = Callable[[Candidate, CurationRules], str | None]
STRUCTURE_RULES: tuple[StructureRule, ...] = (
    ends_without_answer,
    empty_answer,
    no_user_turn,
    empty_turn,
    turns_out_of_order,
    answer_too_short,
)


def first_broken_rule(example: Candidate, rules: CurationRules) -> tuple[str, str] | None:
    """The name of the first rule that the example breaks and the reason; None when it keeps all of them."""
    for rule in STRUCTURE_RULES:
        reason = rule(example, rules)
        if reason:
            return rule.__name__, reason
    return None
