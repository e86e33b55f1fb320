"""Content-addressed directories: an artifact's digest is the SHA-256 of its manifest, and the manifest comes last."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ft_assets.errors import Erased, IncompleteArtifact, MissingInput
from ft_assets.lake_folders import S3Folders, s3_failures, sync_directory
from ft_assets.lake_manifest import (
    MANIFEST,
    Entry,
    damage_of,
    digest_of,
    entries_from,
    entries_of,
    file_damage_of,
    manifest_of,
    size_of,
)

DIGEST = re.compile(r"[0-9a-f]{64}")
ERASED = "erased.json"  # takes the place of files that were deleted because a person asked to be forgotten
UPLOAD_ATTEMPTS = 3
TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)  # by a directory, or by something that is none


@dataclass(frozen=True)
class Artifact:
    """A stored directory whose every byte was verified. Read it, never write into `path`."""

    kind: str
    digest: str
    path: Path


class LocalArtifacts:
    """Artifacts under a directory, as <kind>/<digest>/. A stage becomes visible by one rename."""

    def __init__(self, root: Path):
        self.root = root

    def put(self, kind: str, directory: Path) -> Artifact:
        """Stores a copy of `directory`, or nothing when it is there already and whole."""
        entries = entries_of(directory)
        return self.publish(kind, entries, lambda entry, target: _copy(directory / entry.path, target))

    def publish(self, kind: str, entries: list[Entry], fetch: Callable[[Entry, Path], object]) -> Artifact:
        """Stores the files that `fetch` brings, under the digest of `entries`; a damaged older copy is replaced."""
        digest = digest_of(entries)
        target = self.root / kind / digest
        refuse_erased((target / ERASED).is_file(), kind, digest)
        if target.exists() and not damage_of(target, digest) and _renewed(target):
            return Artifact(kind, digest, target)
        stage = self.root / kind / f".staging-{uuid.uuid4().hex}"
        try:
            for entry in entries:
                (stage / entry.path).parent.mkdir(parents=True, exist_ok=True)
                fetch(entry, stage / entry.path)
                _sync_file(stage / entry.path)
            (stage / MANIFEST).write_bytes(manifest_of(entries))
            _sync_file(stage / MANIFEST)
            if damage := damage_of(stage, digest):
                raise IncompleteArtifact(f"{damage}, while {kind} {digest} was stored; its source changed. Run again.")
            for folder, _, _ in os.walk(stage, topdown=False):
                sync_directory(Path(folder))
            self._show(stage, target, digest)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        return Artifact(kind, digest, target)

    def get(self, kind: str, digest: str) -> Artifact:
        """The artifact, after its size and SHA-256 were compared file by file."""
        target = self.root / kind / digest
        refuse_erased((target / ERASED).is_file(), kind, digest)
        if damage := damage_of(target, digest):
            raise IncompleteArtifact(
                f"{damage}. The {kind} {digest} is not used. Materialize the asset that makes it again: it is replaced."
            )
        return Artifact(kind, digest, target)

    def has(self, kind: str, digest: str) -> bool:
        """Whether its manifest is valid and every file has its size. Cheap: contents are compared by `get`."""
        target = self.root / kind / digest
        entries = None if (target / ERASED).is_file() else self._listed(kind, digest)
        return entries is not None and all(size_of(target / entry.path) == entry.size for entry in entries)

    def digests(self, kind: str) -> list[str]:
        """Sorted digests of the artifacts of one kind that have a valid manifest."""
        folder = self.root / kind
        names = os.listdir(folder) if folder.is_dir() else []
        return sorted(name for name in names if DIGEST.fullmatch(name) and self._listed(kind, name) is not None)

    def _listed(self, kind: str, digest: str) -> list[Entry] | None:
        try:
            return entries_from((self.root / kind / digest / MANIFEST).read_bytes(), digest)
        except FileNotFoundError:
            return None

    def _show(self, stage: Path, target: Path, digest: str) -> None:
        """Moves what is staged into its place. The place may be filled or emptied by others at any moment."""
        while True:
            try:
                os.rename(stage, target)
                break
            except OSError as error:
                if error.errno not in TAKEN:
                    raise
            refuse_erased((target / ERASED).is_file(), target.parent.name, digest)
            if not damage_of(target, digest):  # somebody stored the same thing first
                return
            aside = target.with_name(f".damaged-{uuid.uuid4().hex}")
            with suppress(FileNotFoundError):
                os.rename(target, aside)
            shutil.rmtree(aside, ignore_errors=True)
        sync_directory(target.parent)


class S3Artifacts:
    """Artifacts under an S3 prefix, with verified copies in a local cache. Files go first, the manifest last."""

    def __init__(self, folders: S3Folders, prefix: str, cache: LocalArtifacts):
        self.folders = folders
        self.prefix = prefix
        self.cache = cache

    def put(self, kind: str, directory: Path) -> Artifact:
        """Stores `directory`; files that are there already, whole, are not sent again."""
        artifact = self.cache.put(kind, directory)  # what is sent is this copy, which nobody changes meanwhile
        self._refuse_erased(kind, artifact.digest)
        for entry in entries_of(artifact.path):
            if not self._whole(self._key(kind, artifact.digest, entry.path), entry):
                self._send(artifact.path / entry.path, self._key(kind, artifact.digest, entry.path), entry)
        self._send_manifest(kind, artifact.digest, (artifact.path / MANIFEST).read_bytes())
        return artifact

    def get(self, kind: str, digest: str) -> Artifact:
        """A verified copy in the cache; each file is streamed there once."""
        self._refuse_erased(kind, digest)
        target = self.cache.root / kind / digest
        if target.exists() and not damage_of(target, digest):
            return Artifact(kind, digest, target)
        entries = self._listed(kind, digest)
        if entries is None:
            raise IncompleteArtifact(
                f"{self.folders.uri(self._key(kind, digest, MANIFEST))} is absent or not the one with that digest: the "
                f"last write did not finish, or nothing was stored. Materialize the asset that makes this {kind} again."
            )
        return self.cache.publish(kind, entries, lambda entry, path: self._fetch(kind, digest, entry, path))

    def has(self, kind: str, digest: str) -> bool:
        """Whether its manifest is valid and every object has its size. Cheap: contents are compared by `get`."""
        entries = self._listed(kind, digest)
        return entries is not None and all(self._whole(self._key(kind, digest, e.path), e) for e in entries)

    def digests(self, kind: str) -> list[str]:
        """Sorted digests of the artifacts of one kind that have a valid manifest."""
        names = self.folders.subfolders(f"{self.prefix}/{kind}")
        return [name for name in names if DIGEST.fullmatch(name) and self._listed(kind, name) is not None]

    def _listed(self, kind: str, digest: str) -> list[Entry] | None:
        try:
            return entries_from(self.folders.read(self._key(kind, digest, MANIFEST)), digest)
        except MissingInput:
            return None

    def _refuse_erased(self, kind: str, digest: str) -> None:
        """Asked in the bucket each time: a copy in this node's cache would outlive what it is a copy of."""
        try:
            self.folders.read(self._key(kind, digest, ERASED))
        except MissingInput:
            return
        shutil.rmtree(self.cache.root / kind / digest, ignore_errors=True)
        refuse_erased(True, kind, digest)

    def _key(self, kind: str, digest: str, path: str) -> str:
        return f"{self.prefix}/{kind}/{digest}/{path}"

    def _whole(self, key: str, entry: Entry) -> bool:
        """An object that anybody overwrote since has lost the SHA-256 that `_send` wrote beside it."""
        try:
            with s3_failures(self.folders.uri(key)):
                head = self.folders.client.head_object(Bucket=self.folders.bucket, Key=self.folders.key(key))
        except MissingInput:
            return False
        return bool(head["ContentLength"] == entry.size and head["Metadata"].get("sha256") == entry.sha256)

    def _send(self, path: Path, key: str, entry: Entry) -> None:
        extra = {"Metadata": {"sha256": entry.sha256}}
        with s3_failures(self.folders.uri(key)):
            self.folders.client.upload_file(str(path), self.folders.bucket, self.folders.key(key), ExtraArgs=extra)

    def _send_manifest(self, kind: str, digest: str, manifest: bytes) -> None:
        from botocore.exceptions import ClientError

        key = self._key(kind, digest, MANIFEST)
        for _ in range(UPLOAD_ATTEMPTS):
            try:
                if self.folders.read(key) == manifest:
                    self.folders.write(key, manifest)  # its age starts anew, so that housekeeping leaves it alone
                    return
                condition = {}  # a manifest that is wrong for its digest may be overwritten
            except MissingInput:
                condition = {"IfNoneMatch": "*"}
            with s3_failures(self.folders.uri(key)):
                try:
                    self.folders.client.put_object(
                        Bucket=self.folders.bucket, Key=self.folders.key(key), Body=manifest, **condition
                    )
                    return
                except ClientError as error:
                    if error.response["Error"]["Code"] not in ("PreconditionFailed", "ConditionalRequestConflict"):
                        raise
        raise IncompleteArtifact(f"{self.folders.uri(key)} kept changing while it was written. Run again.")

    def _fetch(self, kind: str, digest: str, entry: Entry, path: Path) -> None:
        key = self._key(kind, digest, entry.path)
        try:
            with s3_failures(self.folders.uri(key)):
                self.folders.client.download_file(self.folders.bucket, self.folders.key(key), str(path))
        except MissingInput as error:
            raise IncompleteArtifact(
                f"{self.folders.uri(key)} is in the manifest and not in the bucket. Materialize the {kind} again."
            ) from error
        if found := file_damage_of(path, entry):
            raise IncompleteArtifact(
                f"{self.folders.uri(key)} {found}. Materialize the asset that makes this {kind} again."
            )


def refuse_erased(is_erased: bool, kind: str, digest: str) -> None:
    """Nothing, where it is not.

    Raises:
        Erased: it is.
    """
    if is_erased:
        raise Erased(
            f"The {kind} {digest} was erased by request: it held rows of a person who asked to be forgotten. Its "
            f"{ERASED} says what is left of it. Use a newer one; what was made from it has to be made again."
        )


def _renewed(target: Path) -> bool:
    """Lets its age start anew, so that housekeeping leaves it alone; False when it was removed just now."""
    try:
        os.utime(target / MANIFEST)
    except FileNotFoundError:
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target, follow_symlinks=False)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
