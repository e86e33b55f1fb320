import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ft_assets.errors import BadConfiguration, Rerunnable, StaleChampion
from ft_assets.records import Side
from ft_assets.settings import PROJECT_ROOT
from ft_assets.state import Promotion, State

POSTGRES = os.environ.get("FT_ASSETS_TEST_POSTGRES_URL")
LINE = "qa-engineer"


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.service)],
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/deep/er/state.db"
        return
    if not POSTGRES:
        pytest.skip("FT_ASSETS_TEST_POSTGRES_URL names no PostgreSQL server")
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url

    name = f"ft_assets_{uuid.uuid4().hex}"
    server = create_engine(POSTGRES, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield make_url(POSTGRES).set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


def promote(state: State, model: str, expected: str | None, evidence: str = "report") -> Promotion:
    return state.promote(LINE, model, expected, by="tester", why="better", evidence=evidence)


def test_the_history_of_champions_is_kept_in_order(url: str) -> None:
    state = State(url)
    assert state.champion(LINE) is None
    first = promote(state, "a", None)
    promote(state, "b", "a")
    back = promote(state, "a", "b")
    assert State(url).champion(LINE) == back
    assert [(p.number, p.model_digest, p.previous) for p in state.promotions(LINE)] == [
        (1, "a", None),
        (2, "b", "a"),
        (3, "a", "b"),
    ]
    assert state.promotions(LINE)[0] == first
    assert abs(datetime.now(UTC) - first.at) < timedelta(minutes=1)
    assert state.champion("another-line") is None


def test_a_rollback_stands_in_the_history_as_one(url: str) -> None:
    state = State(url)
    promote(state, "a", None)
    promote(state, "b", "a")
    back = state.promote(LINE, "a", "b", by="Ada", why="b is slow", evidence="report", kind="rollback")
    assert [promotion.kind for promotion in state.promotions(LINE)] == ["promotion", "promotion", "rollback"]
    assert state.champion(LINE) == back


def test_a_database_of_an_older_version_is_opened_with_its_rows_and_gets_the_new_columns(url: str) -> None:
    from sqlalchemy import create_engine

    State(url).trained()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE promotions DROP COLUMN kind")
        connection.exec_driver_sql('ALTER TABLE trained DROP COLUMN "by"')
        connection.exec_driver_sql(
            "INSERT INTO promotions (specialization, number, model_digest, at, by, why, evidence) "
            f"VALUES ('{LINE}', 1, 'a', '2026-01-01 00:00:00', 'tester', 'better', 'report')"
        )
    state = State(url)
    assert (state.champion(LINE).model_digest, state.champion(LINE).kind) == ("a", "promotion")
    promote(state, "b", "a")
    state.record_trained(LINE, "snapshot", "recipe", "base", "b", by="Ada")
    assert state.trained()[0].by == "Ada"


def test_promoting_against_a_fallen_champion_names_who_won(url: str) -> None:
    state = State(url)
    promote(state, "a", None)
    promote(state, "b", "a")
    with pytest.raises(StaleChampion, match=r"c was judged against a, and the champion is b \(promotion 2, by tester"):
        promote(state, "c", "a")
    with pytest.raises(StaleChampion, match="against no champion"):
        promote(state, "c", None)
    with pytest.raises(StaleChampion, match="champion is nobody"):
        state.promote("another-line", "c", "a", by="tester", why="better", evidence="report")
    assert len(state.promotions(LINE)) == 2


def test_a_promotion_that_is_retried_is_made_once(url: str) -> None:
    state = State(url)
    promote(state, "a", None)
    first = promote(state, "b", "a")
    assert promote(state, "b", "a") == first
    with pytest.raises(StaleChampion):
        promote(state, "b", "a", evidence="another report")
    assert len(state.promotions(LINE)) == 2


def test_of_thirty_two_threads_exactly_one_wins(url: str) -> None:
    promote(State(url), "old", None)

    def attempt(number: int) -> str:
        try:
            return promote(State(url), f"model-{number}", "old").model_digest
        except StaleChampion as error:
            return str(error)

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(attempt, range(32)))
    winners = [answer for answer in answers if answer.startswith("model-")]
    assert len(winners) == 1
    assert all(f"the champion is {winners[0]} " in answer for answer in answers if answer not in winners)
    assert [p.model_digest for p in State(url).promotions(LINE)] == ["old", winners[0]]


def test_of_four_processes_that_start_together_exactly_one_wins(url: str) -> None:
    script = (
        "import sys\n"
        "from ft_assets.errors import StaleChampion\n"
        "from ft_assets.state import State\n"
        "state, me = State(sys.argv[1]), sys.argv[2]\n"
        "number = state.assign_version('line', me)\n"
        "try:\n"
        "    state.promote('line', me, None, 'tester', 'better', 'report')\n"
        "    print('won', number)\n"
        "except StaleChampion:\n"
        "    print('lost', number)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, url, f"model-{number}"], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert sorted(answer[0] for answer in answers) == ["lost"] * 3 + ["won"]
    assert sorted(int(answer[1]) for answer in answers) == [1, 2, 3, 4]
    assert len(State(url).promotions("line")) == 1


def test_version_numbers_have_no_gaps_and_a_model_keeps_its_own(url: str) -> None:
    models = [f"model-{number % 8}" for number in range(32)]
    with ThreadPoolExecutor(16) as pool:
        numbers = list(pool.map(lambda model: State(url).assign_version(LINE, model), models))
    assert sorted(set(numbers)) == list(range(1, 9))
    assert len(set(zip(models, numbers, strict=True))) == 8
    assert State(url).assign_version("another-line", "model-0") == 1


def test_what_was_trained_last_is_remembered_once(url: str) -> None:
    state = State(url)
    assert state.last_trained(LINE) is None
    state.record_trained(LINE, "snapshot-1", "recipe", "base", "model-1")
    state.record_trained(LINE, "snapshot-2", "recipe", "base", "model-2")
    state.record_trained(LINE, "snapshot-1", "recipe", "base", "model-1")
    last = state.last_trained(LINE)
    assert last is not None
    assert (last.snapshot, last.model_digest, last.at.tzinfo, last.by) == ("snapshot-2", "model-2", UTC, None)
    assert [each.model_digest for each in state.trained(LINE)] == ["model-1", "model-2"]
    assert state.trained("another-line") == []


def test_the_first_side_of_a_cluster_stays(url: str) -> None:
    state = State(url)
    assert state.sides(LINE) == {}
    state.record_sides(LINE, {"c1": "train", "c2": "eval"}, "snapshot-1")
    state.record_sides(LINE, {"c2": "train", "c3": "validation"}, "snapshot-2")
    state.record_sides(LINE, {}, "snapshot-3")
    state.record_sides("another-line", {"c1": "eval"}, "snapshot-4")
    assert State(url).sides(LINE) == {"c1": "train", "c2": "eval", "c3": "validation"}
    assert state.sides("another-line") == {"c1": "eval"}


def test_sides_are_recorded_by_many_at_once_and_in_bulk(url: str) -> None:
    sides: dict[str, Side] = {f"cluster-{number}": "train" for number in range(25_000)}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: State(url).record_sides(LINE, sides, f"snapshot-{number}"), range(4)))
    assert State(url).sides(LINE) == sides


@pytest.mark.parametrize("bad", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "nonsense"])
def test_a_state_that_would_not_outlive_the_process_is_refused(bad: str) -> None:
    with pytest.raises(BadConfiguration, match="FT_ASSETS_STATE_URL"):
        State(bad).champion(LINE)


def test_a_file_that_is_no_database_and_a_directory_that_cannot_be_are_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("These are notes and no database, however often one asks. " * 20)
    with pytest.raises(BadConfiguration, match=r"notes\.txt, and that file is no SQLite database"):
        State(f"sqlite:///{tmp_path}/notes.txt").champion("qa-engineer")
    with pytest.raises(BadConfiguration, match="directory cannot be made"):
        State(f"sqlite:///{tmp_path}/notes.txt/state.db").champion("qa-engineer")
    with pytest.raises(Rerunnable, match="does not answer"):
        State(f"sqlite:///{tmp_path}").champion("qa-engineer")


def test_a_database_that_does_not_answer_is_worth_a_rerun_and_keeps_its_password() -> None:
    pytest.importorskip("psycopg2")
    with pytest.raises(Rerunnable) as failure:
        State("postgresql+psycopg2://ft:secret@127.0.0.1:1/ft").champion(LINE)
    assert "127.0.0.1:1" in str(failure.value)
    assert "secret" not in str(failure.value)
