"""Where checkpoints lie on a disk: staged out of sight, hashed, fsynced, shown whole by one rename, kept or pruned."""

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from ft_assets.errors import IncompleteArtifact, WriteConflict
from ft_assets.lake_folders import sync_directory
from ft_assets.lake_manifest import MANIFEST, entries_of, manifest_of
from ft_assets.training.checkpoint import (
    BEST_FOLDER,
    FACTS,
    Best,
    Checkpoint,
    digest_at,
    has_its_files,
    missing_from,
    opened,
    step_of,
)

log = logging.getLogger(__name__)

STAGING, REMOVED = ".staging-", ".removed-"


class Checkpoints(Protocol):
    """Where the checkpoints of one training are kept: on a disk that lasts, or on a node's disk and on S3."""

    def stage(self, step: int) -> Path: ...
    def seal(
        self,
        stage: Path,
        step: int,
        best_step: int | None = None,
        best: Best | None = None,
        trainer: Mapping[str, Any] | None = None,
        processes: int = 1,
    ) -> Checkpoint: ...
    def newest_valid(self) -> Checkpoint | None: ...
    def best_path(self, best: Best) -> Path: ...
    def retain(self, newest: Checkpoint, keep_last: int, urgent: bool = False) -> bool: ...
    def sweep(self) -> None: ...


class LocalCheckpoints:
    """The checkpoints of one training under a directory, as checkpoint-<step>/. What is not shown has a dot name."""

    def __init__(self, work_dir: Path, training_id: str):
        self.work_dir = work_dir
        self.training_id = training_id

    def path(self, step: int) -> Path:
        """Where the checkpoint of that step lies, or would."""
        return self.work_dir / f"checkpoint-{step}"

    def steps(self) -> list[int]:
        """Steps that have a directory, valid or not, newest first."""
        names = os.listdir(self.work_dir) if self.work_dir.is_dir() else []
        return sorted((step for step in map(step_of, names) if step is not None), reverse=True)

    def stage(self, step: int) -> Path:
        """A fresh path to write a checkpoint into; nobody reads it before `seal`. It is not made yet."""
        return self.work_dir / f"{STAGING}{uuid.uuid4().hex}" / f"checkpoint-{step}"

    def seal(
        self,
        stage: Path,
        step: int,
        best_step: int | None = None,
        best: Best | None = None,
        trainer: Mapping[str, Any] | None = None,
        processes: int = 1,
    ) -> Checkpoint:
        """Makes the staged files the checkpoint of `step`: hash, fsync, manifest, fsync, rename, fsync.

        The best weights are those in its BEST_FOLDER where there is one, its own when `best_step` is `step`, and
        otherwise lie where `best` says.

        Raises:
            IncompleteArtifact: the stage lacks a file that a resume needs; nothing is shown.
            WriteConflict: a valid checkpoint of that step is there, with other content: two runs at the same training.
            OSError: the disk is full or broken; nothing is shown.
        """
        own = BEST_FOLDER if (stage / BEST_FOLDER).is_dir() else "." if best_step == step else None
        listed = {"step": best_step, "digest": None, "folder": own} if own else best and asdict(best)
        facts = {"training_id": self.training_id, "step": step, "best": listed, "processes": processes}
        (stage / FACTS).write_text(json.dumps({**facts, "trainer": dict(trainer or {})}, sort_keys=True))
        entries = entries_of(stage)
        if lacking := missing_from([entry.path for entry in entries], processes):
            raise IncompleteArtifact(f"the checkpoint of step {step} lacks {', '.join(lacking)}, so it is not kept.")
        digest = self.publish(stage, step, manifest_of(entries))
        if own and best_step is not None:
            best = Best(best_step, digest, own)
        return Checkpoint(step, self.path(step), digest, best, trainer or {})

    def publish(self, stage: Path, step: int, manifest: bytes) -> str:
        """Makes staged files durable, their manifest last, and shows them by one rename. Returns the digest."""
        for folder, _, names in os.walk(stage, topdown=False):
            for name in names:
                _sync_file(Path(folder, name))
            if Path(folder) != stage:
                sync_directory(Path(folder))
        (stage / MANIFEST).write_bytes(manifest)
        _sync_file(stage / MANIFEST)
        sync_directory(stage)
        digest = hashlib.sha256(manifest).hexdigest()
        self._show(stage, self.path(step), digest)
        return digest

    def newest_valid(self) -> Checkpoint | None:
        """The newest checkpoint whose every byte verifies. What is torn or damaged is named in the log and left."""
        return next((found for found in map(self.valid, self.steps()) if found), None)

    def valid(self, step: int) -> Checkpoint | None:
        """The checkpoint of one step if every byte verifies; otherwise the log says what is wrong."""
        try:
            return opened(self.path(step), self.training_id)
        except IncompleteArtifact as error:
            log.warning("%s", error)
            return None

    def best_path(self, best: Best) -> Path:
        """The directory with the best weights, after every byte of its checkpoint was verified.

        Raises:
            IncompleteArtifact: it is gone or damaged, so what was chosen by the validation side cannot be had.
        """
        holder = next((step for step in self.steps() if digest_at(self.path(step)) == best.digest), None)
        try:
            if holder is None:
                raise IncompleteArtifact(f"{self.work_dir} has no checkpoint whose manifest is {best.digest}.")
            return opened(self.path(holder), self.training_id).path / best.folder
        except IncompleteArtifact as error:
            raise IncompleteArtifact(
                f"The best weights, of step {best.step}, are lost: {error} Other weights must not be taken for them. "
                f"Remove {self.work_dir} (and its copy in the bucket) and run again: training starts over."
            ) from error

    def retain(self, newest: Checkpoint, keep_last: int, urgent: bool = False) -> bool:
        """Removes what is older than `newest`, a checkpoint that was just sealed, but for the best and the last n.

        True: on a disk that lasts there is nothing more to do.
        """
        kept = self.kept(newest, keep_last)
        for step in self.steps():
            if step < newest.step and step not in kept:
                shutil.rmtree(self._set_aside(self.path(step)), ignore_errors=True)
        return True

    def kept(self, newest: Checkpoint, keep_last: int) -> set[int]:
        """Steps that retention keeps. A directory with a file of the wrong size is not one of the last n."""
        whole = [step for step in self.steps() if step < newest.step and has_its_files(self.path(step))]
        best = {step for step in whole if newest.best and digest_at(self.path(step)) == newest.best.digest}
        return {newest.step, *whole[: keep_last - 1], *best}

    def sweep(self) -> None:
        """Removes what killed processes left half-written or half-removed; no checkpoint is among it."""
        for name in os.listdir(self.work_dir) if self.work_dir.is_dir() else []:
            if name.startswith((STAGING, REMOVED)):
                shutil.rmtree(self.work_dir / name, ignore_errors=True)

    def _show(self, stage: Path, target: Path, digest: str) -> None:
        if not target.exists():
            os.rename(stage, target)
            sync_directory(self.work_dir)
            return
        try:
            standing = opened(target, self.training_id)
        except IncompleteArtifact as error:
            log.warning("%s It is replaced.", error)
            aside = self._set_aside(target)
            os.rename(stage, target)
            sync_directory(self.work_dir)
            shutil.rmtree(aside, ignore_errors=True)
            return
        if standing.digest != digest:
            raise WriteConflict(
                f"{target} is valid and holds something else, so another run works at the same training. "
                "It is left alone; let one of the two runs end."
            )

    def _set_aside(self, path: Path) -> Path:
        """Out of sight by one rename: a checkpoint that is removed half-way must not look damaged."""
        aside = self.work_dir / f"{REMOVED}{uuid.uuid4().hex}"
        os.rename(path, aside)
        sync_directory(self.work_dir)
        return aside


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
