"""An evaluation without a model in a process of its own, that starts together with others.

    python -m ft_assets_tests.evaluation.racing_evaluations <lake> <signal file> <batches of a part>

waits for the signal file, then answers 120 rows in batches of four.
"""

import sys
import time
from pathlib import Path

from ft_assets.evaluation.answers import Answers, answers_to
from ft_assets.lake import Lake
from ft_assets_tests.evaluation.plain_backend import PlainBackend
from ft_assets_tests.evaluation.samples import item

ROWS = 120


def evaluated(url: str, part_batches: int = 8) -> Answers:
    items = [item(f"r{i:03d}", f"Say word{i}", f"word{i}") for i in range(ROWS)]
    return answers_to(Lake(url), PlainBackend(), items, None, part_batches=part_batches)


if __name__ == "__main__":
    while not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    evaluated(sys.argv[1], int(sys.argv[3]))
