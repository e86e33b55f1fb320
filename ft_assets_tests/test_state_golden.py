import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ft_assets.settings import PROJECT_ROOT
from ft_assets.state import State
from ft_assets.state_golden import GoldenDecision, decide_once, golden_decisions

POSTGRES = os.environ.get("FT_ASSETS_TEST_POSTGRES_URL")
LINE, SUITE = "qa-engineer", "golden set"
WRITERS = 4
TAKES_FOUR = """
import sys
from ft_assets.evaluation.deciding.golden_budget import take_decision
from ft_assets.state import State
url, who = sys.argv[1:]
questions = {f"r{i}": f"question {i}" for i in range(5)}
for n in range(4):
    for _ in range(2):  # each one twice, as a step that is retried would
        print(take_decision(State(url), "qa-engineer", "golden set", questions, f"{who}-{n}", "c", 12).decision)
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.service)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state.db"
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


def decision(number: int, candidate: str) -> GoldenDecision:
    return GoldenDecision(LINE, SUITE, number, 1, "set", candidate, "", ("a", "b"))


def test_decisions_are_kept_in_order_with_their_questions(url: str):
    state = State(url)
    assert golden_decisions(state, LINE, SUITE) == []
    for candidate in ("m1", "m2"):
        decide_once(state, LINE, SUITE, lambda history, _, c=candidate: (None, decision(len(history) + 1, c)))
    assert golden_decisions(State(url), LINE, SUITE) == [decision(1, "m1"), decision(2, "m2")]
    assert golden_decisions(state, "another-line", SUITE) == []


def test_decisions_on_other_suites_are_shown_beside_the_own_ones(url: str):
    state = State(url)
    decide_once(state, LINE, SUITE, lambda history, elsewhere: (None, decision(1, "m1")))
    seen = decide_once(state, "another-line", SUITE, lambda history, elsewhere: ((history, elsewhere), None))
    assert seen == ([], [decision(1, "m1")])
    assert seen[1][0].at is not None


def test_an_answer_without_a_row_changes_nothing(url: str):
    state = State(url)
    assert decide_once(state, LINE, SUITE, lambda history, elsewhere: ("held", None)) == "held"
    assert golden_decisions(state, LINE, SUITE) == []


def test_threads_that_decide_together_get_a_number_each(url: str):
    state = State(url)

    def take(candidate: int) -> int:
        def judge(history, elsewhere):
            number = len(history) + 1
            return number, decision(number, f"m{candidate}")

        return decide_once(state, LINE, SUITE, judge)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(take, range(8))) == list(range(1, 9))
    assert [made.number for made in golden_decisions(state, LINE, SUITE)] == list(range(1, 9))


@pytest.mark.slow
def test_processes_share_one_budget(url: str):
    """Four processes ask for four decisions each, all twice; twelve are to be had, and nobody gets a thirteenth."""
    command = [sys.executable, "-c", TAKES_FOUR, url]
    running = [
        subprocess.Popen([*command, f"p{n}"], stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT)
        for n in range(WRITERS)
    ]
    told = [process.communicate(timeout=120)[0].split() for process in running]
    assert [process.returncode for process in running] == [0] * WRITERS
    for answers in told:
        assert answers[::2] == answers[1::2]  # a decision that is asked for again is the same one
    numbers = sorted(int(answer) for answers in told for answer in answers[::2] if answer != "None")
    assert numbers == list(range(1, 13))
    assert len(golden_decisions(State(url), LINE, SUITE)) == 12
