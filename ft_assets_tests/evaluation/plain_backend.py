"""A backend without a model, for what has nothing to do with models: it answers by a rule, batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Self

from ft_assets.evaluation.asking.backend import Batch, Question, Setting, setting_digest
from ft_assets.evaluation.prediction import Prediction


class PlainBackend:
    """Says the last word of the prompt. `asked` keeps the row ids that it was asked, in their order.

    Rows of `unanswerable` are missing; after `ends_after` batches it fails.
    """

    def __init__(
        self,
        model_digest: str = "m",
        setting: Setting | None = None,
        batch_rows: int = 4,
        unanswerable: Sequence[str] = (),
        ends_after: int | None = None,
        halved: bool = False,
    ):
        self.model_digest = model_digest
        self.setting = setting or {"backend": "plain"}
        self.batch_rows = batch_rows
        self.unanswerable = unanswerable
        self.ends_after = ends_after
        self.halved = halved
        self.asked: list[str] = []

    def batches(self, questions: Sequence[Question]) -> Iterator[Batch]:
        for number, start in enumerate(range(0, len(questions), self.batch_rows)):
            if number == self.ends_after:
                raise RuntimeError("the machine broke down")
            batch = questions[start : start + self.batch_rows]
            self.asked += [question.row_id for question in batch]
            answered = [question for question in batch if question.row_id not in self.unanswerable]
            missing = {q.row_id: "it cannot be asked" for q in batch if q.row_id in self.unanswerable}
            yield Batch([self.said(question) for question in answered], missing, self.halved)

    def said(self, question: Question) -> Prediction:
        answer = question.item.messages[-2].content.split()[-1]
        digest = setting_digest(self.setting)
        return Prediction(self.model_digest, digest, question.digest, question.row_id, answer, 1, False, 0.01)

    def alone(self) -> Self:
        return self

    def as_served(self) -> Self:
        return self


class Moody(PlainBackend):
    """Answers otherwise when it is asked alone."""

    def alone(self) -> "Moody":
        return Moody(self.model_digest, {**self.setting, "mood": "bad"})

    def said(self, question: Question) -> Prediction:
        said = super().said(question)
        return replace(said, answer=f"{said.answer}!") if "mood" in self.setting else said
