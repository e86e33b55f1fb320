import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ft_assets.tracking import Tracking
from ft_assets.tracking_delivery import DELIVERY_TAG
from ft_assets_tests.mlflow_servers import free_port, mlflow_server

METRICS = [{"step": step, "epoch": step / 10, "loss": 8 / (step + 1)} for step in range(1, 21)]
PICTURE = b"\x89PNG a picture"


def log(tracking: Tracking, experiment: str, **more: str) -> str | None:
    return tracking.log_training(
        experiment=experiment,
        run_name="qa-engineer-1234",
        params={"r": 8, "outside_range": {"learning_rate": "tiny"}, "lora_alpha": None},
        metrics_by_step=[*METRICS, {"step": 20, "eval_loss": float("nan")}],
        tags={"adapter_digest": "a" * 64, **more},
        artifacts={"loss_curve.png": PICTURE},
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    """A directory with an MLflow database; making its tables takes seconds, so the tests share it."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def tracking(database, tmp_path, monkeypatch) -> Tracking:
    monkeypatch.chdir(tmp_path)
    return Tracking(f"sqlite:///{database}/mlflow.db", tmp_path / "spool")


@pytest.fixture
def nobody(tmp_path) -> Tracking:
    """A server that is down, with the same spool as `tracking`."""
    return Tracking("http://127.0.0.1:9", tmp_path / "spool")


@pytest.mark.slow
def test_a_run_arrives_with_its_numbers_and_its_picture(tracking, database, tmp_path):
    run = tracking.client().get_run(log(tracking, "arrives"))
    assert run.info.status == "FINISHED"
    assert (run.data.params["r"], run.data.tags["adapter_digest"]) == ("8", "a" * 64)
    losses = tracking.client().get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in losses] == [(entry["step"], entry["loss"]) for entry in METRICS]
    assert "eval_loss" not in run.data.metrics  # a NaN is no measurement
    (picture,) = database.rglob(f"{run.info.run_id}/artifacts/loss_curve.png")
    assert picture.read_bytes() == PICTURE
    assert tracking.waiting() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["spool"]  # nothing in the working directory


@pytest.mark.slow
def test_a_server_that_is_down_costs_seconds_and_loses_nothing(nobody, tracking):
    started = time.monotonic()
    assert log(nobody, "down", number="1") is None
    assert log(nobody, "down", number="2") is None
    assert time.monotonic() - started < 20
    assert nobody.waiting() == 2
    assert len(tracking.deliver()) == 2
    runs = tracking.client().search_runs([tracking.experiment_id("down")])
    assert sorted(run.data.tags["number"] for run in runs) == ["1", "2"]
    assert tracking.deliver() == {}


@pytest.mark.slow
def test_the_next_run_takes_along_what_was_waiting(nobody, tracking):
    log(nobody, "along", number="1")
    assert log(tracking, "along", number="2")
    assert len(tracking.client().search_runs([tracking.experiment_id("along")])) == 2


@pytest.mark.slow
def test_a_delivery_that_was_cut_off_goes_on_in_its_own_run(nobody, tracking, tmp_path):
    log(nobody, "cut")
    (waiting,) = (tmp_path / "spool").glob("*.jsonl")
    shutil.copy(waiting, tmp_path / "kept")
    (first,) = tracking.deliver().values()
    shutil.copy(tmp_path / "kept", waiting)  # as if the process had died before it could forget the payload
    (second,) = tracking.deliver().values()
    assert first == second
    (run,) = tracking.client().search_runs([tracking.experiment_id("cut")])
    assert run.data.tags[DELIVERY_TAG] == waiting.stem.rpartition("-")[2]
    assert len(tracking.client().get_metric_history(first, "loss")) == len(METRICS)


def test_a_payload_is_written_whole_or_not_at_all(nobody, tmp_path):
    log(nobody, "whole")
    (waiting,) = (tmp_path / "spool").glob("*.jsonl")
    first, *_, last = map(json.loads, waiting.read_text().splitlines())
    assert (first["experiment"], last["status"]) == ("whole", "FINISHED")
    assert not list((tmp_path / "spool").glob("*.tmp"))


def test_tracking_loads_without_mlflow():
    loaded = "import ft_assets.tracking, sys; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    assert not {"mlflow", "requests", "sqlalchemy"} & set(names)


@pytest.mark.service
def test_a_real_server_receives_what_waited_while_it_was_down(database, tmp_path):
    port = free_port()
    tracking = Tracking(f"http://127.0.0.1:{port}", tmp_path / "spool")
    assert log(tracking, "server") is None
    with mlflow_server(port, database / "mlflow.db", tmp_path / "a"):
        assert len(tracking.deliver()) == 1
        (run,) = tracking.client().search_runs([tracking.experiment_id("server")])
        assert (run.info.status, run.data.metrics["loss"]) == ("FINISHED", METRICS[-1]["loss"])
        assert list((tmp_path / "a").rglob("loss_curve.png"))
        assert tracking.deliver() == {}
