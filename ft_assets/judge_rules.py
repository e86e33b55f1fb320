"""What an installation allows its judge: how much it may ask, how long it waits, and when a judge is believed."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

OURS = frozenset({"model", "messages", "temperature", "response_format", "stream", "n"})


class JudgeRules(BaseModel):
    """The section `judge` of FT_ASSETS_RULES. Budgets hold for one run; what they leave out is next in the next run."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    fraction: float = Field(1.0, ge=0, le=1, description="Share of the answers that are judged, chosen by their id.")
    most_items: int = Field(10_000, ge=0, description="Most answers that one run asks about.")
    most_tokens: int = Field(20_000_000, ge=0, description="Most tokens of one run, prompts and completions together.")
    most_dollars: float | None = Field(None, ge=0, description="Most dollars of one run; needs the price.")
    dollars_per_million_tokens: float | None = Field(None, ge=0, description="What the endpoint charges.")
    most_minutes: float = Field(240, gt=0, description="After so many minutes a run asks nothing more.")
    most_item_tokens: int = Field(16_000, ge=1, description="A request estimated longer than this is not sent.")
    most_answer_tokens: int = Field(1024, ge=1, description="max_tokens of each request.")
    parameters: Mapping[str, Any] = Field(
        default_factory=dict,
        description="More fields of the request, such as seed; one that is null is left out of it.",
    )

    concurrency: int = Field(8, ge=1, le=256, description="Requests under way at once.")
    timeout_seconds: float = Field(60, gt=0, description="From sending a request to the last byte of its reply.")
    attempts: int = Field(4, ge=1, description="Requests for one answer when the endpoint fails or is busy.")
    backoff_seconds: float = Field(0.5, gt=0, description="Wait before the second attempt; doubles with each.")
    most_backoff_seconds: float = Field(60, gt=0, description="Longest wait, also where Retry-After asks for more.")
    most_failures_in_a_row: int = Field(20, ge=1, description="After so many failed answers the endpoint is down.")
    items_between_saves: int = Field(500, ge=1, description="So many answers a run that dies may have asked in vain.")

    min_coverage: float = Field(0.98, ge=0, le=1, description="Share of the submitted answers that must be scored.")
    min_kappa: float = Field(0.4, ge=-1, le=1, description="A judge that agrees less with people may not decide.")
    min_labelled: int = Field(50, ge=1, description="Judged answers with a label that agreement is measured on.")
    min_labelled_per_side: int = Field(5, ge=1, description="At least so many of them good, and so many bad.")
    most_labels_per_user: int = Field(20, ge=1, description="Ratings of one user that count for agreement.")
    unmeasured_may_decide: bool = Field(True, description="Whether a judge decides before agreement can be measured.")

    @field_validator("parameters")
    @classmethod
    def _leaves_ours_alone(cls, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        if fixed := sorted(OURS & parameters.keys()):
            raise ValueError(f"found {fixed}, which every request sets itself; leave them out")
        return parameters

    @model_validator(mode="after")
    def _has_a_price_for_its_limit(self) -> "JudgeRules":
        if self.most_dollars is not None and self.dollars_per_million_tokens is None:
            raise ValueError("most_dollars needs dollars_per_million_tokens, or no cost can be counted")
        return self

    def dollars(self, tokens: int) -> float:
        """What so many tokens cost; 0 without a price."""
        return tokens * (self.dollars_per_million_tokens or 0) / 1e6
