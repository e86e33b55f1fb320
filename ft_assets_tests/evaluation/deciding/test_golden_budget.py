import pytest

from ft_assets.evaluation.deciding.golden_budget import (
    cumulative_false_promotion_rate,
    questions_of,
    set_digest,
    status_of,
    take_decision,
)
from ft_assets.state import State
from ft_assets.state_golden import golden_decisions
from ft_assets_tests.evaluation.samples import item

LINE, SUITE = "qa-engineer", "golden set"


def questions(first: int, last: int) -> dict[str, str]:
    return {f"r{i}": f"question {i}" for i in range(first, last)}


@pytest.fixture
def state(tmp_path) -> State:
    return State(f"sqlite:///{tmp_path}/state.db")


def take(state: State, asked: dict[str, str], candidate: str, incumbent: str = "champion", budget: int = 3):
    return take_decision(state, LINE, SUITE, asked, candidate, incumbent, budget)


def test_decisions_are_counted_and_then_the_set_is_spent(state: State):
    asked = questions(0, 10)
    assert [take(state, asked, f"m{i}").decision for i in range(3)] == [1, 2, 3]
    spent = take(state, asked, "m3")
    assert (spent.spent, spent.decision, spent.share_new) == (True, None, 0.0)
    assert len(golden_decisions(state, LINE, SUITE)) == 3  # what is only held is no decision


def test_the_same_comparison_again_is_the_decision_it_was_even_when_the_set_is_spent(state: State):
    asked = questions(0, 10)
    first = take(state, asked, "m0")
    for i in range(1, 3):
        take(state, asked, f"m{i}")
    assert take(state, asked, "m0") == first
    assert take(state, asked, "m0", incumbent="another").spent
    assert len(golden_decisions(state, LINE, SUITE)) == 3


def test_a_spent_set_is_good_again_once_30_percent_of_it_are_new(state: State):
    for i in range(3):
        take(state, questions(0, 10), f"m{i}")
    almost = take(state, questions(2, 12), "m3")
    assert (almost.spent, almost.share_new) == (True, 0.2)
    renewed = take(state, questions(3, 13), "m3")
    assert (renewed.decision, renewed.renewals, renewed.share_new) == (1, 1, 0.3)
    assert renewed.new_rows == {"r10", "r11", "r12"}
    assert take(state, questions(3, 13), "m3") == renewed
    assert [take(state, questions(3, 13), f"n{i}").decision for i in range(3)] == [2, 3, None]
    back = take(state, questions(0, 10), "n9")
    assert (back.spent, back.share_new) == (True, 0.0)  # old questions do not become new by coming back


def test_changing_the_set_before_it_is_spent_buys_nothing(state: State):
    assert take(state, questions(0, 10), "m0").decision == 1
    assert take(state, questions(5, 15), "m1").decision == 2
    assert take(state, questions(10, 20), "m2").decision == 3
    assert take(state, questions(10, 20), "m3").spent


def test_lines_and_suites_have_budgets_of_their_own(state: State):
    take(state, questions(0, 10), "m0", budget=1)
    assert take_decision(state, "another-line", SUITE, questions(10, 20), "m1", "c", 1).decision == 1
    assert take_decision(state, LINE, "another suite", questions(20, 30), "m1", "c", 1).decision == 1
    assert take(state, questions(0, 10), "m1", budget=1).spent


def test_lines_that_share_a_golden_set_share_its_budget(state: State):
    """Otherwise a copy of the YAML under another name would look at the same questions twenty times more."""

    def other(asked: dict[str, str], candidate: str):
        return take_decision(state, "another-line", SUITE, asked, candidate, "its champion", 3)

    asked = questions(0, 10)
    assert take(state, asked, "m0").decision == 1
    assert other(asked, "n0").decision == 2
    assert take(state, asked, "m1").decision == 3
    assert take(state, asked, "m2").spent and other(asked, "n1").spent
    assert (take(state, asked, "m0").decision, other(asked, "n0").decision) == (1, 2)  # what was decided stays decided
    assert other(questions(2, 12), "n1").spent  # a fifth of it is new
    assert other(questions(3, 13), "n1").decision == 2  # its own first one still counts
    renewed = take(state, questions(3, 13), "m2")
    assert (renewed.decision, renewed.renewals) == (2, 1)


def test_a_renewed_set_counts_what_another_line_decided_on_it(state: State):
    fresh = questions(3, 13)
    for i in range(3):
        take(state, questions(0, 10), f"m{i}")
    for i in range(2):
        assert take_decision(state, "another-line", SUITE, fresh, f"n{i}", "c", 3).decision == i + 1
    renewed = take(state, fresh, "m3")
    assert (renewed.decision, renewed.renewals) == (3, 1)
    assert take(state, fresh, "m4").spent


def test_a_question_stays_the_same_whatever_its_id_its_spaces_and_its_answer():
    one = questions_of([item("a", prompt="Say  it.\n", reference="x")])
    two = questions_of([item("b", prompt="say it.", reference="y")])
    assert list(one.values()) == list(two.values())
    assert set_digest(one) == set_digest(two)
    assert set_digest(questions_of([item("b", prompt="Say that.")])) != set_digest(one)


def test_the_cumulative_rate_is_that_of_independent_looks():
    assert cumulative_false_promotion_rate(1) == pytest.approx(0.025)
    assert cumulative_false_promotion_rate(20) == pytest.approx(1 - 0.975**20)
    assert cumulative_false_promotion_rate(25) == pytest.approx(0.47, abs=0.002)


def test_a_decision_of_nothing_is_the_first_one():
    status, repeated = status_of([], questions(0, 3), "m", "c", 20)
    assert (status.decision, status.renewals, status.new_rows, repeated) == (1, 0, frozenset(), False)
