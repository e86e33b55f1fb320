"""Several processes that answer the same questions at the same time."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ft_assets.evaluation.answers import TABLE
from ft_assets.lake import Lake
from ft_assets_tests.evaluation.racing_evaluations import ROWS, evaluated

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("part_batches", [[5, 5, 5], [3, 4, 7]])
def test_each_row_is_read_once_and_nobody_is_asked_again(tmp_path: Path, part_batches: list[int]) -> None:
    module, lake, go = "ft_assets_tests.evaluation.racing_evaluations", tmp_path / "lake", tmp_path / "go"
    commands = [[sys.executable, "-m", module, str(lake), str(go), str(size)] for size in part_batches]
    racing = [subprocess.Popen(command) for command in commands]
    time.sleep(1.5)  # all of them wait by now
    go.touch()
    assert [process.wait(60) for process in racing] == [0, 0, 0]
    read = evaluated(str(lake))
    assert (read.asked, len(read.predictions), read.missing) == (0, ROWS, {})
    kept = Lake(str(lake)).scan(TABLE).collect()
    assert kept["prompt_digest"].n_unique() == ROWS
    assert kept.height == ROWS
