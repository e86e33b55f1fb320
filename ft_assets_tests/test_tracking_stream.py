import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ft_assets.errors import Rerunnable
from ft_assets.tracking import Tracking
from ft_assets.tracking_delivery import ABANDONED_SECONDS, SEEN_TAG
from ft_assets.tracking_stream import RunStream
from ft_assets_tests.mlflow_servers import free_port, mlflow_server, silent_server

KEY = "7" * 64
STEPS = range(1, 31)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an MLflow database; making its tables takes seconds, so the tests share it."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def tracking(database: Path, tmp_path: Path) -> Tracking:
    return Tracking(f"sqlite:///{database}/mlflow.db", tmp_path / "spool")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def stream(tracking: Tracking, experiment: str, key: str = KEY) -> RunStream:
    params, tags = {"r": 8, "base": "tiny"}, {"dagster_run_id": "d1"}
    return RunStream(tracking, key, experiment, "qa-engineer", params, tags, send_seconds=0.2)


def log_steps(to: RunStream, steps: Any = STEPS) -> None:
    for step in steps:
        to.log(step, {"loss": 8 / step, "learning_rate": 1e-3, "grad_norm": float("nan")})


def fail_after(run: RunStream, steps: Any, error: type[BaseException]) -> None:
    with run:
        log_steps(run, steps)
        raise error("stopped")


def only_run(tracking: Tracking, experiment: str) -> Any:
    (run,) = tracking.client().search_runs([tracking.experiment_id(experiment)])
    return run


def points(tracking: Tracking, run: Any, name: str = "loss") -> list[tuple[int, float]]:
    return sorted((p.step, p.value) for p in tracking.client().get_metric_history(run.info.run_id, name))


def every_step_once(tracking: Tracking, experiment: str, steps: Any = STEPS) -> bool:
    return points(tracking, only_run(tracking, experiment)) == [(step, 8 / step) for step in steps]


def until(true: Any, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_a_run_fills_while_its_training_runs(tracking: Tracking, database: Path) -> None:
    run = stream(tracking, "fills")
    log_steps(run, range(1, 11))
    assert until(lambda: run.run_id) and until(lambda: len(points(tracking, only_run(tracking, "fills"))) == 10)
    assert only_run(tracking, "fills").info.status == "RUNNING"
    assert tracking.deliver() == {}  # nobody takes it from a process that lives
    log_steps(run, range(11, 31))
    run.attach(tags={"adapter_digest": "a" * 64}, artifacts={"loss_curve.png": b"\x89PNG"})
    assert run.finish() == run.run_id
    ended = only_run(tracking, "fills")
    assert (ended.info.status, ended.data.tags["adapter_digest"]) == ("FINISHED", "a" * 64)
    assert ended.data.params == {"r": "8", "base": "tiny"}
    assert every_step_once(tracking, "fills")
    assert "grad_norm" not in ended.data.metrics
    assert ended.data.metrics["system/system_memory_usage_megabytes"] > 0
    (picture,) = database.rglob(f"{run.run_id}/artifacts/loss_curve.png")
    assert picture.read_bytes() == b"\x89PNG"
    assert tracking.waiting() == 0


@pytest.mark.slow
@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (Rerunnable, "KILLED"), (SystemExit, "KILLED")])
def test_an_error_ends_the_run_too(tracking: Tracking, error: type[BaseException], status: str) -> None:
    with pytest.raises(error):
        fail_after(stream(tracking, f"error {error.__name__}"), STEPS, error)
    assert only_run(tracking, f"error {error.__name__}").info.status == status
    assert every_step_once(tracking, f"error {error.__name__}")


@pytest.mark.slow
def test_nobody_listening_costs_no_time_and_no_random_numbers(tmp_path: Path, impatient: None) -> None:
    tracking = Tracking(f"http://127.0.0.1:{free_port()}", tmp_path / "spool")
    before = random.getstate()
    started = time.process_time(), time.monotonic()
    run = stream(tracking, "nobody")
    log_steps(run)
    assert time.monotonic() - started[1] < 1
    assert until(lambda: run._pause_seconds > 0.2)
    assert run.finish() is None
    assert random.getstate() == before
    assert tracking.waiting() == 1


@pytest.mark.slow
def test_what_nobody_took_arrives_later_and_once(tracking: Tracking, tmp_path: Path, impatient: None) -> None:
    with silent_server() as url:
        run = stream(Tracking(url, tmp_path / "spool"), "silent")
        started = time.monotonic()
        log_steps(run)
        assert time.monotonic() - started < 1  # a log does not wait for a server that never answers
        run.attach(artifacts={"loss_curve.png": b"\x89PNG"})
        assert run.finish(wait_seconds=0.5) is None
        assert time.monotonic() - started < 2.5
    assert until(lambda: KEY in tracking.deliver())  # once the thread has given up
    assert only_run(tracking, "silent").info.status == "FINISHED"
    assert every_step_once(tracking, "silent")
    assert tracking.deliver() == {}


@pytest.mark.slow
def test_a_killed_training_that_goes_on_is_one_run_with_every_step_once(tracking: Tracking, tmp_path: Path) -> None:
    script = (
        "import os, sys, time; from pathlib import Path; from ft_assets_tests.test_tracking_stream import *;"
        "run = stream(Tracking(sys.argv[1], Path(sys.argv[2])), 'killed'); log_steps(run, range(1, 13));"
        "assert until(lambda: run.run_id); log_steps(run, range(13, 21)); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, tracking.uri, str(tracking.spool_dir)])
    assert only_run(tracking, "killed").info.status == "RUNNING"
    assert list(tracking.deliver()) == [KEY]
    assert only_run(tracking, "killed").info.status == "KILLED"
    assert every_step_once(tracking, "killed", range(1, 21))
    run = stream(tracking, "killed")
    log_steps(run, range(15, 31))  # it resumes from step 14: six steps are done twice
    assert until(lambda: only_run(tracking, "killed").info.status == "RUNNING")
    assert run.finish()
    assert only_run(tracking, "killed").info.status == "FINISHED"
    assert every_step_once(tracking, "killed")


@pytest.mark.slow
def test_another_node_that_repeats_all_steps_adds_none(tracking: Tracking, tmp_path: Path) -> None:
    for node in ("a", "b"):
        with stream(Tracking(tracking.uri, tmp_path / node), "nodes") as run:
            log_steps(run)
    assert every_step_once(tracking, "nodes")
    assert only_run(tracking, "nodes").info.status == "FINISHED"


@pytest.mark.slow
def test_a_run_whose_machine_never_came_back_is_ended_by_the_next_training_of_its_line(
    tracking: Tracking, tmp_path: Path
) -> None:
    client, experiment = tracking.client(), tracking.experiment_id("gone")
    a_day_ago = int(time.time() * 1000) - ABANDONED_SECONDS * 1000
    gone = client.create_run(experiment, tags={SEEN_TAG: str(a_day_ago - 1)}).info.run_id
    alive = client.create_run(experiment, tags={SEEN_TAG: str(a_day_ago + 60_000)}).info.run_id
    somebody_elses = client.create_run(experiment).info.run_id
    with stream(tracking, "gone") as run:
        assert until(lambda: run.run_id)
    status = {found.info.run_id: found.info.status for found in client.search_runs([experiment])}
    assert status == {gone: "KILLED", alive: "RUNNING", somebody_elses: "RUNNING", run.run_id: "FINISHED"}


@pytest.mark.slow
def test_two_attempts_without_a_server_are_one_run_in_the_end(tracking: Tracking, impatient: None) -> None:
    nobody = Tracking(f"http://127.0.0.1:{free_port()}", tracking.spool_dir)
    with pytest.raises(SystemExit):
        fail_after(stream(nobody, "attempts"), range(1, 21), SystemExit)
    with stream(nobody, "attempts") as run:
        log_steps(run, range(15, 31))
    assert tracking.waiting() == 2
    assert list(tracking.deliver()) == [KEY]
    assert every_step_once(tracking, "attempts")
    assert only_run(tracking, "attempts").info.status == "FINISHED"


@pytest.mark.service
def test_a_server_that_dies_and_comes_back_has_every_step_once(database: Path, tmp_path: Path, impatient: None) -> None:
    port = free_port()
    tracking = Tracking(f"http://127.0.0.1:{port}", tmp_path / "spool")
    with mlflow_server(port, database / "mlflow.db", tmp_path / "a"):
        run = stream(tracking, "comes back")
        log_steps(run, range(1, 11))
        assert until(lambda: run.run_id)
    log_steps(run, range(11, 21))
    assert until(lambda: run._pause_seconds > 0.2)
    with mlflow_server(port, database / "mlflow.db", tmp_path / "a"):
        log_steps(run, range(21, 31))
        run.attach(artifacts={"loss_curve.png": b"\x89PNG"})
        assert run.finish(wait_seconds=60)
        assert every_step_once(tracking, "comes back")
        assert only_run(tracking, "comes back").info.status == "FINISHED"
        assert list((tmp_path / "a").rglob("loss_curve.png"))
