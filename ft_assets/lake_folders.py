"""Folders of plain files at the root of a lake, on a local disk or on S3: list, read, write whole files."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from ft_assets.errors import BadConfiguration, BadInput, MissingInput, Rerunnable
from ft_assets.settings import s3_storage_options

# How long an S3 that hangs instead of refusing may hold a request, and with it a training that saves: under three
# minutes. boto's own 60 seconds for each would make it five.
CONNECT_SECONDS, ANSWER_SECONDS, ATTEMPTS = 10, 30, 5


@dataclass(frozen=True)
class StoredFile:
    """A file straight inside a folder. `stamp` changes whenever the content does: mtime in ns, or the ETag."""

    name: str
    size: int
    stamp: str


class Folders(Protocol):
    """What a lake asks of the place it lives in. Keys are relative to the root, with slashes."""

    def uri(self, key: str) -> str: ...
    def subfolders(self, key: str) -> list[str]: ...
    def files(self, key: str) -> list[StoredFile]: ...
    def read(self, key: str) -> bytes: ...
    def write(self, key: str, *parts: bytes | memoryview) -> None: ...
    def remove(self, key: str) -> None: ...
    def remove_all(self, key: str) -> None: ...
    def changed_at(self, key: str) -> float: ...


class LocalFolders:
    """Folders under a directory. A write is staged beside its target, fsynced and renamed."""

    def __init__(self, root: Path):
        self.root = root

    def uri(self, key: str) -> str:
        """The absolute path of `key`."""
        return str(self.root / key)

    def subfolders(self, key: str) -> list[str]:
        """Sorted names of the directories straight inside `key`; none when it does not exist."""
        return sorted(entry.name for entry in _entries(self.root / key) if entry.is_dir(follow_symlinks=False))

    def files(self, key: str) -> list[StoredFile]:
        """Sorted files straight inside `key`. A symbolic link is listed, so that reading it can say why it is not."""
        found = []
        for entry in _entries(self.root / key):
            if entry.is_symlink() or entry.is_file(follow_symlinks=False):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # renamed or removed while we looked
                    continue
                found.append(StoredFile(entry.name, status.st_size, str(status.st_mtime_ns)))
        return sorted(found, key=lambda file: file.name)

    def read(self, key: str) -> bytes:
        """The bytes of one file.

        Raises:
            MissingInput: there is no such file.
            BadInput: it is a symbolic link, which may lead out of the lake; put the file itself there.
        """
        path = self.root / key
        if path.is_symlink():
            raise BadInput(f"{path} is a symbolic link and may lead out of the lake. Put a copy of the file there.")
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise MissingInput(f"{path} does not exist. It was there to be listed, or nobody put it there.") from error

    def write(self, key: str, *parts: bytes | memoryview) -> None:
        """Makes `key` hold these parts in a row; whoever reads meanwhile sees the old file or the new one."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.parent / f".{uuid.uuid4().hex}.tmp"
        try:
            with staged.open("wb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            os.replace(staged, path)
        finally:
            staged.unlink(missing_ok=True)
        sync_directory(path.parent)

    def remove(self, key: str) -> None:
        """Removes a file; nothing happens when it is gone already."""
        (self.root / key).unlink(missing_ok=True)

    def remove_all(self, key: str) -> None:
        """Removes everything below `key`, at once for whoever looks; nothing happens when it is gone already."""
        path = self.root / key
        aside = path.with_name(f".removed-{uuid.uuid4().hex}")
        try:
            os.rename(path, aside)
        except FileNotFoundError:
            return
        shutil.rmtree(aside)

    def changed_at(self, key: str) -> float:
        """When the file was written, in seconds since 1970.

        Raises:
            MissingInput: there is no such file.
        """
        try:
            return (self.root / key).stat().st_mtime
        except FileNotFoundError as error:
            raise MissingInput(f"{self.root / key} does not exist.") from error


def _entries(folder: Path) -> "list[os.DirEntry[str]]":
    """What is straight inside; nothing where there is no such directory, or none any more."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


class S3Folders:
    """Prefixes under s3://bucket/prefix. A single PUT is atomic by itself."""

    def __init__(self, url: str):
        self.bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self.prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
        if not self.bucket:
            raise BadConfiguration(f"The lake {url!r} names no bucket. Set FT_ASSETS_LAKE to s3://bucket/prefix.")

    @cached_property
    def client(self) -> Any:
        """A boto3 client made from the standard AWS_* variables; safe to use from several threads."""
        from boto3.session import Session
        from botocore.config import Config

        endpoint = s3_storage_options().get("AWS_ENDPOINT_URL")
        style = {"addressing_style": "path"} if endpoint else None  # MinIO and moto know no bucket host names
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            retries={"max_attempts": ATTEMPTS, "mode": "standard"},
            s3=style,
        )
        return Session().client("s3", endpoint_url=endpoint, config=config)

    def key(self, key: str) -> str:
        """The object key behind a lake key."""
        return self.prefix + key

    def uri(self, key: str) -> str:
        """The s3:// address of `key`."""
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def subfolders(self, key: str) -> list[str]:
        """Sorted names of the common prefixes straight inside `key`."""
        under = self._under(key)
        pages = self._pages(under)
        return sorted(found["Prefix"][len(under) : -1] for page in pages for found in page.get("CommonPrefixes", []))

    def files(self, key: str) -> list[StoredFile]:
        """Sorted objects straight inside `key`; the zero-byte object that marks a folder is none of them."""
        under = self._under(key)
        objects = [found for page in self._pages(under) for found in page.get("Contents", []) if found["Key"] != under]
        files = [StoredFile(o["Key"][len(under) :], o["Size"], o["ETag"].strip('"')) for o in objects]
        return sorted(files, key=lambda file: file.name)

    def read(self, key: str) -> bytes:
        """The bytes of one object.

        Raises:
            MissingInput: there is no such object.
        """
        with s3_failures(self.uri(key)):
            body: bytes = self.client.get_object(Bucket=self.bucket, Key=self.key(key))["Body"].read()
            return body

    def write(self, key: str, *parts: bytes | memoryview) -> None:
        """Makes `key` hold these parts in a row, with one PUT."""
        with s3_failures(self.uri(key)):
            self.client.put_object(Bucket=self.bucket, Key=self.key(key), Body=b"".join(parts))

    def remove(self, key: str) -> None:
        """Removes an object; nothing happens when it is gone already."""
        with s3_failures(self.uri(key)):
            self.client.delete_object(Bucket=self.bucket, Key=self.key(key))

    def remove_all(self, key: str) -> None:
        """Removes every object below `key`; nothing happens when they are gone already."""
        for name, _ in files_below(self, key):
            self.remove(name)

    def changed_at(self, key: str) -> float:
        """When the object was written, in seconds since 1970.

        Raises:
            MissingInput: there is no such object.
        """
        with s3_failures(self.uri(key)):
            head = self.client.head_object(Bucket=self.bucket, Key=self.key(key))
            return float(head["LastModified"].timestamp())

    def _under(self, key: str) -> str:
        """What the keys inside begin with; nothing for the root of a lake that is a whole bucket."""
        return f"{self.key(key).rstrip('/')}/".removeprefix("/")

    def _pages(self, under: str) -> list[dict[str, Any]]:
        with s3_failures(f"s3://{self.bucket}/{under}"):
            paginator = self.client.get_paginator("list_objects_v2")
            return list(paginator.paginate(Bucket=self.bucket, Prefix=under, Delimiter="/"))


def files_below(folders: Folders, key: str) -> Iterator[tuple[str, StoredFile]]:
    """Every file below `key`, at any depth, as (its key, the file)."""
    for file in folders.files(key):
        yield f"{key}/{file.name}", file
    for name in folders.subfolders(key):
        yield from files_below(folders, f"{key}/{name}")


@contextmanager
def s3_failures(what: str) -> Iterator[None]:
    """Says in this project's words why S3 refused, and whether running again can help."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("NoSuchKey", "404"):
            raise MissingInput(f"{what} does not exist. It was removed, or nobody put it there.") from error
        if code in ("NoSuchBucket", "AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
            raise BadConfiguration(
                f"S3 refuses {what}: {code}. Check the bucket in FT_ASSETS_LAKE and the AWS_* variables."
            ) from error
        raise Rerunnable(f"S3 failed at {what}: {error}. Run again; if it stays, look at the endpoint.") from error
    except NoCredentialsError as error:
        raise BadConfiguration(
            f"No credentials for {what}. Set AWS_ACCESS_KEY_ID and its secret, or a role."
        ) from error
    except (BotoCoreError, Boto3Error) as error:
        raise Rerunnable(f"S3 cannot be reached for {what}: {error}. Run again when the network is back.") from error


def sync_directory(path: Path) -> None:
    """Makes the names inside a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
