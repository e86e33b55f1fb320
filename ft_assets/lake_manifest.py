"""The manifest of a directory: size and SHA-256 of every file. Its own SHA-256 is the directory's digest."""

import hashlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from ft_assets.errors import BadInput

MANIFEST = "manifest.json"
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One file of an artifact; `path` is relative, with slashes."""

    path: str
    size: int
    sha256: str


def directory_digest(directory: Path) -> str:
    """The digest that `directory` would have as an artifact, without storing it.

    Raises:
        BadInput: it holds no file, or something that is not a plain file.
    """
    return digest_of(entries_of(directory))


def entries_of(directory: Path) -> list[Entry]:
    """Size and SHA-256 of every file under `directory`, sorted by path. A manifest that fits them is not listed."""
    files = _plain_files(directory)
    entries = [_entry(directory, path) for path in files if path != MANIFEST]
    if not entries:
        raise BadInput(f"{directory} holds no file, so there is nothing to store. Whatever should fill it did not run.")
    if MANIFEST in files and (directory / MANIFEST).read_bytes() != manifest_of(entries):
        raise BadInput(f"{directory} holds a {MANIFEST} of its own, a name that artifacts need. Rename that file.")
    return entries


def _plain_files(directory: Path) -> list[str]:
    """Relative paths of all files, sorted. Links and devices are refused: they lead out, or block for ever."""
    if not directory.is_dir():
        raise BadInput(f"{directory} is not a directory, so it cannot be an artifact. Check the step that writes it.")
    files = []
    for folder, folders, names in os.walk(directory):
        for name in [*folders, *names]:
            path = Path(folder, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise BadInput(f"{path} is a link or a device, not a plain file. Put a copy of the file itself there.")
        files += [Path(folder, name).relative_to(directory).as_posix() for name in names]
    for name in files:
        if not name.isprintable():  # undecodable bytes among them: they have no place in a manifest
            raise BadInput(f"The name {name!r} in {directory} cannot be written into a manifest. Rename that file.")
    return sorted(files)


def _entry(directory: Path, path: str) -> Entry:
    digest = hashlib.sha256()
    size = 0
    with (directory / path).open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return Entry(path, size, digest.hexdigest())


def manifest_of(entries: list[Entry]) -> bytes:
    """The bytes of manifest.json: canonical JSON, a list of {path, sha256, size}."""
    listed = [asdict(entry) for entry in entries]
    return json.dumps(listed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(entries: list[Entry]) -> str:
    """64 hexadecimal digits: the SHA-256 of the manifest of these entries."""
    return hashlib.sha256(manifest_of(entries)).hexdigest()


def entries_from(manifest: bytes, digest: str) -> list[Entry] | None:
    """The entries, or None when these bytes are not the manifest of that digest or lead out of its directory."""
    if hashlib.sha256(manifest).hexdigest() != digest:
        return None
    entries = [Entry(**listed) for listed in json.loads(manifest)]
    paths = [PurePosixPath(entry.path) for entry in entries]
    return None if any(path.is_absolute() or ".." in path.parts for path in paths) else entries


def damage_of(directory: Path, digest: str) -> str | None:
    """What is wrong with a stored directory, naming the file; None when every byte is as it was stored."""
    try:
        return _damage_of(directory, digest)
    except FileNotFoundError as error:  # housekeeping takes away whole directories, and puts back what was renewed
        return f"{error.filename} was removed while it was looked at"


def _damage_of(directory: Path, digest: str) -> str | None:
    manifest = directory / MANIFEST
    if not manifest.is_file():
        return f"{directory} has no {MANIFEST}, so it was never stored or its last write did not finish"
    entries = entries_from(manifest.read_bytes(), digest)
    if entries is None:
        return f"{manifest} is not the one with the digest {digest}"
    try:
        extra = set(_plain_files(directory)) - {entry.path for entry in entries} - {MANIFEST}
    except BadInput as error:
        return str(error)
    if extra:
        return f"{directory / min(extra)} is not in the manifest"
    for entry in entries:
        if found := file_damage_of(directory / entry.path, entry):
            return f"{directory / entry.path} {found}"
    return None


def file_damage_of(path: Path, entry: Entry) -> str | None:
    """What is wrong with one stored file, to be read after its name; None when it is whole."""
    size = size_of(path)
    if size != entry.size:
        return "is missing" if size is None else f"has {size} bytes, its manifest says {entry.size}"
    same = _entry(path.parent, path.name).sha256 == entry.sha256
    return None if same else "has another SHA-256 than its manifest says"


def size_of(path: Path) -> int | None:
    """Bytes of a file, None when there is none."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
