"""The gate: may a candidate become the champion? Rules come from the specialization, evidence from the scored rows."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ft_assets.errors import EvaluationIncomplete
from ft_assets.evaluation.generate import EvalItem, Prediction
from ft_assets.evaluation.score import RowScore, rate, rate_of

Metric = Literal["rouge_l", "exact_match", "token_accuracy"]
Outcome = Literal["promote", "hold", "reject"]

# With fewer clusters that differ, even a clean sweep is no proof: an exact sign test needs 2^-6 to get below 0.025,
# while the percentile bootstrap already calls 4 wins of 4 significant (it happens to equal models 1 time in 16).
LEAST_DIFFERING_CLUSTERS = 6


class GateRules(BaseModel):
    """What a candidate has to show before it replaces the champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    primary_metric: Metric = Field("rouge_l", description="The one metric that decides; higher is better.")
    min_effect: float = Field(
        0.0, ge=0, lt=1, description="The lower bound of candidate minus base has to be above this."
    )
    minimum_clusters: int = Field(
        50, ge=2, description="Independent eval clusters below which the verdict can only be hold."
    )
    floors: dict[Metric, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict, description="Least rate the candidate has to reach, by metric, whatever the base scores."
    )


class Comparison(BaseModel):
    """Candidate minus one other model on the same rows, with its 95 % interval; `smallest_visible` is the true
    difference that a set like this one would have shown with 80 % power (None: no spread to compute it from)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    against: str
    metric: Metric
    difference: float
    low: float
    high: float
    smallest_visible: float | None
    n_clusters: int
    n_differing: int


class Verdict(BaseModel):
    """What the gate decided, why, and on which comparisons (those of the primary metric)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    outcome: Outcome
    reasons: list[str]
    comparisons: list[Comparison]

    @property
    def summary(self) -> str:
        """One line: `promote: +0.41 [0.38, 0.44] rouge_l against base`, or `hold: ..., could have seen 0.05; why`."""
        told = [_told(comparison, self.outcome) for comparison in self.comparisons]
        why = [] if self.outcome == "promote" else self.reasons
        return f"{self.outcome}: " + "; ".join([*told, *why])


def decide(
    candidate: Sequence[RowScore],
    base: Sequence[RowScore],
    champion: Sequence[RowScore] | None,
    rules: GateRules,
) -> Verdict:
    """The verdict on a candidate, from its scores and those of the base and of the champion on the same rows.

    promote: the lower bound of candidate minus base is above `min_effect`, of candidate minus champion (where there is
    one) above 0, and every floor is reached. reject: an upper bound shows the candidate worse than one of them, or
    below a floor. hold: anything else, and always with fewer than `minimum_clusters` clusters. All conditions have to
    hold together, so no correction for their number is due (an intersection-union test).

    Of 4,000 equal models each, 0 to 4.2 % were promoted (50 to 240 clusters, 6 to 100 % of them differing). The known
    weakness of the percentile bootstrap is a model with many small gains and rare large losses that cancel out: up to
    12 % where fewer than 10 clusters differ, 5 to 7 % at 50 clusters.

    Raises:
        EvaluationIncomplete: the models were not scored on the same rows; generate the missing answers.
    """
    comparisons = [compare(candidate, base, "base", rules.primary_metric)]
    if champion is not None:
        comparisons.append(compare(candidate, champion, "champion", rules.primary_metric))
    worse = [_named(c) + " is worse" for c in comparisons if c.high < 0]
    short = [reason for c in comparisons if (reason := _not_shown(c, rules))]
    below, unsure = _floor_reasons(candidate, rules)
    if (n_clusters := comparisons[0].n_clusters) < rules.minimum_clusters:
        missing = rules.minimum_clusters - n_clusters
        reason = f"{n_clusters} independent eval clusters, {missing} fewer than the {rules.minimum_clusters} required"
        return Verdict(outcome="hold", reasons=[reason, *worse, *below], comparisons=comparisons)
    if worse or below:
        return Verdict(outcome="reject", reasons=[*worse, *below], comparisons=comparisons)
    if short or unsure:
        return Verdict(outcome="hold", reasons=[*short, *unsure], comparisons=comparisons)
    return Verdict(outcome="promote", reasons=[f"{_named(c)} is better" for c in comparisons], comparisons=comparisons)


def compare(candidate: Sequence[RowScore], other: Sequence[RowScore], against: str, metric: Metric) -> Comparison:
    """Candidate minus the other model in one rate, paired by row and resampled by cluster.

    Raises:
        EvaluationIncomplete: the two were not scored on the same rows.
    """
    from ft_assets.evaluation.statistics import rate_difference  # numpy: this module is read when definitions load

    ours, theirs = paired(candidate, other, against)
    won, possible = zip(*(rate_of(row, metric) for row in ours), strict=True)
    other_won = [rate_of(row, metric)[0] for row in theirs]
    interval = rate_difference(won, other_won, possible, [row.cluster_id for row in ours])
    return Comparison(
        against=against,
        metric=metric,
        difference=interval.estimate,
        low=interval.low,
        high=interval.high,
        smallest_visible=interval.smallest_visible,
        n_clusters=interval.n_clusters,
        n_differing=interval.n_differing,
    )


def paired(
    candidate: Sequence[RowScore], other: Sequence[RowScore], against: str
) -> tuple[list[RowScore], list[RowScore]]:
    """Both models' rows in the order of their ids.

    Raises:
        EvaluationIncomplete: a row is missing, doubled, or has another reference length on one of the sides.
    """
    ours, theirs = (sorted(rows, key=lambda row: row.row_id) for rows in (candidate, other))
    identity = [[(row.row_id, row.cluster_id, row.answer_tokens) for row in rows] for rows in (ours, theirs)]
    if not ours or identity[0] != identity[1] or len({row.row_id for row in ours}) != len(ours):
        odd = sorted({row[0] for row in set(identity[0]) ^ set(identity[1])})
        raise EvaluationIncomplete(
            f"The candidate has {len(ours)} scored rows and {against} has {len(theirs)}, and they are not the same "
            f"(differing ids: {odd[:3]}, {len(odd)} in all). A difference between different questions means nothing. "
            "Materialize evaluation_report again, so that both answer the whole suite."
        )
    return ours, theirs


def evaluation_problems(predictions: Mapping[str, Sequence[Prediction]], items: Sequence[EvalItem]) -> list[str]:
    """Why these predictions may not be judged, one sentence each; empty when they may.

    `predictions` maps a side ("candidate", "base", "champion") to its answers. Looked at: every item answered exactly
    once on every side, nothing else answered, numbers finite and possible, and the same prompts, references and
    decoding on all sides. The blocking check shows this list; the gate's caller refuses unless it is empty.
    """
    if not items:
        return ["The suite holds no item, so there is nothing to compare on."]
    problems = [problem for side, rows in sorted(predictions.items()) for problem in _side_problems(side, rows, items)]
    suites = {side: sorted({row.suite_digest for row in rows}) for side, rows in sorted(predictions.items())}
    if len({digest for digests in suites.values() for digest in digests}) > 1:
        problems.append(f"The sides answered different prompts: suite digests {suites}.")
    lengths = [{row.row_id: row.answer_tokens for row in rows} for rows in predictions.values()]
    if any(length != lengths[0] for length in lengths[1:]):
        problems.append(
            "The sides count different reference tokens: their tokenizers differ, so do their perplexities."
        )
    return problems


def _side_problems(side: str, rows: Sequence[Prediction], items: Sequence[EvalItem]) -> list[str]:
    wanted, answered = {item.row_id for item in items}, [row.row_id for row in rows]
    found = {
        "items are not answered": sorted(wanted - set(answered)),
        "answers belong to no item": sorted(set(answered) - wanted),
        "answers are doubled": sorted(row_id for row_id, count in Counter(answered).items() if count > 1),
        "answers have impossible numbers": [row.row_id for row in rows if not _possible(row)],
    }
    return [f"{side}: {len(ids)} {what} (first: {ids[0]})." for what, ids in found.items() if ids]


def _possible(row: Prediction) -> bool:
    finite = math.isfinite(row.answer_nll) and math.isfinite(row.seconds)
    counted = 0 <= row.answer_tokens_right <= row.answer_tokens and row.answer_tokens > 0 and row.n_tokens >= 0
    return finite and counted and row.answer_nll >= 0 and row.seconds >= 0


def _not_shown(comparison: Comparison, rules: GateRules) -> str | None:
    needed = rules.min_effect if comparison.against == "base" else 0.0
    if comparison.low <= needed:
        return f"{_named(comparison)} is not shown to be above {needed:g}"
    if comparison.n_differing < LEAST_DIFFERING_CLUSTERS:
        return (
            f"{_named(comparison)} rests on {comparison.n_differing} clusters that differ, "
            f"fewer than the {LEAST_DIFFERING_CLUSTERS} that could prove anything"
        )
    return None


def _floor_reasons(candidate: Sequence[RowScore], rules: GateRules) -> tuple[list[str], list[str]]:
    """Floors that are surely missed, and floors that the candidate's rate misses within its interval."""
    from ft_assets.evaluation.statistics import rate_interval  # numpy: see compare

    below: list[str] = []
    unsure: list[str] = []
    for metric, floor in sorted(rules.floors.items()):
        reached = rate(candidate, metric)
        if reached >= floor:
            continue
        won, possible = zip(*(rate_of(row, metric) for row in candidate), strict=True)
        interval = rate_interval(won, possible, [row.cluster_id for row in candidate])
        reason = f"{metric} {reached:.3f} [{interval.low:.3f}, {interval.high:.3f}] is below its floor {floor:g}"
        (below if interval.high < floor else unsure).append(reason)
    return below, unsure


def _named(comparison: Comparison) -> str:
    return f"{comparison.metric} against {comparison.against}"


def _told(comparison: Comparison, outcome: Outcome) -> str:
    text = f"{comparison.difference:+.3f} [{comparison.low:.3f}, {comparison.high:.3f}] {_named(comparison)}"
    if outcome == "promote":
        return text
    seen = comparison.smallest_visible
    return f"{text}, could have seen {seen:.3f}" if seen is not None else f"{text}, without any spread to judge by"
