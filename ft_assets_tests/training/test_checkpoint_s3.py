import shutil
from pathlib import Path
from typing import Any

import pytest

from ft_assets.errors import BadConfiguration, IncompleteArtifact
from ft_assets.lake_folders import S3Folders
from ft_assets.training.checkpoint_s3 import S3Checkpoints, checkpoint_store
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets_tests.training.kill_at_io import FILES, TRAINING, content_of, save

pytestmark = pytest.mark.service
UNDER = "/".join(["lake", "work", "training", TRAINING, ""])


def node(bucket: str, work_dir: Path, keep_last: int = 1) -> CheckpointSaver:
    return CheckpointSaver(checkpoint_store(f"s3://{bucket}/lake", work_dir, TRAINING), keep_last)


def keys(s3: Any, bucket: str) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_a_lake_on_a_disk_needs_no_copies(tmp_path: Path) -> None:
    assert isinstance(checkpoint_store(str(tmp_path), tmp_path, TRAINING), LocalCheckpoints)


def test_another_node_goes_on_from_the_copy_with_its_best(bucket: str, s3: Any, tmp_path: Path) -> None:
    first = node(bucket, tmp_path / "a")
    for step in (10, 20, 30):
        assert save(first, step, best_step=10)
    steps = {key.removeprefix(UNDER).partition("/")[0] for key in keys(s3, bucket)}
    assert steps == {"checkpoint-10", "checkpoint-30"}
    second = node(bucket, tmp_path / "b")
    found = second.resume()
    assert found is not None and found.step == 30
    assert all((found.path / name).read_bytes() == content_of(name, 30) for name in FILES)
    assert second.best is not None
    assert second.store.best_path(second.best) == tmp_path / "b" / "checkpoint-10"
    assert save(second, 40, best_step=40)
    assert {key.removeprefix(UNDER).partition("/")[0] for key in keys(s3, bucket)} == {"checkpoint-40"}


def test_what_is_damaged_in_the_bucket_is_not_taken(bucket: str, s3: Any, tmp_path: Path) -> None:
    first = node(bucket, tmp_path / "a", keep_last=3)
    for step in (10, 20, 30, 40):
        save(first, step, best_step=10)
    s3.delete_object(Bucket=bucket, Key=f"{UNDER}checkpoint-40/manifest.json")
    s3.put_object(Bucket=bucket, Key=f"{UNDER}checkpoint-30/optimizer.pt", Body=b"torn")
    found = node(bucket, tmp_path / "b").resume()
    assert found is not None and found.step == 20
    assert not (tmp_path / "b" / "checkpoint-30").exists()
    s3.delete_object(Bucket=bucket, Key=f"{UNDER}checkpoint-10/scheduler.pt")
    with pytest.raises(IncompleteArtifact, match="The best weights, of step 10, are lost"):
        node(bucket, tmp_path / "c").resume()
    assert node(bucket, tmp_path / "a").resume() is not None  # the node that has them goes on


def test_a_bucket_that_is_gone_for_a_while_costs_no_checkpoint(bucket: str, s3: Any, tmp_path: Path) -> None:
    now = [0.0]
    local = LocalCheckpoints(tmp_path / "a", TRAINING)
    folders = S3Folders(f"s3://{bucket}/lake")
    store = S3Checkpoints(folders, f"work/training/{TRAINING}", local, clock=lambda: now[0])
    alerts: list[str] = []
    saver = CheckpointSaver(store, keep_last=1, alert_after=2, on_alert=alerts.append)
    s3.delete_bucket(Bucket=bucket)
    assert save(saver, 10, best_step=10)
    assert saver.failures_in_a_row == 1
    assert save(saver, 20, best_step=10)  # within the pause nothing is tried
    assert saver.failures_in_a_row == 1 and alerts == []
    now[0] += 15.1
    assert save(saver, 30, best_step=10)
    assert saver.failures_in_a_row == 2 and len(alerts) == 1
    assert "Checkpoint 30 is on this node's disk only" in alerts[0]
    s3.create_bucket(Bucket=bucket)
    now[0] += 30.1
    assert save(saver, 40, best_step=10)
    assert saver.failures_in_a_row == 0
    found = node(bucket, tmp_path / "b").resume()
    assert found is not None and found.step == 40
    assert found.best is not None and found.best.step == 10


def test_the_last_save_waits_for_no_pause(bucket: str, s3: Any, tmp_path: Path) -> None:
    saver = node(bucket, tmp_path / "a")
    s3.delete_bucket(Bucket=bucket)
    assert save(saver, 10, best_step=10)
    s3.create_bucket(Bucket=bucket)
    assert save(saver, 20, best_step=10)
    assert keys(s3, bucket) == []  # the pause after a failure is not over
    assert save(saver, 30, best_step=10, is_last=True)
    assert {key.removeprefix(UNDER).partition("/")[0] for key in keys(s3, bucket)} == {"checkpoint-10", "checkpoint-30"}


def test_an_s3_that_does_not_answer_is_no_reason_to_start_over(bucket: str, s3: Any, tmp_path: Path) -> None:
    saver = node(bucket, tmp_path / "a")
    save(saver, 10, best_step=10)
    shutil.rmtree(tmp_path / "a")
    for key in keys(s3, bucket):
        s3.delete_object(Bucket=bucket, Key=key)
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(BadConfiguration, match="NoSuchBucket"):
        node(bucket, tmp_path / "b").resume()


def test_two_runs_at_one_training_do_not_mix(bucket: str, s3: Any, tmp_path: Path) -> None:
    first, second = node(bucket, tmp_path / "a"), node(bucket, tmp_path / "b")
    save(first, 10, best_step=10)
    save(second, 10, best_step=10)  # the same bytes: no conflict
    assert second.failures_in_a_row == 0
    save(first, 20, best_step=20)
    save(second, 20, best_step=10)  # the same step, another history
    assert second.failures_in_a_row == 1
    found = node(bucket, tmp_path / "c").resume()
    assert found is not None and found.best is not None and found.best.step == 20
