"""A judge's grades of the answers of an evaluation: five criteria each, asked once, masked before they leave."""

from collections.abc import Sequence
from typing import Any

from ft_assets.evaluation.judging.judged_answers import (
    HOLDS_SECRET,
    JudgedAnswers,
    Mask,
    content_id,
    covers,
    question_of,
    tally,
)
from ft_assets.evaluation.metric import Answered
from ft_assets.judge_client import Endpoint, JudgeClient, Outcome
from ft_assets.judge_prompt import CRITERIA, PROMPT_VERSION, Item
from ft_assets.judge_rules import JudgeRules
from ft_assets.lake import Lake

EMPTY = Outcome(dict.fromkeys(CRITERIA, 0.0))  # what says nothing has the lowest grades; nobody needs to be asked


class AnswerJudge:
    """Grades answers by relevance, completeness, accuracy, clarity and helpfulness, as curation's judge does.

    `mask` makes the texts fit to leave the house (see judged_answers.Mask); an answer of which it cannot is a failure.
    `lake` keeps what was said, in the table `judged_answers`. `key` signs the nonces of the delimiters.
    """

    def __init__(self, endpoint: Endpoint, rules: JudgeRules, key: str, mask: Mask, lake: Lake | None):
        self.mask, self.rules = mask, rules
        self.judged = JudgedAnswers(JudgeClient(endpoint, rules, key), PROMPT_VERSION, CRITERIA, lake)
        self._graded: dict[tuple[str, str], Outcome] = {}

    def scores(self, rows: Sequence[Answered]) -> list[dict[str, float] | None]:
        """The grades of every row, 0 to 1 by criterion; None where there are none. If fewer than `rules.min_coverage`
        of the answers that were submitted have grades, none count, because who fails may not be chance."""
        outcomes = self._outcomes(rows)
        if not covers(outcomes, self.rules.min_coverage):
            return [None] * len(rows)
        return [outcome.scores for outcome in outcomes]

    def report(self) -> dict[str, Any]:
        """What this run was told: model, prompt_version, answers, cached, scored, failed, not_submitted (by reason),
        tokens and dollars."""
        outcomes = list(self._graded.values())
        found = {"answers": len(outcomes), "cached": self.judged.cached, **tally(outcomes)}
        dollars = self.rules.dollars(found["prompt_tokens"] + found["completion_tokens"])
        return {
            "judge_model": self.judged.client.endpoint.model,
            "prompt_version": PROMPT_VERSION,
            **found,
            "dollars": dollars,
        }

    def _outcomes(self, rows: Sequence[Answered]) -> list[Outcome]:
        keys = [(question_of(row.item), row.prediction.answer) for row in rows]
        new = {key: self._item(*key) for key in keys if key not in self._graded}
        outcomes = self.judged.outcomes([item for item in new.values() if isinstance(item, Item)])
        for key, item in new.items():
            self._graded[key] = outcomes[item.content_id] if isinstance(item, Item) else item
        return [self._graded[key] for key in keys]

    def _item(self, question: str, answer: str) -> Item | Outcome:
        if not answer.strip():
            return EMPTY
        masked = self.mask([question, answer])
        return Item(content_id(*masked), *masked) if masked else Outcome(failure=HOLDS_SECRET)
