"""Which lines are due, on a real instance, lake and state database."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ft_assets.defs import automation
from ft_assets.defs.automation import new_high_score_samples
from ft_assets.defs.curation import Curation
from ft_assets.defs.retraining import STATE_TAG, Due, Waiting, due_lines
from ft_assets.defs.sources import ingest_batch
from ft_assets.lake import Lake
from ft_assets.retraining.counting import count
from ft_assets.specializations.specialization import Specialization
from ft_assets.state import State
from ft_assets.state_taints import taint
from ft_assets_tests.defs.sensor_ticks import tick
from ft_assets_tests.retraining.lines import KEY, LINE, a_line, curate, snapshot_of, train_rows

pytestmark = pytest.mark.slow
NOW = datetime(2026, 3, 10, tzinfo=UTC)
SENSOR = "new_high_score_samples"
Look = Callable[..., Due | Waiting]


@dg.job(name="retrain")
def retrain() -> None:
    """Stands for runs of the job `retrain` in the run storage."""


@pytest.fixture
def look(instance: dg.DagsterInstance, lake: Lake, resources: dict[str, Any]) -> Look:
    def at(spec: Specialization, asked_by: str = SENSOR, now: datetime = NOW, **how: Any) -> Due | Waiting:
        due, waiting = due_lines(instance, lake, resources["state"], [spec], asked_by, now, **how)
        return [*due, *waiting][0]

    return at


def a_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
    tags = {name.replace("__", "/"): value for name, value in tags.items()}
    return instance.create_run_for_job(retrain, status=status, tags={"dagster/partition": LINE, **tags})


def test_99_new_examples_wait_and_100_are_due_with_the_number(lake: Lake, look: Look):
    curate(lake, train_rows(99))
    assert "qa-engineer 99 of 100" in look(a_line()).reason
    curate(lake, train_rows(100))
    due = look(a_line())
    assert isinstance(due, Due) and "100 new examples" in due.why
    assert look(a_line()) == due, "the same state of the data is the same run"


def test_sensor_and_schedule_never_ask_for_the_same_state_both(lake: Lake, look: Look):
    curate(lake, train_rows(100))
    assert isinstance(look(a_line(), SENSOR), Due)
    second = look(a_line(), "weekly_retraining", new_examples=1)
    assert isinstance(second, Waiting) and f"{SENSOR} asks for the run" in second.reason


def test_a_training_that_somebody_launched_from_the_assets_page_counts_as_under_way(
    instance: dg.DagsterInstance, lake: Lake, look: Look
):
    curate(lake, train_rows(100))

    @dg.job(name="__ASSET_JOB")
    def by_hand() -> None: ...

    instance.create_run_for_job(by_hand, status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": LINE})
    assert "waits for run" in look(a_line()).reason


def test_a_run_that_a_killed_tick_created_and_never_submitted_is_asked_for_again(
    instance: dg.DagsterInstance, lake: Lake, look: Look
):
    curate(lake, train_rows(100))
    due = look(a_line())
    tags = {"dagster__sensor_name": SENSOR, "dagster__run_key": due.run_key, "ft_assets__data_state": due.state}
    a_run(instance, dg.DagsterRunStatus.NOT_STARTED, **tags)
    curate(lake, train_rows(130))
    assert look(a_line()).run_key == due.run_key, "Dagster submits the run that has this key"
    assert isinstance(look(a_line(), "weekly_retraining"), Waiting)


def test_a_failed_run_consumes_nothing_and_two_of_them_wait_for_data(
    instance: dg.DagsterInstance, lake: Lake, look: Look
):
    curate(lake, train_rows(100))
    for attempt in (1, 2):
        due = look(a_line())
        assert due.attempt == attempt
        a_run(instance, dg.DagsterRunStatus.FAILURE, ft_assets__data_state=due.tags[STATE_TAG])
    assert "did not train" in look(a_line()).reason
    curate(lake, train_rows(101))
    assert look(a_line()).attempt == 1


def test_a_cooldown_and_a_budget_of_runs_delay_with_numbers(
    instance: dg.DagsterInstance, lake: Lake, resources: dict[str, Any], look: Look, tmp_path: Path
):
    curate(lake, train_rows(10))
    resources["state"].record_trained(LINE, snapshot_of(lake, tmp_path / "one"), "recipe", "base", "model")
    curate(lake, train_rows(110))
    now = datetime.now(UTC)
    waiting = look(a_line(cooldown_hours=3), now=now)
    assert "100 new examples" in waiting.reason and "cooldown_hours is 3" in waiting.reason
    assert isinstance(look(a_line(cooldown_hours=3), now=waiting.until + timedelta(seconds=1)), Due)
    a_run(instance, dg.DagsterRunStatus.FAILURE)
    assert isinstance(look(a_line(runs_per_month=2), now=now), Due)
    assert "1 runs this month" in look(a_line(runs_per_month=1), now=now).reason


def test_dollars_are_those_that_trainings_reported_and_the_time_of_runs_that_reported_none(
    instance: dg.DagsterInstance, lake: Lake, look: Look
):
    curate(lake, train_rows(100))
    line = a_line(dollars_per_month=10)
    assert "dollars_per_gpu_hour is not" in look(line).reason
    priced = line.model_copy(update={"compute": line.compute.model_copy(update={"dollars_per_gpu_hour": 3.0})})

    @dg.asset(name="lora_checkpoint", partitions_def=dg.StaticPartitionsDefinition([LINE]))
    def trained() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"cost_dollars": 6.0})

    def now() -> datetime:
        return datetime.now(UTC)

    assert dg.materialize([trained], partition_key=LINE, instance=instance).success
    assert isinstance(look(priced, now=now()), Due)
    assert dg.materialize([trained], partition_key=LINE, instance=instance).success
    assert "12.00 dollars this month" in look(priced, now=now()).reason


def test_the_time_of_a_failed_run_is_paid_for(instance: dg.DagsterInstance, lake: Lake, look: Look):
    @dg.op
    def break_down() -> None:
        raise ValueError("out of order")

    @dg.job(name="retrain")
    def failing() -> None:
        break_down()

    curate(lake, train_rows(100))
    line = a_line(dollars_per_month=10)
    priced = line.model_copy(update={"compute": line.compute.model_copy(update={"dollars_per_gpu_hour": 36e6})})
    assert isinstance(look(priced, now=datetime.now(UTC)), Due)
    failing.execute_in_process(instance=instance, tags={"dagster/partition": LINE}, raise_on_error=False)
    assert "its budget is spent" in look(priced, now=datetime.now(UTC)).reason


def test_a_tainted_champion_is_due_until_a_model_without_taint_was_trained(
    lake: Lake, resources: dict[str, Any], look: Look, tmp_path: Path
):
    state = resources["state"]
    curate(lake, train_rows(100))
    snapshot = snapshot_of(lake, tmp_path / "one")
    state.record_trained(LINE, snapshot, "recipe", "base", "old")
    state.promote(LINE, "old", None, by="test", why="first", evidence="report")
    assert "0 of 100" in look(a_line()).reason
    taint(state, ["old"], "rows of a forgotten user", "forget")
    due = look(a_line())
    assert isinstance(due, Due) and "rows of a forgotten user" in due.why
    state.record_trained(LINE, snapshot, "recipe", "base", "new")
    assert "0 of 100" in look(a_line()).reason


def test_a_line_that_cannot_be_read_holds_up_no_other(
    instance: dg.DagsterInstance, lake: Lake, resources: dict[str, Any]
):
    curate(lake, train_rows(100))
    broken = a_line().model_copy(update={"name": "devops-engineer"})
    resources["state"].record_trained("devops-engineer", "0" * 64, "recipe", "base", "model")
    due, waiting = due_lines(instance, lake, resources["state"], [broken, a_line()], SENSOR, NOW)
    assert [line.specialization for line in due] == [LINE]
    assert "devops-engineer could not be looked at" in waiting[0].reason and "0" * 12 in waiting[0].reason


def test_the_sensor_looks_again_when_a_model_was_trained_and_when_time_has_passed(
    instance: dg.DagsterInstance,
    lake: Lake,
    resources: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(automation, "SPECIALIZATIONS", {LINE: a_line(cooldown_hours=0.001)})
    curate(lake, train_rows(99))
    first = tick(new_high_score_samples, instance, resources)
    assert "99 of 100" in first.skip_message
    resources["state"].record_trained(LINE, snapshot_of(lake, tmp_path / "one"), "recipe", "base", "model")
    second = tick(new_high_score_samples, instance, resources, first.cursor)
    assert "0 of 100" in second.skip_message
    curate(lake, train_rows(199))
    third = tick(new_high_score_samples, instance, resources, second.cursor)
    later = datetime.now(UTC) + timedelta(seconds=10)
    monkeypatch.setattr(automation, "utc_now", lambda: later)
    assert third.run_requests or tick(new_high_score_samples, instance, resources, third.cursor).run_requests


def test_the_same_rows_are_new_however_they_landed(tmp_path: Path):
    rows, draw = logged_rows(40), random.Random(4)
    shuffled = draw.sample(rows, len(rows))
    found = []
    for name, landings in {
        "plain": [("2026-03-01", rows)],
        "messy": [
            ("2026-03-01", shuffled[:25]),
            ("2026-03-02", rows[5:20] * 2),
            ("2026-02-20", shuffled[25:] + shuffled[:9]),
        ],
    }.items():
        lake, state = Lake(str(tmp_path / name)), State(f"sqlite:///{tmp_path}/{name}.db")
        for day, landed in landings:
            arrive(lake, day, landed)
        found.append(count(lake, state, a_line(), KEY).new)
    assert found[0] == found[1]
    assert 20 < len(found[0]) < 40, "the train side of all forty"


def logged_rows(count: int) -> list[dict[str, str | int]]:
    draw = random.Random(3)
    words = [f"word{number}" for number in range(300)]
    return [
        {
            "interaction_id": f"row-{number}",
            "role": LINE,
            "task_type": "test_cases",
            "input_text": f"{number}: {' '.join(draw.choices(words, k=20))}",
            "output_text": " ".join(draw.choices(words, k=40)),
            "user_feedback": 5,
            "source": "test",
        }
        for number in range(count)
    ]


def arrive(lake: Lake, day: str, rows: list[dict[str, str | int]]) -> None:
    """Lands, ingests and curates these rows, as one run of the job `curate` does."""
    lake.land(day, "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    ingest_batch(lake, [day])
    Curation(lake).curate_batch([day])
