"""The retrain ledger in the state database: examples that were consumed, and who may ask for a run."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ft_assets.state import State
from ft_assets.state_ledger import CLAIM_STANDS, claim, consume, consumed, consumed_snapshots
from ft_assets_tests.postgres_server import fresh_database

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    if request.param == "sqlite":
        yield State(f"sqlite:///{tmp_path}/state.db")
        return
    with fresh_database() as url:
        yield State(url)


def test_examples_are_consumed_once_and_by_their_line(state: State):
    consume(state, "qa", "one", ["a", "b"])
    consume(state, "qa", "two", ["b", "c", "c"])
    consume(state, "qa", "two", ["b", "c"])
    assert consumed(state, "qa") == {"a", "b", "c"}
    assert consumed_snapshots(state, "qa") == {"one", "two"}
    assert consumed(state, "devops") == consumed_snapshots(state, "devops") == set()


def test_a_snapshot_without_new_examples_is_remembered_too(state: State):
    consume(state, "qa", "empty", [])
    assert consumed_snapshots(state, "qa") == {"empty"}


def test_the_first_who_asks_gets_the_run_and_may_ask_again(state: State):
    assert claim(state, "qa", "state", 1, "sensor", NOW) == "sensor"
    assert claim(state, "qa", "state", 1, "sensor", NOW + timedelta(days=3)) == "sensor"
    assert claim(state, "qa", "state", 1, "schedule", NOW + timedelta(minutes=1)) == "sensor"
    assert claim(state, "qa", "state", 2, "schedule", NOW) == "schedule"
    assert claim(state, "qa", "other", 1, "schedule", NOW) == "schedule"


def test_whoever_asked_and_never_came_back_is_succeeded(state: State):
    assert claim(state, "qa", "state", 1, "sensor", NOW) == "sensor"
    later = NOW + CLAIM_STANDS + timedelta(seconds=1)
    assert claim(state, "qa", "state", 1, "schedule", later) == "schedule"
    assert claim(state, "qa", "state", 1, "sensor", later) == "schedule"


def test_of_many_who_ask_together_one_gets_it(state: State):
    consumed(state, "qa")  # the tables are there
    with ThreadPoolExecutor(8) as together:
        owners = list(together.map(lambda who: claim(state, "qa", "state", 1, f"asker {who}", NOW), range(24)))
    assert len(set(owners)) == 1
