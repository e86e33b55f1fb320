"""What a candidate has to show before it replaces the champion. Read when definitions load: no heavy import here."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ft_assets.evaluation.metric_name import OneMetric
from ft_assets.evaluation.metrics import METRICS

FROZEN = ConfigDict(frozen=True, extra="forbid")
MOST_BLOCKING = 3
LEAST_COVERAGE = 0.98  # of a suite's questions; those that have no answer are rarely the easy ones

SUPERIOR_LEVEL = 0.025  # one-sided: an equal model looks better than this 1 time in 40
GUARDRAIL_LEVEL = 0.05  # one-sided: a model at the margin passes one guardrail 1 time in 20
# One-sided level of "not worse by more than tolerated_loss". At 0.025 alone exact McNemar promotes a model that is
# 3 points worse in up to 0.67 % of cases (50 clusters, half of them differing): too near to 1 % to be shown by 2,000
# runs. With this condition it is 0.17 %, and 10 points at 300 clusters are seen as often as before.
LOSS_LEVEL = 0.001

GENERAL_ABILITY = "general ability"
JUDGED = "judged suite"  # stands for the suite of the primary metric, whichever it is
AGAINST_INCUMBENT_ONLY = ("tokens_per_answer", "seconds_per_answer")  # a base's length and speed are no measure

Rate = Annotated[float, Field(ge=0, le=1)]


class Guardrail(BaseModel):
    """One thing that must not get worse by more than a margin."""

    model_config = FROZEN
    suite: str = Field(
        JUDGED, min_length=1, description='Name of the suite; "judged suite" is that of the primary metric.'
    )
    metric: OneMetric = Field(description="Name of the metric.")
    margin: float = Field(gt=0, description="The loss that is accepted: in the metric's unit, or a share if relative.")
    relative: bool = Field(False, description="The margin is a share of the incumbent's figure: 0.2 is 20 % worse.")
    blocks: bool = Field(True, description="Whether it can stop a promotion; otherwise it is only reported.")

    @model_validator(mode="after")
    def _a_share_is_below_one(self) -> Self:
        if self.relative and self.margin >= 1:
            raise ValueError(f"margin is {self.margin:g} and relative: 0.2 stands for 20 %. Write a share below 1")
        return self


# 7 points: with the 250 questions of the bundled suite an equal model passes in 95 % of cases; 5 points need 380.
FORGETTING = Guardrail(suite=GENERAL_ABILITY, metric="exact_match", margin=0.07, relative=False, blocks=True)
LENGTH = Guardrail(suite=JUDGED, metric="tokens_per_answer", margin=0.2, relative=True, blocks=True)


class GateRules(BaseModel):
    """What a candidate has to show before it replaces the champion. Everything must hold, each at its own level."""

    model_config = FROZEN
    primary_metric: OneMetric = Field("rouge_l", description="The one metric that decides.")
    alternative_primaries: tuple[OneMetric, ...] = Field(
        (), description="Metrics of which any may decide instead of the primary one; each then needs more (Holm)."
    )
    min_effect: float = Field(
        0.0, ge=0, lt=1, description="Without a champion, candidate minus base has to be above this."
    )
    minimum_clusters: int = Field(
        50, ge=2, description="Independent eval clusters below which the verdict can only be hold."
    )
    tolerated_loss: float = Field(
        0.03,
        gt=0,
        lt=1,
        description="A candidate that is this much worse (in the primary metric's unit; perplexity: nats a token) is "
        "promoted in well under 1 % of cases.",
    )
    floors: dict[OneMetric, Rate] = Field(
        default_factory=dict, description="Least rate the candidate has to reach, by metric, whatever others score."
    )
    guardrails: tuple[Guardrail, ...] = Field(
        (FORGETTING, LENGTH), description="What must not get worse; at most three of them block. Add one of your own."
    )
    serves: tuple[str, ...] = Field(
        (), description="Other lines that this adapter answers for, too: their golden sets block like a guardrail."
    )
    serves_margin: float = Field(0.05, gt=0, lt=1, description="The loss that is accepted on each of those.")
    golden_decisions: int = Field(
        20, ge=1, description="Decisions a golden set is good for; then 30 % of it has to be new."
    )

    @model_validator(mode="after")
    def _few_enough_to_pass(self) -> Self:
        """Each blocking guardrail fails some equal models; with many of them nothing is ever promoted."""
        blocking = [f"{rail.metric} on {rail.suite}" for rail in self.guardrails if rail.blocks]
        blocking += [f"golden set of {line}" for line in self.serves]
        if len(blocking) > MOST_BLOCKING:
            raise ValueError(
                f"{len(blocking)} guardrails block ({'; '.join(blocking)}), at most {MOST_BLOCKING} may: each stops "
                "an equally good model in some cases, and the chances add up. Set blocks: false for those that inform"
            )
        return self

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [*self.primaries, *(f"{rail.metric} on {rail.suite}" for rail in self.guardrails), *self.serves]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands twice, so it is unclear which one counts. Write it once")
        return self

    @model_validator(mode="after")
    def _floors_are_least_rates(self) -> Self:
        """A floor under tokens or cut-off answers would demand the worse of two models."""
        wrong = [name for name in self.floors if METRICS[name].unit != "rate" or not METRICS[name].higher_is_better]
        if wrong:
            raise ValueError(
                f"floors name {', '.join(sorted(wrong))}, and a floor is the least rate of a metric where more is "
                "better. Write a guardrail for what must not rise"
            )
        return self

    @property
    def primaries(self) -> tuple[str, ...]:
        """The metrics of which one has to be superior; usually one."""
        return (self.primary_metric, *self.alternative_primaries)
