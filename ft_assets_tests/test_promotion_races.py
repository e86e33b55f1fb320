"""Many processes want to be champion at once, and some of them are killed: one winner a round, a history in a row."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ft_assets.settings import PROJECT_ROOT
from ft_assets.state import Promotion, State
from ft_assets_tests.postgres_server import fresh_database
from ft_assets_tests.promotion_race import LINE

PROMOTERS, ROUNDS = 64, 100


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state.db"
    else:
        with fresh_database() as database:
            yield database


def raced(*arguments: object) -> Any:
    command = [sys.executable, "-m", "ft_assets_tests.promotion_race", *map(str, arguments)]
    done = subprocess.run(command, cwd=PROJECT_ROOT, env={**os.environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def assert_linear(history: list[Promotion]) -> None:
    """Every champion follows on the one that it was judged against; no number is missing or doubled."""
    assert [promotion.number for promotion in history] == list(range(1, len(history) + 1))
    assert [promotion.previous for promotion in history] == [None, *(each.model_digest for each in history[:-1])]


def assert_one_winner_each(told: list[dict[str, Any]], rounds: int, promoters: int) -> None:
    by_round = defaultdict(list)
    for entry in told:
        by_round[entry["round"]].append(entry)
    assert sorted(by_round) == list(range(rounds))
    for entries in by_round.values():
        assert len(entries) == promoters
        winners = [entry["model"] for entry in entries if not entry["refusal"]]
        assert len(winners) == 1
        refusals = [entry["refusal"] for entry in entries if entry["refusal"]]
        assert all(f"the champion is {winners[0]} " in refusal for refusal in refusals), "it names who won"


def test_of_eight_processes_one_wins_each_round_and_the_others_hear_who(url: str) -> None:
    assert_one_winner_each(raced("rounds", url, 8, 4), 4, 8)
    history = State(url).promotions(LINE)
    assert_linear(history)
    assert len(history) == 4


@pytest.mark.long
def test_of_sixty_four_processes_one_wins_each_of_a_hundred_rounds(url: str) -> None:
    assert_one_winner_each(raced("rounds", url, PROMOTERS, ROUNDS), ROUNDS, PROMOTERS)
    history = State(url).promotions(LINE)
    assert_linear(history)
    assert len(history) == ROUNDS


@pytest.mark.slow
def test_promoters_that_are_killed_leave_a_history_in_a_row_and_nothing_that_blocks(url: str) -> None:
    acknowledged = raced("killed", url, 4, 15)
    history = State(url).promotions(LINE)
    assert_linear(history)
    assert len(acknowledged) > 10
    assert len(set(acknowledged)) == len(acknowledged)
    kept = {promotion.model_digest for promotion in history}
    assert set(acknowledged) <= kept, "what was confirmed is not lost"
    assert len(kept) == len(history)
    assert State(url).promote(LINE, "next", history[-1].model_digest, "a test", "better", "report").number > len(kept)
