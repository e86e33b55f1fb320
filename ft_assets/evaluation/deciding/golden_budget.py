"""How often a golden set may decide. Every look at the same questions is another chance for a lucky model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ft_assets.evaluation.deciding.gate_rules import SUPERIOR_LEVEL
from ft_assets.evaluation.items import EvalItem, digest
from ft_assets.state_golden import GoldenDecision, decide_once

if TYPE_CHECKING:
    from ft_assets.state import State

NEW_SHARE_NEEDED = 0.30


@dataclass(frozen=True)
class GoldenStatus:
    """What the budget says about one decision. `decision` counts from 1 since the set was last renewed, those of other
    lines on mostly the same questions included; None when the budget is spent. `new_rows` are the questions that no
    decision before the renewal saw, `share_new` their share; where there was no renewal, what is new about a spent set.
    """

    decision: int | None
    budget: int
    renewals: int = 0
    share_new: float = 0.0
    new_rows: frozenset[str] = frozenset()

    @property
    def spent(self) -> bool:
        """No decision may rest on this set any more."""
        return self.decision is None


def take_decision(
    state: "State",
    specialization: str,
    suite: str,
    questions: Mapping[str, str],
    candidate: str,
    incumbent: str,
    budget: int,
) -> GoldenStatus:
    """Counts a decision on a golden set, durably, and returns what the budget says about it.

    `questions` as from `questions_of`; `candidate` and `incumbent` are model digests. The same candidate against the
    same incumbent on the same questions is one decision, however often it is asked for; a spent budget counts nothing.
    Lines that share a golden set share its budget: what another line decided counts while less than 30 % of the
    questions are others. (Two lines that decide in the same instant may be told the same number; the next one counts
    both.)
    Call it once an evaluation is whole: one that failed decides nothing.

    Raises:
        WriteConflict: other processes were first every time; run again.
    """

    def judge(
        history: Sequence[GoldenDecision], elsewhere: Sequence[GoldenDecision]
    ) -> tuple[GoldenStatus, GoldenDecision | None]:
        status, repeated = status_of(history, questions, candidate, incumbent, budget, elsewhere)
        if repeated or status.spent:
            return status, None
        asked = tuple(sorted(set(questions.values())))
        number, generation = len(history) + 1, status.renewals + 1
        made = GoldenDecision(
            specialization, suite, number, generation, set_digest(questions), candidate, incumbent, asked
        )
        return status, made

    return decide_once(state, specialization, suite, judge)


def status_of(
    history: Sequence[GoldenDecision],
    questions: Mapping[str, str],
    candidate: str,
    incumbent: str,
    budget: int,
    elsewhere: Sequence[GoldenDecision] = (),
) -> tuple[GoldenStatus, bool]:
    """What the budget says, and whether this decision was made before. `history` is one suite's, oldest first;
    `elsewhere` are decisions of other lines, of which those on mostly the same questions count.

    A spent set is good for `budget` more decisions once 30 % of its questions were in no decision before.
    """
    asked = (set_digest(questions), candidate, incumbent)
    shared = [made for made in elsewhere if _mostly_the_same(questions, made)]
    for place, made in enumerate(history):
        if (made.set_digest, made.candidate, made.incumbent) == asked:
            decision = sum(other.generation == made.generation for other in history[: place + 1])
            earlier = sum(other.at is not None and made.at is not None and other.at < made.at for other in shared)
            return _status(decision + earlier, budget, made.generation, history, questions), True
    generation = history[-1].generation if history else 1
    made_here = sum(made.generation == generation for made in history) + len(shared)
    if made_here < budget:
        return _status(made_here + 1, budget, generation, history, questions), False
    renewed = _status(len(shared) + 1, budget, generation + 1, history, questions)
    if renewed.share_new >= NEW_SHARE_NEEDED and len(shared) < budget:
        return renewed, False
    return GoldenStatus(None, budget, generation - 1, renewed.share_new, renewed.new_rows), False


def questions_of(items: Iterable[EvalItem]) -> dict[str, str]:
    """Each row's question as a digest: its conversation without the answer, whatever its spaces and its case.

    Not the system prompt, the checks or the row's id: changing those makes no new question.
    """
    return {
        item.row_id: digest([[m.role, " ".join((m.content or "").lower().split())] for m in item.messages[:-1]])
        for item in items
    }


def set_digest(questions: Mapping[str, str]) -> str:
    """The identity of a set of questions, whatever their order and ids."""
    return digest(sorted(questions.values()))


def cumulative_false_promotion_rate(decisions: int, level: float = SUPERIOR_LEVEL) -> float:
    """The chance that at least one of so many equal models was called better: 1 - (1 - level)^k.

    Exact for independent looks; looks at the same questions go together, which only lowers it (Slepian 1962).
    """
    return 1 - (1 - level) ** decisions


def _mostly_the_same(questions: Mapping[str, str], made: GoldenDecision) -> bool:
    """Whether less than 30 % of these questions are others than those of a decision."""
    asked = set(questions.values())
    return len(asked - set(made.questions)) < NEW_SHARE_NEEDED * len(asked)


def _status(
    decision: int, budget: int, generation: int, history: Sequence[GoldenDecision], questions: Mapping[str, str]
) -> GoldenStatus:
    seen = {question for made in history if made.generation < generation for question in made.questions}
    new = frozenset(row for row, question in questions.items() if question not in seen) if seen else frozenset()
    return GoldenStatus(decision, budget, generation - 1, len(new) / len(questions) if questions else 0.0, new)
