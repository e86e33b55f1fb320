"""Forgetting where things are not on a local disk: a lake on S3, and MLflow's own store."""

from pathlib import Path
from typing import Any

import pytest

from ft_assets.erasure.forget import Places, forget
from ft_assets.errors import Erased
from ft_assets.lake import Lake
from ft_assets.tracking import Tracking
from ft_assets_tests.erasure.world import LINE, MARKER, SECRET, USER, World, places_of

pytestmark = pytest.mark.service


def test_nothing_is_left_in_a_bucket_nor_in_the_cache_of_another_machine(bucket: str, s3: Any, tmp_path: Path) -> None:
    world = World(tmp_path, Lake(f"s3://{bucket}/some/prefix", tmp_path / "cache"))
    world.land()
    world.ingest()
    world.curate()
    snapshot = world.snapshot()
    made = world.publish(snapshot, world.train(snapshot))
    elsewhere = Lake(f"s3://{bucket}/some/prefix", tmp_path / "other_machine")
    assert elsewhere.artifact("snapshot", snapshot.digest)
    world.lake.folders.write("work/training/an-id/checkpoint-1/optimizer.pt", b"moments")
    done = forget(Places(world.lake, world.state, None, world.home), USER, SECRET, "an operator")
    assert len(done.unfinished) == 1 and "checkpoints within the last hour" in done.unfinished[0]
    copied = tmp_path / "bucket"
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page["Contents"]:
            path = copied / found["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, found["Key"], str(path))
    assert len(list(copied.rglob("*.parquet"))) > 5, "the rows of others are there"
    assert places_of(MARKER, copied, tmp_path / "cache", world.home) == []
    for artifact in (snapshot, made["report"]):
        with pytest.raises(Erased):
            world.lake.artifact(artifact.kind, artifact.digest)
    with pytest.raises(Erased):
        elsewhere.artifact("snapshot", snapshot.digest)
    assert places_of(MARKER, tmp_path / "other_machine") == [], "whoever asks for it loses the copy, too"


def test_mlflow_loses_artifacts_of_runs_that_held_the_rows_and_keeps_their_numbers(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.land()
    world.ingest()
    world.curate()
    snapshot = world.snapshot()
    adapter = world.train(snapshot)
    tracking = Tracking(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "spool")
    tags = {"snapshot": snapshot.digest, "adapter_digest": adapter.digest}
    texts = {"dossier.md": f"the {MARKER} of somebody".encode(), "plots/loss.png": b"png"}
    theirs = tracking.log_training(LINE, "theirs", {"r": 8}, [{"step": 1, "loss": 0.5}], tags, texts)
    other = tracking.log_training(LINE, "other", {"r": 8}, [], {"snapshot": "e" * 64}, {"notes.md": b"of others"})
    assert theirs and other and places_of(MARKER, tmp_path / "mlflow-artifacts")
    places = Places(world.lake, world.state, tracking, None)
    assert forget(places, USER, SECRET, "me", dry_run=True).mlflow == {theirs: ["dossier.md", "plots"]}
    done = forget(places, USER, SECRET, "me")
    assert done.mlflow == {theirs: ["dossier.md", "plots"]} and done.unfinished == []
    client = tracking.client()
    assert [item.path for item in client.list_artifacts(theirs)] == ["erased.json"]
    assert [item.path for item in client.list_artifacts(other)] == ["notes.md"]
    assert client.get_run(theirs).data.metrics == {"loss": 0.5}
    assert [place for place in places_of(MARKER, tmp_path) if "/made/" not in place] == []


def test_while_mlflow_is_down_everything_else_is_erased_and_the_rest_is_said_to_wait(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.land()
    world.ingest()
    world.curate()
    world.train(world.snapshot())
    down = Tracking("http://127.0.0.1:9", tmp_path / "spool")
    done = forget(Places(world.lake, world.state, down, None), USER, SECRET, "me")
    assert len(done.unfinished) == 1 and "MLflow does not answer" in done.unfinished[0]
    assert places_of(MARKER, tmp_path / "lake") == []
