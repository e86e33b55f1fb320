"""The records every stage speaks: an interaction as it was logged, and the turns inside it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["system", "user", "assistant", "tool"]
ReasoningMode = Literal["standard", "chain_of_thought", "multi_step", "agent"]
Side = Literal["train", "validation", "eval"]
SIDES: tuple[Side, ...] = ("train", "validation", "eval")

# What sources call a role, and what it is called here (SPEC 13: canonical ids with an alias table).
ROLE_ALIASES = {
    "developer": "software-developer",
    "software-engineer": "software-developer",
    "system-architect": "software-architect",
    "architect": "software-architect",
    "qa": "qa-engineer",
    "quality-engineer": "qa-engineer",
    "test-engineer": "qa-engineer",
    "devops": "devops-engineer",
    "sre": "devops-engineer",
    "pm": "product-manager",
    "product-owner": "product-manager",
}

REASONING_ALIASES = {"direct": "standard", "cot": "chain_of_thought", "multistep": "multi_step", "tool_use": "agent"}


def canonical_role(name: str | None) -> str | None:
    """The one spelling of an engineering role: lower case, hyphens, aliases resolved. None stays None."""
    if not name:
        return None
    plain = "-".join(name.strip().lower().replace("_", " ").split())
    return ROLE_ALIASES.get(plain, plain)


def canonical_reasoning_mode(name: str | None) -> str:
    """The one spelling of a reasoning mode; absent means standard. An unknown name comes back as it was."""
    if not name:
        return "standard"
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    return REASONING_ALIASES.get(plain, plain)


class Message(BaseModel):
    """One turn. `tool_calls` is the JSON text of the calls as they were logged."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    role: Role
    content: str
    tool_calls: str | None = None


@dataclass(frozen=True)
class Expected:
    """What an answer is checked against beside its reference; a check that is None does not apply to the row."""

    tests: str | None = None  # Python that fails (assert, or a `check(candidate)` to call) unless the code is right
    entry_point: str | None = None  # the function that `check(candidate)` is called with
    code_prefix: str | None = None  # what stands before the answer when the answer is the body of a function
    labels: tuple[str, ...] | None = None  # the closed set that the answer is one of
    json_schema: str | None = None  # JSON Schema, as JSON text


class JudgeScore(BaseModel):
    """One criterion of a judge, between 0 and 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    criterion: str
    score: Annotated[float, Field(ge=0, le=1)]


class Interaction(BaseModel):
    """One logged answer with every signal that came with it. The last turn is the answer that was given."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    interaction_id: str
    day: str
    timestamp: datetime | None = None
    user_id: str | None = None
    conversation_id: str | None = None
    role: str | None = None
    task_type: str | None = None
    reasoning_mode: ReasoningMode = "standard"
    messages: Annotated[list[Message], Field(min_length=1)]
    context: str | None = None
    model_version: str | None = None
    rating: Annotated[float, Field(ge=1, le=5)] | None = None
    judge: list[JudgeScore] = []
    expert_verdict: Literal["accept", "reject"] | None = None
    corrected_output: str | None = None
    outcome: str | None = None
    latency_ms: Annotated[float, Field(ge=0)] | None = None
    prompt_tokens: Annotated[int, Field(ge=0)] | None = None
    completion_tokens: Annotated[int, Field(ge=0)] | None = None
    source: str
    source_kind: str = "interaction"
    source_file: str
    source_line: int
    domain: str | None = None
    difficulty: str | None = None
    tags: list[str] = []


class Feedback(BaseModel):
    """One signal about an interaction that arrived after it. `value` is text: "4.5", accept, the corrected answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    interaction_id: str
    day: str
    timestamp: datetime | None = None
    user_id: str | None = None
    kind: Literal["rating", "verdict", "correction", "outcome"]
    value: str
    source: str
    source_file: str
    source_line: int


class Rejection(BaseModel):
    """Why a record did not go on. Holds its place, never its text."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    stage: Literal["ingest", "curation"]
    day: str
    place: str
    rule: str
    reason: str
