"""Checkpoints on S3: sealed on the node's disk first, then copied under work/training/<id>/, the manifest last."""

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ft_assets.errors import FtAssetsError, IncompleteArtifact, MissingInput, WriteConflict
from ft_assets.lake_folders import S3Folders, s3_failures
from ft_assets.lake_manifest import MANIFEST, Entry, file_damage_of
from ft_assets.training.checkpoint import Best, Checkpoint, digest_at, listed_in, step_of
from ft_assets.training.checkpoint_store import Checkpoints, LocalCheckpoints

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 15.0, 300.0


def checkpoint_store(lake_url: str, work_dir: Path, training_id: str) -> Checkpoints:
    """Where this training's checkpoints go: `work_dir`, and for a lake on S3 also the bucket, which outlives a node."""
    local = LocalCheckpoints(work_dir, training_id)
    if not lake_url.startswith("s3://"):
        return local
    return S3Checkpoints(S3Folders(lake_url), f"work/training/{training_id}", local)


class S3Checkpoints:
    """The checkpoints of one training, on this node's disk and under an S3 prefix that holds what retention keeps.

    A copy that fails leaves the local checkpoint, which a later save copies too; after a failure copying rests for
    15 s, 30 s and so on up to 5 minutes, so that an S3 that is down does not stop training again and again.
    """

    def __init__(
        self,
        folders: S3Folders,
        prefix: str,
        local: LocalCheckpoints,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.folders = folders
        self.prefix = prefix
        self.local = local
        self._clock = clock
        self._copied: set[str] = set()
        self._pause_seconds = 0.0
        self._rests_until = 0.0

    def stage(self, step: int) -> Path:
        """As on a local disk: a fresh path to write into."""
        return self.local.stage(step)

    def seal(
        self,
        stage: Path,
        step: int,
        best_step: int | None = None,
        best: Best | None = None,
        trainer: Mapping[str, Any] | None = None,
        processes: int = 1,
    ) -> Checkpoint:
        """As on a local disk; `retain` copies it to S3."""
        return self.local.seal(stage, step, best_step, best, trainer, processes)

    def sweep(self) -> None:
        """Removes half-written files of killed processes from this node's disk."""
        self.local.sweep()

    def newest_valid(self) -> Checkpoint | None:
        """The newest checkpoint, here or on S3, whose every byte verifies; one that is only on S3 is fetched.

        Raises:
            Rerunnable: S3 does not answer. An older checkpoint is not taken for that reason; run again.
        """
        remote = self._steps()
        for step in sorted({*self.local.steps(), *remote}, reverse=True):
            found = self.local.valid(step) if self.local.path(step).exists() else None
            if found is None and step in remote:
                found = self._fetched(step)
            if found is not None:
                return found
        return None

    def best_path(self, best: Best) -> Path:
        """As on a local disk, fetched from S3 when this node does not have it whole.

        Raises:
            IncompleteArtifact: it is gone or damaged in both places.
        """
        try:
            return self.local.best_path(best)
        except IncompleteArtifact:
            for step in self._steps():
                manifest = self._manifest(step)
                if manifest is not None and hashlib.sha256(manifest).hexdigest() == best.digest:
                    self._fetched(step)
            return self.local.best_path(best)

    def retain(self, newest: Checkpoint, keep_last: int, urgent: bool = False) -> bool:
        """Prunes this node's disk, copies what it keeps to S3, oldest first, and then prunes there too.

        False when it did not copy because of the pause after a failure; `urgent` copies in any case.

        Raises:
            FtAssetsError: S3 refused or did not answer. Nothing is lost; the next call after the pause tries again.
        """
        self.local.retain(newest, keep_last)
        if self._clock() < self._rests_until and not urgent:
            return False
        try:
            kept = self.local.kept(newest, keep_last)
            for step in sorted(kept):
                self._copy(step)
            for step in self._steps():
                if step < newest.step and step not in kept:
                    self._remove(step)
        except FtAssetsError:
            self._pause_seconds = min(max(FIRST_PAUSE_SECONDS, 2 * self._pause_seconds), LONGEST_PAUSE_SECONDS)
            self._rests_until = self._clock() + self._pause_seconds
            raise
        self._pause_seconds = 0.0
        return True

    def _key(self, step: int, path: str = "") -> str:
        return f"{self.prefix}/checkpoint-{step}/{path}"

    def _steps(self) -> list[int]:
        names = self.folders.subfolders(self.prefix)
        return sorted((step for step in map(step_of, names) if step is not None), reverse=True)

    def _manifest(self, step: int) -> bytes | None:
        try:
            return self.folders.read(self._key(step, MANIFEST))
        except MissingInput:
            return None

    def _copy(self, step: int) -> None:
        path = self.local.path(step)
        digest = digest_at(path)
        if digest is None or digest in self._copied:
            return
        manifest = (path / MANIFEST).read_bytes()
        standing = self._manifest(step)
        if standing not in (None, manifest) and self._is_whole(step, listed_in(standing or b"")):
            raise WriteConflict(
                f"{self.folders.uri(self._key(step))} is whole and holds something else, so another run works at the "
                "same training. It is left alone; let one of the two runs end."
            )
        for entry in listed_in(manifest):
            if standing is None or not self._has(step, entry):
                self._send(step, entry, path / entry.path)
        if standing != manifest:
            self._send_manifest(step, manifest, is_new=standing is None)
        self._copied.add(digest)

    def _is_whole(self, step: int, entries: list[Entry]) -> bool:
        return bool(entries) and all(self._has(step, entry) for entry in entries)

    def _has(self, step: int, entry: Entry) -> bool:
        key = self._key(step, entry.path)
        try:
            with s3_failures(self.folders.uri(key)):
                head = self.folders.client.head_object(Bucket=self.folders.bucket, Key=self.folders.key(key))
        except MissingInput:
            return False
        return bool(head["ContentLength"] == entry.size and head["Metadata"].get("sha256") == entry.sha256)

    def _send(self, step: int, entry: Entry, path: Path) -> None:
        key = self._key(step, entry.path)
        extra = {"Metadata": {"sha256": entry.sha256}}
        with s3_failures(self.folders.uri(key)):
            self.folders.client.upload_file(str(path), self.folders.bucket, self.folders.key(key), ExtraArgs=extra)

    def _send_manifest(self, step: int, manifest: bytes, is_new: bool) -> None:
        condition = {"IfNoneMatch": "*"} if is_new else {}  # one that names damaged files may be overwritten
        key = self._key(step, MANIFEST)
        with s3_failures(self.folders.uri(key)):
            self.folders.client.put_object(
                Bucket=self.folders.bucket, Key=self.folders.key(key), Body=manifest, **condition
            )

    def _fetched(self, step: int) -> Checkpoint | None:
        """The checkpoint of that step, streamed to this node and verified; None, and a log line, if it is torn."""
        manifest = self._manifest(step)
        entries = listed_in(manifest or b"")
        if manifest is None or not entries:
            log.warning("%s has no usable manifest. It is not used.", self.folders.uri(self._key(step)))
            return None
        stage = self.local.stage(step)
        try:
            for entry in entries:
                if damage := self._fetch(step, entry, stage / entry.path):
                    log.warning("%s %s. It is not used.", self.folders.uri(self._key(step, entry.path)), damage)
                    return None
            self._copied.add(self.local.publish(stage, step, manifest))
        finally:
            shutil.rmtree(stage.parent, ignore_errors=True)
        return self.local.valid(step)

    def _fetch(self, step: int, entry: Entry, path: Path) -> str | None:
        key = self._key(step, entry.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with s3_failures(self.folders.uri(key)):
                self.folders.client.download_file(self.folders.bucket, self.folders.key(key), str(path))
        except MissingInput:
            return "is in the manifest and not in the bucket"
        return file_damage_of(path, entry)

    def _remove(self, step: int) -> None:
        """The manifest goes first: from then on the checkpoint does not exist, wherever the removal is cut off."""
        under = self.folders.key(self._key(step))
        with s3_failures(self.folders.uri(self._key(step))):
            pages = self.folders.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.folders.bucket, Prefix=under
            )
            keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
            for key in sorted(keys, key=lambda key: key != under + MANIFEST):
                self.folders.client.delete_object(Bucket=self.folders.bucket, Key=key)
