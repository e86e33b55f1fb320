"""What is new: every example counts once, in whatever order, day or number it arrived."""

import random
import shutil
from pathlib import Path

import pytest

from ft_assets.lake import Lake
from ft_assets.retraining.counting import count, fill_ledger
from ft_assets.state import State
from ft_assets.state_ledger import consumed
from ft_assets_tests.retraining.lines import DAY, KEY, LINE, a_line, curate, snapshot_of, train_rows


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path}/state.db")


def new(lake: Lake, state: State) -> list[str]:
    return count(lake, state, a_line(), KEY).new


def train(lake: Lake, state: State, folder: Path, model: str) -> str:
    snapshot = snapshot_of(lake, folder)
    state.record_trained(LINE, snapshot, "recipe", "base", model)
    return snapshot


def test_a_snapshot_that_did_not_train_consumes_nothing(lake: Lake, state: State, tmp_path: Path):
    curate(lake, train_rows(20))
    snapshot_of(lake, tmp_path / "one")
    assert len(new(lake, state)) == 20
    assert consumed(state, LINE) == set()


def test_what_trained_is_consumed_also_when_the_process_died_right_after(lake: Lake, state: State, tmp_path: Path):
    curate(lake, train_rows(20))
    train(lake, state, tmp_path / "one", "model")
    assert new(lake, state) == []
    curate(lake, train_rows(25))
    assert new(lake, state) == [row["example_id"] for row in train_rows(5, first=20)]


def test_rows_that_come_late_twice_or_out_of_order_count_once(lake: Lake, state: State, tmp_path: Path):
    curate(lake, train_rows(30))
    train(lake, state, tmp_path / "one", "model")
    late = [{**row, "day": "2026-02-01"} for row in train_rows(10, first=30)]
    random.Random(2).shuffle(late)
    curate(lake, late, "2026-02-01")
    twice = [{**row, "day": "2026-03-02"} for row in train_rows(10, first=25)]  # five old ones, five of the late ones
    curate(lake, twice, "2026-03-02")
    assert new(lake, state) == sorted(row["example_id"] for row in late)


def test_a_training_that_ends_after_a_newer_one_makes_no_row_new_again(lake: Lake, state: State, tmp_path: Path):
    curate(lake, train_rows(20))
    older = snapshot_of(lake, tmp_path / "older")
    curate(lake, train_rows(40))
    newer = snapshot_of(lake, tmp_path / "newer")
    for snapshot, model in ((newer, "b"), (older, "a")):
        state.record_trained(LINE, snapshot, "recipe", "base", model)
    assert new(lake, state) == []


def test_the_ledger_knows_what_was_consumed_after_an_earlier_snapshot_is_gone(lake: Lake, state: State, tmp_path: Path):
    curate(lake, train_rows(20))
    first = train(lake, state, tmp_path / "one", "a")
    fill_ledger(lake, state, LINE)
    curate(lake, train_rows(20, first=20))  # the first twenty are curated away for a while
    train(lake, state, tmp_path / "two", "b")
    shutil.rmtree(lake.artifact("snapshot", first).path)
    curate(lake, train_rows(41))
    counted = count(lake, state, a_line(), KEY)
    assert counted.new == [row["example_id"] for row in train_rows(1, first=40)]
    assert counted.unreadable == {}


def test_a_snapshot_that_went_before_it_was_entered_is_named(lake: Lake, state: State, tmp_path: Path):
    curate(lake, train_rows(20))
    first = train(lake, state, tmp_path / "one", "a")
    curate(lake, train_rows(20, first=20))
    train(lake, state, tmp_path / "two", "b")
    shutil.rmtree(lake.artifact("snapshot", first).path)
    counted = count(lake, state, a_line(), KEY)
    assert list(counted.unreadable) == [first]


def test_other_days_and_lines_are_not_touched(lake: Lake, state: State, tmp_path: Path):
    curate(lake, train_rows(5), DAY)
    train(lake, state, tmp_path / "one", "a")
    fill_ledger(lake, state, LINE)
    assert len(consumed(state, LINE)) == 5
    assert consumed(state, "devops-engineer") == set()
