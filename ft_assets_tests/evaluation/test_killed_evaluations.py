"""An evaluation that is killed goes on where it stopped, and ends as one that was not."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ft_assets.evaluation.answers import TABLE
from ft_assets.evaluation.prediction import Prediction
from ft_assets.lake import Lake
from ft_assets_tests.evaluation.dying_evaluations import BATCH_ROWS, evaluated
from ft_assets_tests.evaluation.tiny_models import needs_base

pytestmark = needs_base
ROWS = 24


def start(lake: Path, dies_after: int) -> subprocess.Popen[str]:
    module = "ft_assets_tests.evaluation.dying_evaluations"
    command = [sys.executable, "-m", module, str(lake), str(ROWS), str(dies_after)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kept(lake: Path) -> list[str]:
    return Lake(str(lake)).scan(TABLE).collect()["prompt_digest"].to_list()


def without_time(predictions: list[Prediction]) -> list[Prediction]:
    return [replace(one, seconds=0.0) for one in predictions]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[Prediction]:
    return without_time(evaluated(str(tmp_path_factory.mktemp("whole")), ROWS).predictions)


def test_a_killed_evaluation_loses_at_most_a_part_and_ends_as_one_that_was_not(
    tmp_path: Path, uninterrupted: list[Prediction]
) -> None:
    killed = start(tmp_path, dies_after=5)
    assert killed.wait(120) == -signal.SIGKILL
    assert len(kept(tmp_path)) == 4 * BATCH_ROWS  # the fifth batch was in a part that was not written
    went_on = evaluated(str(tmp_path), ROWS)
    assert went_on.asked == ROWS - 4 * BATCH_ROWS
    assert without_time(went_on.predictions) == uninterrupted
