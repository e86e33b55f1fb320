"""Which of two models a judge prefers: every pair is shown in both orders, and counts only where both agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.judging.judged_answers import (
    HOLDS_SECRET,
    JudgedAnswers,
    Mask,
    content_id,
    covers,
    question_of,
    tally,
)
from ft_assets.evaluation.judging.pairwise_prompt import BETTER, PAIR_PROMPT_VERSION, PREFERENCES, Pair
from ft_assets.evaluation.judging.position_bias import Share, mean_share
from ft_assets.evaluation.metric import Points
from ft_assets.judge_client import Endpoint, JudgeClient, Outcome
from ft_assets.judge_rules import JudgeRules
from ft_assets.lake import Lake

Preferred = Literal["candidate", "incumbent", "none", "not judged"]
POINTS: Mapping[str, tuple[float, float]] = {"candidate": (1.0, 0.0), "incumbent": (0.0, 1.0), "none": (0.5, 0.5)}
PAIRWISE = "pairwise_preference"
SAME = Outcome({BETTER: 0.5})


@dataclass(frozen=True)
class PairVerdict:
    """What came of one row. `candidate_first` and `incumbent_first` say how far the judge preferred what stood first
    (1, 0.5, 0) when that was the candidate's answer, or the incumbent's; None where it gave no word. `asked` is False
    where both answers are the same."""

    row_id: str
    cluster_id: str
    candidate_first: float | None
    incumbent_first: float | None
    asked: bool

    @property
    def preferred(self) -> Preferred:
        """The side that was preferred in both orders; "none" where they disagree, or neither is better."""
        if self.candidate_first is None or self.incumbent_first is None:
            return "not judged"
        return {(1.0, 0.0): "candidate", (0.0, 1.0): "incumbent"}.get(
            (self.candidate_first, self.incumbent_first), "none"
        )  # type: ignore[return-value]

    @property
    def toward_first(self) -> float | None:
        """-1 to 1: 1 where the first position was preferred in both orders, -1 where the second was, 0 where the order
        changed nothing."""
        if self.candidate_first is None or self.incumbent_first is None:
            return None
        return self.candidate_first + self.incumbent_first - 1


@dataclass(frozen=True)
class Preferences:
    """The verdicts by row id, and what they come to. `preference` is the share of rows that prefer the candidate minus
    the share that prefer the incumbent; `position_bias` is how often the first position was preferred minus how often
    the second, over the pairs that were asked, 0 for a judge that ignores the order; both -1 to 1 with 95 % intervals
    over clusters. None where too few pairs were judged (`rules.min_coverage`)."""

    verdicts: Sequence[PairVerdict]
    preference: Share | None
    position_bias: Share | None
    report: Mapping[str, Any]

    def points(self, side: Literal["candidate", "incumbent"]) -> dict[str, Points]:
        """A side's points by row id: 1 where it is preferred, 0.5 for none, 0 where the other is; rows that were not
        judged are absent, and all are where `preference` is None."""
        place = ("candidate", "incumbent").index(side)
        judged = [each for each in self.verdicts if each.preferred in POINTS] if self.preference else []
        return {each.row_id: Points(POINTS[each.preferred][place], 1.0) for each in judged}


class PairwiseJudge:
    """Compares the answers of two models, as Zheng et al. 2023 do ("Judging LLM-as-a-Judge with MT-Bench and Chatbot
    Arena", section 3.4): both orders, and a preference only where both agree.

    `mask`, `lake` and `key` are those of AnswerJudge; what was said is kept in the table `judged_answers`.
    """

    def __init__(self, endpoint: Endpoint, rules: JudgeRules, key: str, mask: Mask, lake: Lake | None):
        self.mask, self.rules = mask, rules
        self.judged = JudgedAnswers(
            JudgeClient(endpoint, rules, key, PREFERENCES), PAIR_PROMPT_VERSION, (BETTER,), lake
        )

    def compare(
        self, items: Sequence[EvalItem], candidate: Mapping[str, str], incumbent: Mapping[str, str]
    ) -> Preferences:
        """The preferences on the rows that both answered (answers by row id). Asked in the order of row ids, both
        orders of a pair one after the other; the same answers give the same requests. Answers that are the same are
        "none" without being asked about."""
        both = [item for item in items if item.row_id in candidate and item.row_id in incumbent]
        rows = sorted(both, key=lambda item: item.row_id)
        asked = [self._pairs(question_of(row), candidate[row.row_id], incumbent[row.row_id]) for row in rows]
        outcomes = self.judged.outcomes([pair for its in asked for pair in its if isinstance(pair, Pair)])
        told = [[outcomes[each.content_id] if isinstance(each, Pair) else each for each in its] for its in asked]
        verdicts = [
            PairVerdict(row.row_id, row.cluster_id, _score(first), _score(second), isinstance(its[0], Pair))
            for row, its, (first, second) in zip(rows, asked, told, strict=True)
        ]
        return self._preferences(verdicts, [outcome for its in told for outcome in its if outcome is not SAME])

    def _pairs(self, question: str, candidate: str, incumbent: str) -> list[Pair | Outcome]:
        """The pair in both orders, or why it is not asked."""
        masked = self.mask([question, candidate, incumbent])
        if masked is None:
            return [Outcome(failure=HOLDS_SECRET)] * 2
        asked, *answers = masked
        if answers[0].split() == answers[1].split():
            return [SAME] * 2
        return [Pair(content_id(asked, *order), asked, *order) for order in (answers, answers[::-1])]

    def _preferences(self, verdicts: Sequence[PairVerdict], outcomes: Sequence[Outcome]) -> Preferences:
        judged = [each for each in verdicts if each.preferred != "not judged"]
        counts = {side: sum(each.preferred == side for each in verdicts) for side in (*POINTS, "not judged")}
        report = {
            "judge_model": self.judged.client.endpoint.model,
            "prompt_version": PAIR_PROMPT_VERSION,
            "pairs": len(verdicts),
            **counts,
            "same_answers": sum(not each.asked and each.preferred == "none" for each in verdicts),
            "orders_disagree": sum(bool(each.toward_first) for each in judged),
            "cached": self.judged.cached,
            **tally(outcomes),
        }
        if not judged or (outcomes and not covers(outcomes, self.rules.min_coverage)):
            return Preferences(verdicts, None, None, report)
        signs = {"candidate": 1.0, "incumbent": -1.0, "none": 0.0}
        preference = mean_share([(each.cluster_id, signs[each.preferred]) for each in judged])
        toward_first = [(each.cluster_id, each.toward_first or 0.0) for each in judged if each.asked]
        return Preferences(verdicts, preference, mean_share(toward_first) if toward_first else None, report)


def _score(outcome: Outcome) -> float | None:
    return outcome.scores[BETTER] if outcome.scores else None
