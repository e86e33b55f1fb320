"""A training while MLflow, the disk or S3 is down ends with the bytes of one while everything is up."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from ft_assets.tracking import Tracking
from ft_assets.training.checkpoint_s3 import checkpoint_store
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets_tests.faulty_s3 import faulty_s3
from ft_assets_tests.mlflow_servers import free_port, mlflow_server
from ft_assets_tests.training import tracked_trainings
from ft_assets_tests.training.samples import needs_base
from ft_assets_tests.training.tracked_trainings import TRAINING

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.service, needs_base]

MLFLOW_DOWN = ["nobody", "silent"]
TROUBLES = ["up", *MLFLOW_DOWN, "full", "s3"]
BUCKET = "outages"
KEYS = {"aws_access_key_id": "tester", "aws_secret_access_key": "tester"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outages")


@pytest.fixture(scope="module")
def told(root: Path, endpoint: str) -> dict[str, Any]:
    """How each training went, by its trouble. The bucket's server is gone for six requests: a save, and half of one."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environ |= {"OMP_NUM_THREADS": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    environ |= {f"AWS_{name}": "tester" for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")}
    command = [sys.executable, "-m", tracked_trainings.__name__, str(root), f"sqlite:///{root}/mlflow.db", *TROUBLES]
    with faulty_s3(endpoint, good_puts=8, faults=6) as proxy:
        environ |= {"AWS_ENDPOINT_URL": proxy.url, "AWS_REGION": "us-east-1", "FT_ASSETS_TEST_LAKE": f"s3://{BUCKET}"}
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **KEYS).create_bucket(Bucket=BUCKET)
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-4000:]
        assert proxy.failed == proxy.faults
    return {trouble: json.loads((root / trouble / "result.json").read_text()) for trouble in TROUBLES}


def every_loss_once(told: dict[str, Any], tracking: Tracking, experiment: str) -> bool:
    client = tracking.client()
    (run,) = client.search_runs([tracking.experiment_id(experiment)])
    losses = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss")]
    assert sorted(losses) == [tuple(pair) for pair in told[experiment]["losses"]]
    names = {"eval_loss", "learning_rate", "grad_norm", "tokens_per_second", "mfu", "tokens", "peak_memory_bytes"}
    assert names <= set(run.data.metrics)
    assert any(name.startswith("system/") for name in run.data.metrics)
    return bool(run.info.status == "FINISHED")


def test_while_mlflow_is_up_the_run_is_there_at_the_end(told: dict[str, Any], root: Path) -> None:
    assert told["up"]["run_id"]
    assert every_loss_once(told, Tracking(f"sqlite:///{root}/mlflow.db", root / "up" / "spool"), "up")
    assert any("tokens/s, MFU" in line and "left" in line for line in told["up"]["lines"])


def test_mlflow_down_for_the_whole_run_changes_no_byte_and_loses_no_metric(told: dict[str, Any], root: Path) -> None:
    for trouble in MLFLOW_DOWN:
        assert told[trouble]["run_id"] is None
        for what in ("weights", "state", "losses"):
            assert told[trouble][what] == told["up"][what]
        assert told[trouble]["seconds_at_the_end"] < 5
    port = free_port()
    with mlflow_server(port, root / "mlflow.db", root / "artifacts"):
        for trouble in MLFLOW_DOWN:
            tracking = Tracking(f"http://127.0.0.1:{port}", root / trouble / "spool")
            assert list(tracking.deliver()) == [TRAINING]
            assert every_loss_once(told, tracking, trouble)
            assert tracking.deliver() == {}


def test_a_full_disk_changes_no_weights_and_loses_no_metric(told: dict[str, Any], root: Path) -> None:
    assert told["full"]["weights"] == told["up"]["weights"]
    assert told["full"]["losses"] == told["up"]["losses"]
    assert every_loss_once(told, Tracking(f"sqlite:///{root}/mlflow.db", root / "full" / "spool"), "full")


def test_an_s3_that_fails_for_a_while_gets_the_checkpoints_later_and_whole(
    told: dict[str, Any], root: Path, s3: Any
) -> None:
    result = told["s3"]
    assert result["weights"] == told["up"]["weights"]
    assert result["losses"] == told["up"]["losses"]
    assert any("is on this node's disk only" in alert for alert in result["alerts"])
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    in_bucket = {key.split("checkpoint-")[1].partition("/")[0] for key in keys}
    on_disk = {path.name.rpartition("-")[2] for path in (root / "s3" / "work" / "sft").glob("checkpoint-*")}
    assert in_bucket == on_disk
    found = CheckpointSaver(checkpoint_store(f"s3://{BUCKET}", root / "another node", TRAINING)).resume()
    assert found is not None and found.step == result["last_step"]
