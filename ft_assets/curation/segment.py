"""The index of one published day: what later rows are compared with, in one file that is mapped and read where touched.

A file is a header (magic, version, sizes, checksum) and the arrays of `Segment` one after the other, each from a
multiple of 64 bytes on. It can always be made again from the day's curated rows.
"""

import mmap
import struct
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import polars as pl

from ft_assets.curation.shingles import BANDS, Fingerprints
from ft_assets.errors import IncompleteArtifact
from ft_assets.example_ids import ID_DIGITS

_MAGIC, _VERSION = b"ftnears\0", 2
_SIZES = struct.Struct("<8sIIQQQQ")  # magic, version, bands, rows, conversation entries, prompt entries, shingles
_CHECKSUM = struct.Struct("<I")
_AT = 64  # where arrays may begin


@dataclass(frozen=True)
class Segment:
    """n rows of one day, in the order in which they were processed. Arrays are read-only.

    (n, 2) uint64, zeros for none: `example_key`, `cluster` and `group` are what example_id, cluster_id and
    duplicate_group stand for, `conversation_key` and `prompt_key` what the rows of one conversation or prompt share.
    `offsets` and `shingles` as in `Fingerprints`. The indexes hold ascending uint32 keys and beside them the row
    numbers: `band_keys`, `band_rows` (BANDS, n), and for the upper half of each first key word `examples`,
    `conversations`, `prompts` (2, entries), rows without a key left out.
    """

    example_key: np.ndarray
    conversation_key: np.ndarray
    prompt_key: np.ndarray
    cluster: np.ndarray
    group: np.ndarray
    band_keys: np.ndarray
    band_rows: np.ndarray
    examples: np.ndarray
    conversations: np.ndarray
    prompts: np.ndarray
    offsets: np.ndarray
    shingles: np.ndarray

    def __len__(self) -> int:
        return len(self.example_key)

    def parts(self) -> list[bytes | memoryview]:
        """The content of the file, which lies in a row there: nothing is copied for it."""
        sizes = (len(self), self.conversations.shape[1], self.prompts.shape[1], len(self.shingles))
        head = _SIZES.pack(_MAGIC, _VERSION, BANDS, *sizes)
        parts: list[bytes | memoryview] = [(head + _CHECKSUM.pack(zlib.crc32(head))).ljust(_AT, b"\0")]
        for name in _layout(*sizes):
            array = getattr(self, name)
            parts += [array.ravel().data, bytes(-array.nbytes % _AT)]
        return parts

    @staticmethod
    def open(path: Path) -> "Segment":
        """The segment in a file, mapped: its pages are read when they are touched.

        Raises:
            IncompleteArtifact: the file is cut off, damaged in its header, or of another format. It is derived data
                and is made again from the day's curated rows once it is gone.
        """
        with path.open("rb") as file:
            found = file.seek(0, 2)
            file.seek(0)
            sizes = _sizes(path, file.read(_SIZES.size + _CHECKSUM.size), found)
            if sys.version_info >= (3, 13):  # else a descriptor per open segment
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ, trackfd=False)
            else:
                content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return Segment(**_views(content, *sizes))

    @staticmethod
    def build(
        rows: Fingerprints,
        example_ids: pl.Series,
        conversation_keys: np.ndarray,
        prompt_keys: np.ndarray,
        cluster_ids: pl.Series,
        duplicate_groups: pl.Series,
    ) -> "Segment":
        """The segment of a day's rows. The ids are 32 hex digits each; the keys as in `Segment`."""
        bands = rows.bands
        examples = key_words(example_ids)
        return Segment(
            example_key=examples,
            conversation_key=conversation_keys,
            prompt_key=prompt_keys,
            cluster=key_words(cluster_ids),
            group=key_words(duplicate_groups),
            band_keys=(bands >> np.uint64(32)).astype(np.uint32),
            band_rows=bands.astype(np.uint32),
            examples=key_index(examples, np.arange(len(examples))),
            conversations=key_index(conversation_keys, present(conversation_keys)),
            prompts=key_index(prompt_keys, present(prompt_keys)),
            offsets=rows.offsets,
            shingles=rows.shingles,
        )._read_only()

    @staticmethod
    def joined(parts: Sequence["Segment"]) -> "Segment":
        """One segment of a day that was processed in slices, in their order."""
        starts = np.cumsum([0] + [len(part) for part in parts])
        shingle_starts = np.cumsum([0] + [len(part.shingles) for part in parts])
        offsets = [part.offsets[:-1] + start for part, start in zip(parts, shingle_starts, strict=False)]
        bands = [_merged([(p.band_keys[b], p.band_rows[b]) for p in parts], starts) for b in range(BANDS)]
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("example_key", "conversation_key", "prompt_key", "cluster", "group", "shingles")
        }
        indexes = {
            name: _merged([getattr(part, name) for part in parts], starts)
            for name in ("examples", "conversations", "prompts")
        }
        return Segment(
            **columns,
            **indexes,
            band_keys=np.stack([band[0] for band in bands]),
            band_rows=np.stack([band[1] for band in bands]),
            offsets=np.concatenate([*offsets, shingle_starts[-1:]]),
        )._read_only()

    def _read_only(self) -> "Segment":
        """Kernels are compiled for arrays that are mapped; writable ones would be compiled for once more."""
        for each in fields(self):
            view = np.ascontiguousarray(getattr(self, each.name)).view()
            view.flags.writeable = False
            object.__setattr__(self, each.name, view)
        return self


def key_words(ids: pl.Series) -> np.ndarray:
    """(n, 2) uint64: the 16 bytes that ids of 32 hex digits stand for; zeros for null. Other lengths: ValueError."""
    binary = ids.fill_null("0" * ID_DIGITS).str.decode("hex").to_arrow()
    _, ends, data = binary.buffers()
    first, last = np.frombuffer(ends, np.int64)[[binary.offset, binary.offset + len(binary)]] if len(binary) else (0, 0)
    return np.frombuffer(data or b"", np.uint8)[first:last].view(np.uint64).reshape(len(binary), 2)


def present(keys: np.ndarray) -> np.ndarray:
    """The numbers of the rows that have a key."""
    return np.flatnonzero(keys.any(axis=1))


def key_index(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(2, entries) uint32 of those rows: ascending upper halves of their first key words, and the row numbers."""
    packed = keys[rows, 0] >> np.uint64(32) << np.uint64(32) | rows.astype(np.uint64)
    packed.sort()
    return np.stack([(packed >> np.uint64(32)).astype(np.uint32), packed.astype(np.uint32)])


def _merged(runs: Sequence[np.ndarray | tuple[np.ndarray, np.ndarray]], starts: np.ndarray) -> np.ndarray:
    packed = np.concatenate(
        [run[0].astype(np.uint64) << np.uint64(32) | (run[1] + start).astype(np.uint64)
         for run, start in zip(runs, starts, strict=False)]
    )  # fmt: skip
    packed.sort()
    return np.stack([(packed >> np.uint64(32)).astype(np.uint32), packed.astype(np.uint32)])


def _layout(
    rows: int, conversations: int, prompts: int, shingles: int
) -> dict[str, tuple[type[np.generic], tuple[int, ...]]]:
    """Types and shapes of the arrays, in the order of the file."""
    return {
        "example_key": (np.uint64, (rows, 2)),
        "conversation_key": (np.uint64, (rows, 2)),
        "prompt_key": (np.uint64, (rows, 2)),
        "cluster": (np.uint64, (rows, 2)),
        "group": (np.uint64, (rows, 2)),
        "band_keys": (np.uint32, (BANDS, rows)),
        "band_rows": (np.uint32, (BANDS, rows)),
        "examples": (np.uint32, (2, rows)),
        "conversations": (np.uint32, (2, conversations)),
        "prompts": (np.uint32, (2, prompts)),
        "offsets": (np.int64, (2 * rows + 1,)),
        "shingles": (np.uint32, (shingles,)),
    }


def _views(content: mmap.mmap, *sizes: int) -> dict[str, np.ndarray]:
    """The arrays inside a file's content."""
    views, at = {}, _AT
    for name, (kind, shape) in _layout(*sizes).items():
        length = int(np.prod(shape))
        views[name] = np.frombuffer(content, kind, length, at).reshape(shape)
        at = _aligned(at + views[name].nbytes)
    return views


def _file_bytes(*sizes: int) -> int:
    at = _AT
    for kind, shape in _layout(*sizes).values():
        at = _aligned(at + int(np.prod(shape)) * np.dtype(kind).itemsize)
    return at


def _aligned(at: int) -> int:
    return -(-at // _AT) * _AT


def _sizes(path: Path, head: bytes, found: int) -> tuple[int, ...]:
    """Rows, conversation entries, prompt entries and shingles of the file.

    Raises:
        IncompleteArtifact: see `Segment.open`.
    """
    again = "Remove it: it is made again from the day's curated rows, and nothing is lost."
    if len(head) < _SIZES.size + _CHECKSUM.size or head[: len(_MAGIC)] != _MAGIC:
        raise IncompleteArtifact(f"{path} ({found} bytes) is not a segment of near-duplicates. {again}")
    _, version, bands, *sizes = _SIZES.unpack_from(head)
    if (checksum := _CHECKSUM.unpack_from(head, _SIZES.size)[0]) != zlib.crc32(head[: _SIZES.size]):
        raise IncompleteArtifact(f"{path} has a damaged header: checksum {checksum:08x} does not fit. {again}")
    if (version, bands) != (_VERSION, BANDS):
        raise IncompleteArtifact(
            f"{path} is of version {version} with {bands} bands, and this code reads {_VERSION} with {BANDS}. {again}"
        )
    if found != (expected := _file_bytes(*sizes)):
        raise IncompleteArtifact(f"{path} has {found} bytes where {expected} belong: its write was cut off. {again}")
    return tuple(sizes)
