"""The cheapest rival of a model: the training answer to the nearest training prompt.

It is free. A high score means that the questions are close to the training rows (template leakage), so that a model
which answers them has not shown that it learned anything.
"""

from collections.abc import Callable, Iterator, Sequence

from ft_assets.evaluation.asking.backend import Batch, Question, Setting, setting_digest
from ft_assets.evaluation.asking.nearest_prompts import NearestPrompts
from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.prediction import Prediction


class NearestAnswer:
    """A backend without a model. It knows no likelihoods and takes no time."""

    def __init__(self, prompts: NearestPrompts, count_tokens: Callable[[str], int]):
        """`count_tokens` is the base's, so that lengths can be compared."""
        self.prompts = prompts
        self.count_tokens = count_tokens

    @property
    def model_digest(self) -> str:
        """That of the training prompts and of how they are searched."""
        return self.prompts.digest

    @property
    def setting(self) -> Setting:
        """The same on every machine."""
        return {"backend": "nearest answer", "version": 1}

    def batches(self, questions: Sequence[Question]) -> Iterator[Batch]:
        """All answers at once."""
        nearest = self.prompts.nearest([question.item for question in questions], 1)
        predictions = []
        for question, [near] in zip(questions, nearest, strict=True):
            learned = EvalItem(near.row.example_id, "", "", "", tuple(near.row.messages))
            answer = learned.reference  # with its tool calls as a model writes them
            predictions.append(
                Prediction(
                    model_digest=self.model_digest,
                    setting_digest=setting_digest(self.setting),
                    prompt_digest=question.digest,
                    row_id=question.row_id,
                    answer=answer,
                    n_tokens=self.count_tokens(answer),
                    cut_off=False,
                    seconds=0.0,
                )
            )
        yield Batch(predictions, {})

    def alone(self) -> "NearestAnswer":
        """Itself: the other questions change no answer."""
        return self

    def as_served(self) -> "NearestAnswer":
        """Itself."""
        return self
