"""System prompts by role and reasoning mode: how a specialization writes them, and which one a row gets.

Training and evaluation ask `prompt_of`. A row's own system turn wins over all of them (Chat sees to that).
"""

from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from ft_assets.records import ReasoningMode, canonical_reasoning_mode, canonical_role

# What is recorded and passed on, plain JSON: none, one text for all rows, or what `SystemPrompts.as_written` gives.
SystemPrompt = str | Mapping[str, Any] | None
FORM = "a text, or keys out of default, by_role and by_reasoning_mode"
EMPTY = "is empty; write null for rows that shall have no system prompt"


class SystemPrompts(BaseModel):
    """The key `system_prompt` of a specialization: one text for all rows, or texts by role and reasoning mode.

    A role's entry is a text, or texts by reasoning mode with a `default`. The most particular one counts: the role's
    for that mode, the role's own, the mode's, the default. null says that such rows have none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    default: str | None = None
    by_role: dict[str, str | dict[str, str | None] | None] = {}
    by_reasoning_mode: dict[str, str | None] = {}

    @model_validator(mode="before")
    @classmethod
    def _one_text_for_all(cls, given: object) -> object:
        if given is None or isinstance(given, str):
            return {"default": given}
        if not isinstance(given, dict | SystemPrompts):
            raise ValueError(f"found {type(given).__name__}, allowed: {FORM}")
        return given

    @field_validator("by_role", mode="before")
    @classmethod
    def _roles(cls, given: object) -> object:
        if not isinstance(given, dict):
            raise ValueError(f"found {type(given).__name__}, allowed: a text for each role")
        named = {str(role): _role_entry(str(role), entry) for role, entry in given.items()}
        return _renamed(named, lambda role: canonical_role(role) or role)

    @field_validator("by_reasoning_mode", mode="before")
    @classmethod
    def _modes(cls, given: object) -> object:
        return _modes_of(given, also=())

    @model_validator(mode="after")
    def _no_empty_text(self) -> Self:
        if self.default is not None and not self.default.strip():
            raise ValueError(f"the text for all rows {EMPTY}")
        return self

    def as_written(self) -> SystemPrompt:
        """Plain data for digests and records: None, a text where there is one for all rows, else the whole mapping."""
        if not self.by_role and not self.by_reasoning_mode:
            return self.default
        return self.model_dump(mode="json")


def prompt_of(system_prompt: SystemPrompt, row: object) -> str | None:
    """The system prompt of one row, by its `role` and `reasoning_mode`; a row that names neither gets the default."""
    if system_prompt is None or isinstance(system_prompt, str):
        return system_prompt
    role = canonical_role(getattr(row, "role", None))
    mode = canonical_reasoning_mode(getattr(row, "reasoning_mode", None))
    by_role, by_mode = system_prompt.get("by_role", {}), system_prompt.get("by_reasoning_mode", {})
    general: str | None = by_mode.get(mode, system_prompt.get("default"))
    if role not in by_role:
        return general
    own = by_role[role]
    found: str | None = own.get(mode, own.get("default", general)) if isinstance(own, Mapping) else own
    return found


def _role_entry(role: str, entry: object) -> object:
    if isinstance(entry, dict):
        return _modes_of(entry, also=("default",), where=f"{role}: ")
    return _text(entry, role)


def _modes_of(given: object, also: tuple[str, ...], where: str = "") -> dict[str, object]:
    known = (*get_args(ReasoningMode), *also)
    if not isinstance(given, dict):
        raise ValueError(f"{where}found {type(given).__name__}, allowed: texts for some of {', '.join(known)}")
    named = _renamed(given, lambda mode: mode if mode in also else canonical_reasoning_mode(mode), where)
    if unknown := [mode for mode in named if mode not in known]:
        raise ValueError(f"{where}found {unknown[0]!r}, allowed: {', '.join(known)}")
    return {mode: _text(text, f"{where}{mode}") for mode, text in named.items()}


def _text(value: object, where: str) -> object:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{where}: found {type(value).__name__}, allowed: a text or null")
    if value is not None and not value.strip():
        raise ValueError(f"{where} {EMPTY}")
    return value


def _renamed(given: Mapping[Any, Any], canonical: Any, where: str = "") -> dict[str, Any]:
    """The same under canonical names; two spellings of one name would hide one of their texts."""
    named: dict[str, Any] = {}
    for name, value in given.items():
        if (known := canonical(str(name))) in named:
            raise ValueError(f"{where}{name!r} is another name of {known!r}, which has a text already; keep one")
        named[known] = value
    return named
