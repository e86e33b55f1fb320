"""What a verdict rests on, and whether it is all there: what was not measured is never a pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ft_assets.evaluation.deciding.gate_rules import (
    AGAINST_INCUMBENT_ONLY,
    JUDGED,
    LEAST_COVERAGE,
    GateRules,
    Guardrail,
)
from ft_assets.evaluation.deciding.golden_budget import GoldenStatus
from ft_assets.evaluation.deciding.paired_points import PairedPoints
from ft_assets.evaluation.deciding.verdict import Condition
from ft_assets.evaluation.metrics import METRICS

LOWER_IS_BETTER = frozenset(name for name, metric in METRICS.items() if not metric.higher_is_better)
NEAREST = "nearest_answer"


class Pair(NamedTuple):
    """Which comparison: a suite's name, a metric's name, and the side that the candidate is compared with."""

    suite: str
    metric: str
    against: str


@dataclass(frozen=True)
class Evidence:
    """Everything a verdict rests on.

    `suite` is the judged one; `incumbent` is "champion", or "base" while there is none. `pairs` holds every comparison
    that was made. `coverage` is, by suite, the least share of its items that a side answered (0 to 1). `problems` are
    reasons why nothing may be judged. `not_blocking` maps a suite to the reason why its guardrails only inform
    (forgetting of the tiny base). `interference` maps another line's golden set to the metric it is compared in.
    """

    suite: str
    incumbent: Literal["champion", "base"]
    pairs: Mapping[Pair, PairedPoints]
    coverage: Mapping[str, float] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    not_blocking: Mapping[str, str] = field(default_factory=dict)
    interference: Mapping[str, str] = field(default_factory=dict)
    golden: GoldenStatus | None = None
    lower_is_better: frozenset[str] = LOWER_IS_BETTER

    def suite_of(self, rail: Guardrail) -> str:
        """The suite that a guardrail is about."""
        return self.suite if rail.suite == JUDGED else rail.suite

    def can_block(self, rail: Guardrail) -> bool:
        """Whether this guardrail may stop a promotion here."""
        return rail.blocks and self.suite_of(rail) not in self.not_blocking and not self.lacks_champion(rail)

    def lacks_champion(self, rail: Guardrail) -> bool:
        """Length and latency are compared with a champion only: a base's length and speed are no measure."""
        return rail.metric in AGAINST_INCUMBENT_ONLY and self.incumbent != "champion"

    def has(self, pair: Pair) -> bool:
        """Whether there is any row to compare."""
        return pair in self.pairs and _rows(self.pairs[pair]) > 0


def new_part(suite: str) -> str:
    """The name under which the questions are compared that were new when a golden set was renewed."""
    return f"{suite}, new part"


def golden_set_of(line: str) -> str:
    """The name of another line's golden set as a suite of this line's evaluation."""
    return f"golden set of {line}"


def lacking(evidence: Evidence, rules: GateRules) -> list[str]:
    """Why nothing may be decided, one sentence each: a failed evaluation, a comparison that was not made, or one for
    which fewer than 98 % of the questions have an answer on both sides."""
    found = list(evidence.problems)
    for pair in dict.fromkeys(needed(evidence, rules)):
        what = f"{pair.metric} on {pair.suite} against {pair.against.replace('_', ' ')}"
        if pair not in evidence.pairs or (pair.against != NEAREST and not evidence.has(pair)):
            found.append(f"{what} was not measured, and the rules ask for it. Evaluate again with it.")
        elif pair.against != NEAREST and _paired_share(evidence.pairs[pair]) < LEAST_COVERAGE:
            share = 100 * _paired_share(evidence.pairs[pair])
            found.append(f"{what}: only {share:.1f} % of the rows have points on both sides, 98 % are needed.")
    return found + [condition.sentence for condition in coverage(evidence, rules) if condition.holds is False]


def coverage(evidence: Evidence, rules: GateRules) -> list[Condition]:
    """How much of each suite was answered; suites that nothing blocks on only inform."""
    blocking = {pair.suite for pair in needed(evidence, rules)}
    return [
        Condition(
            kind="coverage",
            suite=suite,
            metric="answered",
            estimate=share,
            limit=LEAST_COVERAGE,
            blocks=suite in blocking,
            holds=(share >= LEAST_COVERAGE) if suite in blocking or share >= LEAST_COVERAGE else None,
            sentence=f"{100 * share:.1f} % of {suite} was answered by every side, 98 % are needed.",
        )
        for suite, share in sorted(evidence.coverage.items())
    ]


def needed(evidence: Evidence, rules: GateRules) -> list[Pair]:
    """The comparisons without which these rules decide nothing."""
    incumbent = evidence.incumbent
    asked = [Pair(evidence.suite, metric, incumbent) for metric in (*rules.primaries, *rules.floors)]
    if incumbent == "base":
        asked += [Pair(evidence.suite, metric, NEAREST) for metric in rules.primaries]
    asked += [Pair(evidence.suite_of(r), r.metric, incumbent) for r in rules.guardrails if evidence.can_block(r)]
    served = [golden_set_of(line) for line in rules.serves]
    return asked + [Pair(suite, evidence.interference.get(suite, rules.primary_metric), incumbent) for suite in served]


def _rows(points: PairedPoints) -> int:
    return len(points.clusters)  # type: ignore[arg-type]


def _paired_share(points: PairedPoints) -> float:
    rows = _rows(points)
    return rows / (rows + points.unpaired)
