"""What the gate decided, condition by condition, in the form that reports and promotions read."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Outcome = Literal["promote", "hold", "reject", "not evaluated"]
Kind = Literal["superior", "guardrail", "floor", "coverage", "clusters", "golden budget"]


THIS_ARTIFACT = (
    "This verdict is about this one trained model, not about its data or its recipe: training again with another seed "
    "gives another model, which has to be judged again."
)


class Condition(BaseModel):
    """One thing that has to hold before a promotion, with what was seen.

    `estimate` is candidate minus `against` (a ratio where `relative`), `low` and `high` are its one-sided bounds at
    `level`, `limit` is what `low` has to be above. `holds` True: shown; False: a bound shows the opposite; None: open.
    `smallest_visible`: the true difference that these rows would have shown with 80 % power; `more_clusters`: about how
    many more independent clusters would decide, where more could.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Kind
    suite: str
    metric: str
    against: str | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    relative: bool = False
    level: float | None = None
    test: str = ""  # how low and high were computed: "exact McNemar", "cluster sign-flip", "cluster bootstrap"
    n_clusters: int = 0
    n_differing: int = 0
    smallest_visible: float | None = None
    more_clusters: int | None = None
    blocks: bool = True
    holds: bool | None = None
    sentence: str = ""  # the condition in words, with its numbers


class Verdict(BaseModel):
    """Promote, hold, reject or not evaluated; why, in sentences; and every condition that was looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    outcome: Outcome
    reasons: list[str]
    conditions: list[Condition]
    decision: int | None = None  # which decision on this golden set this is, from 1
    cumulative_false_promotion_rate: float | None = None  # if every model so far had been equal

    @property
    def summary(self) -> str:
        """One line: the outcome, the difference that decides with its interval, and what is missing where it holds."""
        decisive = [c.sentence for c in self.conditions if c.kind == "superior" and c.blocks][:1]
        missing = [] if self.outcome == "promote" else [reason for reason in self.reasons if reason != THIS_ARTIFACT]
        return f"{self.outcome}: " + " ".join([*decisive, *missing])
