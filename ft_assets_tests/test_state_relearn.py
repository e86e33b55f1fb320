from pathlib import Path

import pytest

from ft_assets.state import State
from ft_assets.state_relearn import must_relearn
from ft_assets.state_taints import taint

LINE = "qa-engineer"


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path}/state.db")


def train(state: State, model: str) -> None:
    state.record_trained(LINE, f"snapshot of {model}", "recipe", "base", model)


def test_a_line_without_taints_learns_when_something_new_came_in(state: State) -> None:
    assert must_relearn(state, LINE) is None
    train(state, "one")
    taint(state, ["of another line"], "a reason", "somebody")
    assert must_relearn(state, LINE) is None


def test_a_tainted_newest_model_or_champion_is_replaced_until_a_clean_one_was_trained(state: State) -> None:
    train(state, "one")
    state.promote(LINE, "one", None, "somebody", "better", "evidence")
    train(state, "two")
    taint(state, ["one"], "it learned from rows", "somebody")
    assert must_relearn(state, LINE) == f"{LINE}: its champion is tainted (it learned from rows)"
    taint(state, ["two"], "it learned from rows", "somebody")
    train(state, "three")
    assert must_relearn(state, LINE) is None, "the champion stays tainted, and a clean model is there to be judged"
    taint(state, ["three"], "another person", "somebody")
    assert "its champion is tainted" in str(must_relearn(state, LINE))
