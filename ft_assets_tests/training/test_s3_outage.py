"""The S3 server is stopped in the middle of a training, and started again long after."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from ft_assets.training.checkpoint_s3 import checkpoint_store
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets_tests.mlflow_servers import free_port
from ft_assets_tests.training import paced_training
from ft_assets_tests.training.paced_training import TRAINING
from ft_assets_tests.training.samples import needs_base

pytestmark = [pytest.mark.torch, pytest.mark.service, pytest.mark.long, needs_base]

OUTAGE_SECONDS = float(os.environ.get("FT_ASSETS_TEST_OUTAGE_SECONDS", "20"))  # the ten minutes: 600
STOPS_AFTER, STEPS_MEANWHILE = 7, 16
BUCKET = "outage"
GIVEN = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "tester", "AWS_REGION": "us-east-1"}


class Server:
    """A real S3 API on a port of its own. What is in it stays while it is stopped, and nobody listens on the port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    server = Server()
    for name, value in {**GIVEN, "AWS_ENDPOINT_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=server.url, region_name="us-east-1").create_bucket(Bucket=BUCKET)
    yield server
    server.stop()


def trained(folder: Path, server: Server, lake: str, outage_seconds: float) -> dict[str, Any]:
    """What a training with its lake in the bucket left. With an outage its steps take a sixteenth of that each."""
    folder.mkdir()
    command = [sys.executable, "-m", paced_training.__name__, str(folder), lake, str(outage_seconds / STEPS_MEANWHILE)]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (
        (folder / "stderr").open("w") as errors,
        subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True) as training,
    ):
        for line in training.stdout or ():
            if outage_seconds and line.strip() == str(STOPS_AFTER):
                server.stop()
                time.sleep(outage_seconds)
                server.start()
    assert training.returncode == 0, (folder / "stderr").read_text()[-4000:]
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def steps_in(server: Server, lake: str) -> set[int]:
    s3 = boto3.client("s3", endpoint_url=server.url, region_name="us-east-1")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=lake.removeprefix(f"s3://{BUCKET}/"))
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    return {int(key.split("checkpoint-")[1].partition("/")[0]) for key in keys if "checkpoint-" in key}


def test_a_training_whose_s3_is_down_for_a_long_time_ends_with_the_same_bytes_and_all_checkpoints(
    server: Server, tmp_path: Path
) -> None:
    calm_lake, lake = f"s3://{BUCKET}/calm", f"s3://{BUCKET}/outage"
    calm = trained(tmp_path / "calm", server, calm_lake, 0)
    assert calm["told"]["steps"] > STOPS_AFTER + STEPS_MEANWHILE
    troubled = trained(tmp_path / "outage", server, lake, OUTAGE_SECONDS)
    assert troubled["told"] == calm["told"]
    assert "is on this node's disk only" in (tmp_path / "outage" / "stderr").read_text()
    assert "is on this node's disk only" not in (tmp_path / "calm" / "stderr").read_text()
    assert steps_in(server, lake) == steps_in(server, calm_lake)
    another_node = CheckpointSaver(checkpoint_store(lake, tmp_path / "another node", TRAINING))
    found = another_node.resume()
    assert found is not None and found.step == calm["told"]["steps"]
    if OUTAGE_SECONDS >= 120:  # three copies failed
        assert [alert for alert in troubled["alerts"] if "is on this node's disk only" in alert]
