"""What an example must be to be kept, and what it takes to count as a good one.

A filter is a function that gives a reason or None; its name is the rule's name in `rejections`. A transformer changes
turns. A validator judges what a day became. Adding one is the function and a line in its registry.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from ft_assets.curation.faults import FAULTS
from ft_assets.curation.turns import Conversation, Turn
from ft_assets.errors import BadInput
from ft_assets.tasks import CLOSED_ANSWER_TASKS, FREE_TEXT_CHARACTERS

DUPLICATES = ("exact_duplicate",)
STRUCTURE_FILTERS = (
    "ends_without_answer",
    "empty_answer",
    "no_user_turn",
    "empty_turn",
    "turns_out_of_order",
    "answer_too_short",
)
DayCounts = Mapping[str, Any]  # rows, examples, rejected_by_rule: what curation made of one day
_THINKING = re.compile(r"<think>.*?</think>\s*", re.DOTALL)
_MANY_BLANK_LINES = re.compile(r"\n{3,}")


class CurationRules(BaseModel):
    """What every example must keep to. Every signal that is present must pass, and at least one must be present.

    Order: transformers change the masked turns, filters reject examples, validators stop a day as a whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    min_rating: float = Field(default=4.0, ge=1, le=5, description="Lowest passing rating, on its own scale 1-5.")
    min_judge_mean: float = Field(
        default=0.8, ge=0, le=1, description="The judge's mean must be above this, on its scale 0-1."
    )
    min_answer_chars: int = Field(
        default=FREE_TEXT_CHARACTERS, ge=1, description="Shortest answer in free text, in characters."
    )
    min_answer_chars_by_task: Mapping[str, int] = Field(
        default_factory=lambda: dict(CLOSED_ANSWER_TASKS),
        description="Shortest answer of the tasks that differ from free text, in characters.",
    )

    filters: tuple[str, ...] = Field(
        default=STRUCTURE_FILTERS, description="Filters in their order; the first that gives a reason rejects."
    )
    transformers: tuple[str, ...] = Field(
        default=(), description="Changes to the turns, in their order, after masking."
    )
    faults: tuple[str, ...] = Field(
        default=tuple(FAULTS), description="Faults that an answer may not have to count as a good one."
    )
    validators: Mapping[str, float] = Field(
        default_factory=dict, description="Validator to its limit; a day that fails one stops the run."
    )

    @field_validator("filters", "transformers", "faults", "validators")
    @classmethod
    def _only_known_names(cls, names: Any, info: ValidationInfo) -> Any:
        registries = {"filters": FILTERS, "transformers": TRANSFORMERS, "faults": FAULTS, "validators": VALIDATORS}
        known = registries[str(info.field_name)]
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"found {unknown}, allowed: {', '.join(known)}")
        return names

    def shortest_answer_chars(self, task_type: str | None) -> int:
        """The least characters of an answer to this task. No task, or one not listed, is free text."""
        return self.min_answer_chars_by_task.get(task_type or "", self.min_answer_chars)


class Candidate(NamedTuple):
    """An example under test: masked, normalised turns and the task."""

    conversation: Conversation
    task_type: str | None


def ends_without_answer(example: Candidate, rules: CurationRules) -> str | None:
    """The last turn must be the assistant's, or there is nothing to learn from."""
    roles = example.conversation.roles
    last = roles[-1] if roles else "nobody"
    return None if last == "assistant" else f"the last turn is the {last}'s, so there is no answer to learn"


def empty_answer(example: Candidate, rules: CurationRules) -> str | None:
    """The answer must hold text or call a tool."""
    _, contents, calls = example.conversation
    return None if calls[-1] or contents[-1].strip() else "the answer is empty"


def no_user_turn(example: Candidate, rules: CurationRules) -> str | None:
    """Somebody must have asked."""
    return None if "user" in example.conversation.roles else "there is no user turn"


def empty_turn(example: Candidate, rules: CurationRules) -> str | None:
    """Every turn before the answer must say something; a tool may return nothing."""
    roles, contents, calls = example.conversation
    for number, content in enumerate(contents[:-1]):
        if not content.strip() and roles[number] != "tool" and not calls[number]:
            return f"turn {number + 1} of {len(roles)}, the {roles[number]}'s, is empty"
    return None


# What may follow what. Chat templates raise on, or garble, anything else.
MAY_FOLLOW: Mapping[str | None, Sequence[str]] = {
    None: ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user",),
    "assistant with tool calls": ("tool", "user"),  # a logged call is often answered outside of the log
    "tool": ("tool", "assistant"),
}


def turns_out_of_order(example: Candidate, rules: CurationRules) -> str | None:
    """At most one system turn and it is first; user and assistant take turns; tools answer the assistant's calls."""
    roles, _, calls = example.conversation
    before: str | None = None
    for number, role in enumerate(roles):
        if role not in MAY_FOLLOW[before]:
            return f"turn {number + 1} of {len(roles)} is the {role}'s after {before or 'nothing'}"
        before = "assistant with tool calls" if calls[number] and role == "assistant" else role
    return None


def answer_too_short(example: Candidate, rules: CurationRules) -> str | None:
    """The answer needs the least characters of its task; a tool call is never too short."""
    _, contents, calls = example.conversation
    length, needed = len(contents[-1].strip()), rules.shortest_answer_chars(example.task_type)
    if length >= needed or calls[-1]:
        return None
    hint = "" if example.task_type else "; a record without a task_type counts as free text, so name its task"
    return f"the answer has {length} characters and its task needs {needed}{hint}"


Filter = Callable[[Candidate, CurationRules], str | None]
FILTERS: Mapping[str, Filter] = MappingProxyType(
    {
        rule.__name__: rule
        for rule in (
            ends_without_answer,
            empty_answer,
            no_user_turn,
            empty_turn,
            turns_out_of_order,
            answer_too_short,
        )
    }
)


def first_broken_rule(example: Candidate, rules: CurationRules) -> tuple[str, str] | None:
    """The name of the first filter that the example fails and the reason; None when it passes all of them."""
    for name in rules.filters:
        reason = FILTERS[name](example, rules)
        if reason:
            return name, reason
    return None


def without_thinking(turns: Sequence[Turn]) -> list[Turn]:
    """Cuts <think>...</think> out of the assistant's turns: what a reasoning model said to itself."""
    return [
        turn._replace(content=_THINKING.sub("", turn.content)) if turn.role == "assistant" else turn for turn in turns
    ]


def without_system_turns(turns: Sequence[Turn]) -> list[Turn]:
    """Leaves system turns out, where every line sets its own."""
    return [turn for turn in turns if turn.role != "system"]


def single_blank_lines(turns: Sequence[Turn]) -> list[Turn]:
    """Turns three and more line ends in a row into two."""
    return [turn._replace(content=_MANY_BLANK_LINES.sub("\n\n", turn.content)) for turn in turns]


Transformer = Callable[[Sequence[Turn]], list[Turn]]
TRANSFORMERS: Mapping[str, Transformer] = MappingProxyType(
    {rule.__name__: rule for rule in (without_thinking, without_system_turns, single_blank_lines)}
)


def most_rejected_share(day: DayCounts, limit: float) -> str | None:
    """At most this share of a day's answers may be rejected by filters; duplicates do not count."""
    rejected = sum(number for rule, number in day["rejected_by_rule"].items() if rule not in DUPLICATES)
    share = rejected / max(1, day["rows"])
    return f"{share:.0%} of its answers were rejected, more than {limit:.0%}" if share > limit else None


def most_duplicate_share(day: DayCounts, limit: float) -> str | None:
    """At most this share of a day's answers may be duplicates: above it, a log was probably written twice."""
    share = sum(day["rejected_by_rule"].get(rule, 0) for rule in DUPLICATES) / max(1, day["rows"])
    return f"{share:.0%} of its answers are duplicates, more than {limit:.0%}" if share > limit else None


def least_examples(day: DayCounts, limit: float) -> str | None:
    """A day with answers must give at least so many examples."""
    return f"it gives {day['examples']} examples, fewer than {limit:g}" if 0 < day["examples"] < limit else None


Validator = Callable[[DayCounts, float], str | None]
VALIDATORS: Mapping[str, Validator] = MappingProxyType(
    {rule.__name__: rule for rule in (most_rejected_share, most_duplicate_share, least_examples)}
)


def refuse_invalid(counts_by_day: Mapping[str, DayCounts], rules: CurationRules) -> None:
    """Nothing, when every day satisfies every validator of the rules.

    Raises:
        BadInput: some do not; names days, numbers and knobs. Nothing of these days was written.
    """
    messages = [
        f"{day}: {message} ({name})"
        for day, counts in counts_by_day.items()
        for name, limit in rules.validators.items()
        if (message := VALIDATORS[name](counts, limit))
    ]
    if messages:
        raise BadInput(
            f"{len(messages)} validators of the curation rules stopped the run, and nothing was written. "
            f"{'; '.join(messages[:5])}. Mend the landing files, or the limit in the file that "
            "FT_ASSETS_RULES names, and run again."
        )
