"""What a candidate is asked, and who answers: the part `evaluation:` of a specialization."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator

from ft_assets.evaluation.metric_name import MetricName

FROZEN = ConfigDict(frozen=True, extra="forbid")
PROJECT_ROOT = "project_root"  # key of the validation context: what relative paths are relative to
IN_LAKE = "lake:"
SHA256 = r"^[0-9a-f]{64}$"


def _placed(place: object, info: ValidationInfo) -> object:
    """A path from the project's root, or a file of the lake's folder for golden sets as it was written."""
    if isinstance(place, Path) or not isinstance(place, str):
        return place
    if place.startswith(IN_LAKE):
        return _key_in_lake(place)
    root = (info.context or {}).get(PROJECT_ROOT)
    return Path(place).expanduser() if root is None else root / Path(place).expanduser()


def _key_in_lake(place: str) -> str:
    if not re.fullmatch(r"lake:golden/[A-Za-z0-9][A-Za-z0-9._-]*\.jsonl", place):
        raise ValueError(f"found {place!r}, allowed: a path, or lake:golden/<file>.jsonl for a file of the lake")
    return place


def _said_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(doubled)} named twice; name each once")
    return names


Place = Annotated[Path | str, BeforeValidator(_placed)]


def lake_key(place: Path | str | None) -> str | None:
    """The key under the lake's root, golden/<file>, of a place in the lake; None for a path."""
    return place.removeprefix(IN_LAKE) if isinstance(place, str) else None


class OwnSuite(BaseModel):
    """A file of one's own questions: JSONL with `messages` or `input` and `output`, and optional checks."""

    model_config = FROZEN
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=60)
    file: Place
    sha256: str | None = Field(
        default=None, pattern=SHA256, description="Freezes the file: another content is refused."
    )


class Endpoint(BaseModel):
    """An OpenAI-compatible server (vLLM, Ollama) that answers instead of this process."""

    model_config = FROZEN
    url: str = Field(pattern=r"^https?://", description="Up to and with /v1.")
    models: dict[Literal["candidate", "champion", "base"], str] = Field(description="Which served model is which side.")
    api_key_variable: str | None = Field(default=None, description="Environment variable that holds the key.")
    timeout_seconds: float = Field(default=120, gt=0)


class Evaluation(BaseModel):
    """What a candidate is asked. The metric that decides is `gate.primary_metric`."""

    model_config = FROZEN
    golden_set: Place | None = Field(
        default=None,
        description="JSONL file; a relative path starts at the project root, lake:golden/<file> is a file of the lake.",
    )
    golden_sha256: str | None = Field(
        default=None,
        pattern=SHA256,
        description="Freezes the golden set: another content is refused. Print it with sha256sum.",
    )
    max_new_tokens: int = Field(default=128, ge=1, le=8192, description="Longest answer that is generated.")
    metrics: Annotated[tuple[MetricName, ...], AfterValidator(_said_once)] = Field(
        default=(), description="Beside those that the tasks of a suite bring with them; see docs/evaluation.md."
    )
    suites: tuple[OwnSuite, ...] = Field(default=(), description="Files of one's own, reported each by its name.")
    general_ability: bool = Field(default=True, description="Ask the bundled suite, too: what was forgotten?")
    interference: bool = Field(default=True, description="Ask every other line's golden set, too.")
    retrieved_examples: int = Field(
        default=3, ge=0, le=32, description="Training examples in the base's prompt, for the side that only prompts."
    )
    endpoint: Endpoint | None = Field(default=None, description="Who answers; without it this process does.")

    @model_validator(mode="after")
    def _frozen_means_there_is_a_set(self) -> Self:
        if self.golden_sha256 and self.golden_set is None:
            raise ValueError("golden_sha256 is set and golden_set is not, so nothing is frozen. Name the golden_set")
        _said_once(tuple(suite.name for suite in self.suites))
        return self

    @property
    def golden_lake_key(self) -> str | None:
        """The key under the lake's root, golden/<file>, when the golden set is in the lake; None for a path."""
        return lake_key(self.golden_set)
