"""What a report is written from. Whoever evaluates fills this in; `report.write_report` tells it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ft_assets.evaluation.asking.batch_disagreement import BatchDisagreement
from ft_assets.evaluation.deciding.gate_rules import GateRules
from ft_assets.evaluation.deciding.verdict import Verdict
from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.metric import Metric
from ft_assets.evaluation.prediction import Prediction
from ft_assets.evaluation.reporting.blind_verdicts import BlindResult
from ft_assets.evaluation.score import RowScore
from ft_assets.evaluation.suites import Suite

if TYPE_CHECKING:
    from ft_assets.evaluation.judging.pairwise_judge import Preferences

SIDES = ("candidate", "champion", "base", "base_with_examples", "nearest_answer")  # in the order of a report's columns


@dataclass(frozen=True)
class AnsweredSuite:
    """A suite, what each side (SIDES) answered, and what that scored; "candidate" is always among them.

    `missing` maps a side to the rows it gave no answer to and the reason of each. `of` names the specialization that
    the golden set of an interference suite belongs to. `batch_disagreement`: what another batch size changed,
    by side.
    """

    suite: Suite
    predictions: Mapping[str, Sequence[Prediction]]
    scores: Mapping[str, Sequence[RowScore]]
    missing: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    of: str | None = None
    batch_disagreement: Mapping[str, BatchDisagreement] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.suite.name

    @property
    def kind(self) -> str:
        return self.suite.kind

    @property
    def digest(self) -> str:
        return self.suite.digest

    @property
    def items(self) -> Sequence[EvalItem]:
        return self.suite.items

    @property
    def sides(self) -> list[str]:
        """The sides that answered, in the order of a report's columns: the candidate first."""
        return [side for side in SIDES if side in self.scores]

    def only(self, row_ids: Collection[str]) -> "AnsweredSuite":
        """The same suite with these rows alone."""
        return replace(
            self,
            suite=replace(self.suite, items=tuple(item for item in self.items if item.row_id in row_ids)),
            predictions={side: [p for p in rows if p.row_id in row_ids] for side, rows in self.predictions.items()},
            scores={side: [row for row in rows if row.row_id in row_ids] for side, rows in self.scores.items()},
        )


@dataclass(frozen=True)
class Spent:
    """One line of the bill: "training", "answers of the candidate". None is not known, and is told as that."""

    what: str
    seconds: float | None = None
    gpu_seconds: float | None = None
    tokens: int | None = None
    dollars: float | None = None


@dataclass(frozen=True)
class ReportFacts:
    """Everything that a report tells.

    `models` and `bases` map a side (SIDES) to its digest and to that of the base it stands on; the verdict rests on
    `judged_suite`. `settings` are dtype, device, backend, batch policy, decoding. `latency` is what
    `interleaved_seconds` gives: seconds by side and row. `contamination` are the figures of the snapshot's own
    checks. `preferences` are DPO's, on validation pairs. `judge` is what a judge preferred, if there is one.
    `candidate_is_champion`: the model in use was asked again, so there is no other to compare it with.
    `other_lines` maps another specialization to `interference_row` of its newest report. `golden_budget` is how many
    decisions the golden set is good for. `blind` are verdicts on earlier blind samples that came back.
    """

    specialization: str
    description: str
    models: Mapping[str, str]
    bases: Mapping[str, str]
    snapshot: str
    snapshot_sizes: Mapping[str, int]
    recipe_digest: str
    rules: GateRules
    verdict: Verdict
    judged_suite: str
    suites: Sequence[AnsweredSuite]
    metrics: Sequence[Metric]
    settings: Mapping[str, str | int | float | bool | None]
    latency: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    spent: Sequence[Spent] = ()
    contamination: Mapping[str, Any] = field(default_factory=dict)
    preferences: Mapping[str, float] = field(default_factory=dict)
    judge: "Preferences | None" = None
    sandbox: Sequence[str] = ()
    other_lines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    golden_budget: int | None = None
    blind: Sequence[BlindResult] = ()
    not_measured: Sequence[str] = ()
    candidate_is_champion: bool = False

    @property
    def incumbent(self) -> str:
        """The side that a candidate has to beat: the champion, or the base while there is none."""
        return "champion" if "champion" in self.models else "base"

    @property
    def primary_metric(self) -> str:
        """The metric that decides."""
        deciding = [condition.metric for condition in self.verdict.conditions if condition.kind == "superior"]
        return deciding[0] if deciding else self.rules.primary_metric

    @property
    def judged(self) -> AnsweredSuite:
        """The suite that the verdict rests on."""
        return next(suite for suite in self.suites if suite.name == self.judged_suite)

    def metric(self, name: str) -> Metric:
        """The metric of that name."""
        return next(metric for metric in self.metrics if metric.name == name)
