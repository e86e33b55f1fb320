"""A save that is cut off anywhere leaves the checkpoint before it, or its own: whole either way."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from ft_assets.training.checkpoint import Checkpoint
from ft_assets.training.checkpoint_s3 import S3Checkpoints
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets_tests.training import kill_at_io
from ft_assets_tests.training.kill_at_io import BEST_STEP, FILES, NEW_STEP, OLD_STEP, content_of, local_saver, s3_saver

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training with checkpoints 10 (the best), 20 and 30; saving 40 removes 20."""
    if reason := kill_at_io.why_no_strace():
        pytest.skip(reason)
    work_dir = tmp_path_factory.mktemp("before") / "work"
    saver = local_saver(work_dir)
    for step in (BEST_STEP, 20, OLD_STEP):
        assert kill_at_io.save(saver, step)
    return work_dir


def again(before: Path, tmp_path: Path, number: int) -> Path:
    return Path(shutil.copytree(before, tmp_path / str(number) / "work"))


def is_whole(found: Checkpoint | None, store: LocalCheckpoints | S3Checkpoints) -> bool:
    """Old or new, with the bytes of its step, and with the best one behind it."""
    assert found is not None
    assert found.step in (OLD_STEP, NEW_STEP)
    assert all((found.path / name).read_bytes() == content_of(name, found.step) for name in FILES)
    assert found.best is not None
    best = store.best_path(found.best)
    return all((best / name).read_bytes() == content_of(name, found.best.step) for name in FILES)


def test_killed_at_any_call_of_a_save_the_newest_valid_checkpoint_is_whole(before: Path, tmp_path: Path) -> None:
    points = kill_at_io.points_of_a_save(again(before, tmp_path, -1))
    assert {"write", "fsync", "rename", "mkdir", "unlinkat"} <= {point.call for point in points}
    killed, steps = 0, []
    for number, point in enumerate(points):
        work_dir = again(before, tmp_path, number)
        if not kill_at_io.killed_at(point, work_dir):
            continue
        killed += 1
        store = LocalCheckpoints(work_dir, kill_at_io.TRAINING)
        found = store.newest_valid()
        assert is_whole(found, store), point
        steps.append(found.step if found else None)
        if number % 4 == 0:  # the run that follows mends everything
            saver = local_saver(work_dir)
            saver.resume()
            assert kill_at_io.save(saver, NEW_STEP)
            assert sorted(path.name for path in work_dir.iterdir()) == [f"checkpoint-{step}" for step in (10, 30, 40)]
    print(f"{killed} of {len(points)} points killed; newest valid: { ({s: steps.count(s) for s in set(steps)}) }")
    assert killed >= 60
    assert set(steps) == {OLD_STEP, NEW_STEP}


@pytest.mark.parametrize(("call", "error"), [("write", "ENOSPC"), ("fsync", "EIO"), ("rename", "EIO")])
def test_a_disk_that_fails_costs_that_save_and_nothing_else(
    before: Path, tmp_path: Path, call: str, error: str
) -> None:
    points = [p for p in kill_at_io.points_of_a_save(again(before, tmp_path, -1)) if p.call == call]
    for number, point in enumerate(points[:-1:3] if call == "write" else points[::4]):
        work_dir = again(before, tmp_path, number)
        assert kill_at_io.failed_at(point, work_dir, error), point
        store = LocalCheckpoints(work_dir, kill_at_io.TRAINING)
        assert is_whole(store.newest_valid(), store), point
        assert {BEST_STEP, 20, OLD_STEP} <= set(store.steps())


def test_killed_at_any_request_to_s3_another_node_finds_a_whole_checkpoint(
    bucket: str, s3: Any, tmp_path: Path
) -> None:
    url = f"s3://{bucket}"
    deaths = kill_at_io.killed_at_requests(url, tmp_path / "first_node")
    steps = []
    for number in range(deaths):
        saver = s3_saver(f"{url}/{number}", tmp_path / "second_node" / str(number))
        store = saver.store
        assert isinstance(store, S3Checkpoints)
        found = saver.resume()
        assert is_whole(found, store), number
        steps.append(found.step if found else None)
    print(f"{deaths} requests killed; newest valid: { ({s: steps.count(s) for s in set(steps)}) }")
    assert deaths >= 30
    assert set(steps) == {OLD_STEP, NEW_STEP}
