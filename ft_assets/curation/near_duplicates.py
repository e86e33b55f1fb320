"""Which new rows repeat earlier ones: exactly, nearly, by conversation or by prompt; at a cost that follows new rows.

Earlier rows are those of history (one segment per published day), then those before it in the batch. A row is linked
with every earlier row of the same conversation, of the same prompt, or that is its near-duplicate (prompts and answers
each at a Jaccard similarity of 0.8 or more over word 5-grams, verified). Two linked rows either share their cluster, or
the later one names the earlier one's among its linked clusters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from ft_assets.curation.links import COMPARED, decide, key_filter, pairs_within, shared_keys, verified
from ft_assets.curation.segment import Segment, key_index, key_words, present
from ft_assets.curation.shingles import Fingerprints

_U32 = np.uint64(32)
_EVERY = np.iinfo(np.int32).max


@dataclass(frozen=True)
class EarlierCopies:
    """For each row the first earlier row with the same example id.

    `segment`: its place in the history, len(history) when it stands in the batch itself, -1 when there is none.
    `row`: its row number there, -1 when there is none.
    """

    segment: np.ndarray
    row: np.ndarray


@dataclass(frozen=True)
class PublishedIds:
    """What an earlier run published of rows of the batch; null in every column where a row is new."""

    cluster_id: pl.Series
    linked_clusters: pl.Series
    duplicate_group: pl.Series


@dataclass(frozen=True)
class Assignment:
    """For each row, in the order of the batch.

    `cluster_id`: cluster of the first row that it is linked with, else its own id. `linked_clusters` (List): the other
    clusters of rows that it is linked with. `duplicate_group`: group of its first near-duplicate, else its own id.
    """

    cluster_id: pl.Series
    linked_clusters: pl.Series
    duplicate_group: pl.Series


def exact_copies(example_ids: pl.Series, history: Sequence[Segment]) -> EarlierCopies:
    """Where the same example ids (32 hex digits) stand already. Drop those rows before `fingerprint` and `assign`."""
    words = key_words(example_ids)
    numbers, firsts = _numbered(words)
    segment, row = np.full(len(firsts), -1, np.int64), np.full(len(firsts), -1, np.int64)
    for place, found, rows in _with_keys(words[firsts], history, "example_key", "examples"):
        unseen = segment[found] < 0
        segment[found[unseen]], row[found[unseen]] = place, rows[unseen]
    segment, row = segment[numbers], row[numbers]
    in_batch = (segment < 0) & (firsts[numbers] != np.arange(len(numbers)))
    return EarlierCopies(np.where(in_batch, len(history), segment), np.where(in_batch, firsts[numbers], row))


def assign(
    new: Fingerprints,
    example_ids: pl.Series,
    conversation_keys: np.ndarray,
    prompt_keys: np.ndarray,
    published: PublishedIds | None,
    history: Sequence[Segment],
) -> Assignment:
    """Clusters, linked clusters and groups of the rows of a batch, whose example ids (32 hex digits) are all different.

    The keys are (n, 2) uint64, zeros for none. Rows are processed in their order, but those with published ids before
    all others; they keep what was published, and the others are linked with them. The history holds no segment of the
    batch's own day, unless of slices of it that were processed before; a day in slices takes published rows first.
    """
    ranks = _ranks(published, len(new))
    order = np.argsort(ranks)
    runs = new.bands if published is None else _by_rank(new.bands, ranks)
    near = _near_in_history(runs, order, new, history)
    keys, keyed = _keyed_in_history((conversation_keys, prompt_keys), history)
    own = key_words(example_ids)[order]
    known, known_cluster, known_group = _published(published, order, own)
    clusters = np.concatenate([near.cluster, keyed.cluster, known_cluster, own])
    codes, firsts = _numbered(clusters)
    near_code, keyed_code, known_code, own_code = np.split(
        codes, np.cumsum([len(near.cluster), len(keyed.cluster), len(known_cluster)])
    )
    cluster, group, ends, links = decide(
        order,
        new.shingles,
        new.offsets,
        _unique(pairs_within(runs)),
        np.ascontiguousarray(keys[:, order]),
        own_code,
        np.where(known, known_code, -1),
        np.stack([near.of, near.position, near_code]),
        _per_key_and_cluster(keyed.of, keyed.position, keyed_code),
    )
    names = _hex(clusters[firsts])
    groups = _hex(np.concatenate([near.group, known_group])[group])
    linked = _lists(names.gather(links), ends).gather(ranks)
    return Assignment(
        names.gather(cluster).gather(ranks).alias("cluster_id"),
        _kept(linked.alias("linked_clusters"), published),
        groups.gather(ranks).alias("duplicate_group"),
    )


@dataclass(frozen=True)
class _Earlier:
    """Rows of history: what each was found for (a rank or a key's number), where it stands, its cluster and group."""

    of: np.ndarray
    position: np.ndarray
    cluster: np.ndarray
    group: np.ndarray

    @staticmethod
    def of_all(parts: Sequence[tuple[np.ndarray, int, Segment, np.ndarray]]) -> "_Earlier":
        """From (what for, position of the segment's first row, segment, its rows), in the order of the history."""
        nothing = np.empty(0, np.int64)
        return _Earlier(
            np.concatenate([nothing, *(of for of, _, _, _ in parts)]),
            np.concatenate([nothing, *(start + rows for _, start, _, rows in parts)]),
            np.concatenate([np.empty((0, 2), np.uint64), *(segment.cluster[rows] for _, _, segment, rows in parts)]),
            np.concatenate([np.empty((0, 2), np.uint64), *(segment.group[rows] for _, _, segment, rows in parts)]),
        )


def _near_in_history(runs: np.ndarray, order: np.ndarray, new: Fingerprints, history: Sequence[Segment]) -> _Earlier:
    """The near-duplicates among the rows of history that share a band key, by rank and then position."""
    bitmaps, shift = key_filter(runs)
    taken, found, start = np.zeros(runs.shape, np.int32), [], 0
    for segment in history:
        pairs = _unique(shared_keys(runs, bitmaps, shift, segment.band_keys, segment.band_rows, taken, COMPARED))
        pairs = pairs[verified(pairs, order, new.shingles, new.offsets, segment.shingles, segment.offsets)]
        if len(pairs):
            ranks, rows = (pairs >> _U32).astype(np.int64), pairs.astype(np.uint32).astype(np.int64)
            found.append((ranks, start, segment, rows))
        start += len(segment)
    near = _Earlier.of_all(found)
    by_rank = np.argsort(near.of, kind="stable")
    return _Earlier(near.of[by_rank], near.position[by_rank], near.cluster[by_rank], near.group[by_rank])


def _keyed_in_history(keys: Sequence[np.ndarray], history: Sequence[Segment]) -> tuple[np.ndarray, _Earlier]:
    """(2, n) int64: the number of each row's conversation and prompt, -1 for none; and history's rows with those."""
    numbers, found, used = np.full((2, len(keys[0])), -1, np.int64), [], 0
    starts = np.cumsum([0] + [len(segment) for segment in history])
    for side, name in enumerate(("conversation", "prompt")):
        rows = present(keys[side])
        words = keys[side][rows]
        within, firsts = _numbered(words)
        numbers[side, rows] = within + used
        for place, of, old in _with_keys(words[firsts], history, f"{name}_key", f"{name}s"):
            found.append((of + used, int(starts[place]), history[place], old))
        used += len(firsts)
    return numbers, _Earlier.of_all(found)


def _with_keys(
    words: np.ndarray, history: Sequence[Segment], column: str, index: str
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """For each segment that has some of the (different) keys: its place, the keys' numbers, its rows, ascending."""
    run = key_index(words, np.arange(len(words)))
    runs = (run[0].astype(np.uint64) << _U32 | run[1].astype(np.uint64)).reshape(1, -1)
    bitmaps, shift = key_filter(runs)
    for place, segment in enumerate(history):
        keys, rows = getattr(segment, index).reshape(2, 1, -1)
        pairs = shared_keys(runs, bitmaps, shift, keys, rows, np.zeros(runs.shape, np.int32), _EVERY)
        of, old = (pairs >> _U32).astype(np.int64), pairs.astype(np.uint32).astype(np.int64)
        same = (words[of] == getattr(segment, column)[old]).all(axis=1)
        if same.any():
            yield place, of[same], old[same]


def _numbered(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of equal rows of (n, k) uint64, from 0 on, and the first row with each number."""
    _, firsts, numbers = np.unique(words[:, 0], return_index=True, return_inverse=True)
    if not (words[firsts[numbers]] == words).all():  # two different ones with the same first word
        _, firsts, numbers = np.unique(words, axis=0, return_index=True, return_inverse=True)
    return numbers.astype(np.int64), firsts


def _per_key_and_cluster(key: np.ndarray, position: np.ndarray, code: np.ndarray) -> np.ndarray:
    """(3, k): for each key and cluster that go together the number, the first position and the code."""
    room = int(code.max(initial=0)) + 1
    by_position = np.argsort(position, kind="stable")
    _, firsts = np.unique(key[by_position] * room + code[by_position], return_index=True)
    chosen = by_position[firsts]
    return np.stack([key[chosen], position[chosen], code[chosen]])


def _unique(pairs: np.ndarray) -> np.ndarray:
    pairs.sort()
    return pairs[np.diff(pairs, prepend=~pairs[:1]) != 0]


def _ranks(published: PublishedIds | None, rows: int) -> np.ndarray:
    """When each row is processed."""
    ranks = np.arange(rows)
    if published is not None:
        order = np.argsort(published.cluster_id.is_null().to_numpy(), kind="stable")
        ranks[order] = np.arange(rows)
    return ranks


def _by_rank(bands: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    runs = bands >> _U32 << _U32 | ranks[bands.astype(np.uint32)].astype(np.uint64)
    runs.sort(axis=1)
    return runs


def _published(
    published: PublishedIds | None, order: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By rank: whether ids are published, and the cluster and the group that a row brings along; its own id if not."""
    if published is None:
        return np.zeros(len(order), np.bool_), own, own
    known = published.cluster_id.is_not_null().to_numpy()[order]
    cluster, group = key_words(published.cluster_id)[order], key_words(published.duplicate_group)[order]
    return known, np.where(known[:, None], cluster, own), np.where(known[:, None], group, own)


def _kept(linked: pl.Series, published: PublishedIds | None) -> pl.Series:
    if published is None:
        return linked
    known = published.cluster_id.is_not_null()
    return linked.zip_with(~known, published.linked_clusters.cast(linked.dtype).alias(linked.name))


def _hex(words: np.ndarray) -> pl.Series:
    """(n, 2) uint64 as 32 hex digits each."""
    ends = np.arange(0, words.nbytes + 1, 16, dtype=np.int64)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(words))]
    binary = pl.Series(pa.Array.from_buffers(pa.large_binary(), len(words), buffers))
    return binary.bin.encode("hex")


def _lists(values: pl.Series, ends: np.ndarray) -> pl.Series:
    return pl.Series(pa.LargeListArray.from_arrays(pa.array(ends), values.to_arrow()))
