"""An evaluation in a process of its own, that is killed after so many batches.

    python -m ft_assets_tests.evaluation.dying_evaluations <lake> <rows> <batches>

asks the tiny base and keeps parts of two batches of four rows. After `batches` batches it kills itself, as an operator
or the kernel would; 0: it never does. It prints how many rows it asked.
"""

import os
import signal
import sys
from collections.abc import Iterator, Sequence

from ft_assets.evaluation.answers import Answers, answers_to
from ft_assets.evaluation.asking.backend import Batch, Question
from ft_assets.evaluation.asking.transformers_backend import TransformersBackend
from ft_assets.lake import Lake
from ft_assets_tests.evaluation.tiny_models import base_model, questions

BATCH_ROWS = 4
PART_BATCHES = 2


class Dying(TransformersBackend):
    """Kills its process when so many batches came back."""

    dies_after = 0

    def batches(self, questions: Sequence[Question]) -> Iterator[Batch]:
        for number, batch in enumerate(super().batches(questions), start=1):
            yield batch
            if number == self.dies_after:
                os.kill(os.getpid(), signal.SIGKILL)


def evaluated(url: str, rows: int, dies_after: int = 0) -> Answers:
    whole = base_model(batch_rows=BATCH_ROWS)
    backend = Dying(whole.model, whole.max_new_tokens, whole.batch_rows)
    backend.dies_after = dies_after
    return answers_to(Lake(url), backend, questions(rows), "Answer exactly.", part_batches=PART_BATCHES)


if __name__ == "__main__":
    print(evaluated(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])).asked)
