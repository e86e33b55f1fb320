"""What outlives an attempt of a dying training: its node's disk, or nothing but a lake on S3."""

import os
import shutil
from pathlib import Path

from ft_assets.training.checkpoint_s3 import checkpoint_store
from ft_assets.training.checkpoint_saver import CheckpointSaver

LAKE = "FT_ASSETS_TEST_LAKE"  # s3://bucket: every attempt is on a node of its own, whose disk is lost with it
TRAINING = "7" * 64


def saver_of(work_dir: Path, stage: str = "") -> CheckpointSaver:
    """What saves the checkpoints of one stage of the training in `work_dir`."""
    lake = os.environ.get(LAKE)
    url = f"{lake}/{work_dir.name}/{stage or 'only'}" if lake else str(work_dir)
    return CheckpointSaver(checkpoint_store(url, work_dir / stage, TRAINING))


def enter_node(work_dir: Path) -> None:
    """Gives an attempt the disk of the one before it, or with a lake on S3 an empty one."""
    if os.environ.get(LAKE):
        shutil.rmtree(work_dir)
        work_dir.mkdir()
