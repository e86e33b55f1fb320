"""Versions, reports, approvals and taints: rows that are only ever added."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ft_assets.state import State
from ft_assets.state_approvals import approvals, record_approval
from ft_assets.state_registry import Registered, evaluations, record_evaluation, record_registration, registrations
from ft_assets.state_taints import taint, taints

LINE = "qa-engineer"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ONE = Registered(LINE, "one", 1, "ea-one", "hybrid", "snapshot", "base", "recipe", "Ada", NOW)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path}/state.db")


def test_the_first_registration_of_a_model_stays(state: State) -> None:
    assert record_registration(state, ONE) == ONE
    assert record_registration(state, replace(ONE, trained_by="somebody else")) == ONE
    two = replace(ONE, model_digest="two", number=2, version_name="ea-two")
    record_registration(state, two)
    record_registration(state, replace(ONE, specialization="another-line"))
    assert registrations(state, LINE) == [ONE, two]
    assert len(registrations(state)) == 3


def test_reports_are_kept_in_the_order_of_their_coming_and_once_each(state: State) -> None:
    record_evaluation(state, LINE, "one", "report-1", "hold", "hold: few rows")
    record_evaluation(state, LINE, "two", "report-2", "promote", "promote: +0.4", "run-2")
    record_evaluation(state, LINE, "one", "report-1", "promote", "said otherwise", "run-3")
    assert [(each.model_digest, each.outcome) for each in evaluations(state, LINE)] == [
        ("one", "hold"),
        ("two", "promote"),
    ]
    [second] = evaluations(state, LINE, "two")
    assert (second.report_digest, second.summary, second.run_id) == ("report-2", "promote: +0.4", "run-2")
    assert evaluations(state, "another-line") == []


def test_every_approval_is_kept_with_its_end(state: State) -> None:
    for days in (1, 14):
        record_approval(state, LINE, "one", "report", "Ada", "good", days)
    first, second = approvals(state, LINE, "one")
    assert ((first.expires_at - first.at).days, (second.expires_at - second.at).days) == (1, 14)
    assert first.stands("report", first.at) and not first.stands("another report", first.at)
    assert approvals(state, LINE, "two") == []


def test_many_may_taint_the_same_models_at_once(state: State) -> None:
    models = [f"model-{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: taint(state, models, "a user was forgotten", "forget"), range(8)))
    taint(state, ["model-0"], "a leaked key", "Ada")
    taint(state, [], "nothing", "Ada")
    found = taints(state)
    assert sorted(found) == sorted(models)
    assert [each.reason for each in found["model-0"]] == ["a user was forgotten", "a leaked key"]
    assert all(len(each) == 1 for model, each in found.items() if model != "model-0")
