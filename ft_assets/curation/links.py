"""Compiled loops that find which rows share a key and decide, row by row, what each one is linked with."""

import numpy as np
from numba import njit

from ft_assets.curation.shingles import near

COMPARED = 8  # rows of history, and as many of the batch, that a row is compared with for one band
_NOW = np.int64(1) << 50  # positions: rows of history from 0 on, those of the batch from here on
_NEVER = np.int64(1) << 62
_U32, _LOW, _ONE = np.uint64(32), np.uint64(0xFFFFFFFF), np.uint64(1)
FILTER_BITS = 32  # per new key: three in a hundred strange keys get past the filter


@njit(cache=True, nogil=True)
def key_filter(runs):  # type: ignore[no-untyped-def]
    """For each ascending run of key << 32 | row, a bitmap by the keys' upper bits; and the shift that makes them."""
    bits, shift = 64, 26
    while bits < FILTER_BITS * runs.shape[1] and shift > 0:
        bits, shift = 2 * bits, shift - 1
    bitmaps = np.zeros((len(runs), bits // 64), np.uint64)
    for run in range(len(runs)):
        for packed in runs[run]:
            bit = (packed >> _U32) >> np.uint64(shift)
            bitmaps[run, bit >> np.uint64(6)] |= _ONE << (bit & np.uint64(63))
    return bitmaps, shift


@njit(cache=True, nogil=True)
def shared_keys(runs, bitmaps, shift, keys, rows, taken, most):  # type: ignore[no-untyped-def]
    """Pairs (new row << 32 | row of the segment) with the same key in the same run.

    `keys` and `rows` (runs, m) are the segment's, ascending by key. Both sides are read once, from front to back.
    `taken` (runs, n) counts what the bucket that begins there was paired with so far, up to `most`.
    """
    out, count = np.empty(1024, np.uint64), 0
    for run in range(len(runs)):
        new, at, bitmap = runs[run], 0, bitmaps[run]
        for old in range(keys.shape[1]):
            bit = keys[run, old] >> np.uint32(shift)
            if not (bitmap[bit >> np.uint32(6)] >> np.uint64(bit & np.uint32(63))) & _ONE:
                continue
            key = np.uint64(keys[run, old])
            while at < len(new) and (new[at] >> _U32) < key:
                at += 1
            if at == len(new):
                break
            if (new[at] >> _U32) != key or taken[run, at] >= most:
                continue
            taken[run, at] += 1
            each = at
            while each < len(new) and (new[each] >> _U32) == key:
                if count == len(out):
                    out = np.concatenate((out, np.empty_like(out)))
                out[count] = (new[each] & _LOW) << _U32 | np.uint64(rows[run, old])
                count += 1
                each += 1
    return out[:count]


@njit(cache=True, nogil=True)
def pairs_within(runs):  # type: ignore[no-untyped-def]
    """Pairs (later << 32 | earlier) of a batch that share a band key: each row and the earliest of its bucket."""
    out, count = np.empty(1024, np.uint64), 0
    for run in range(len(runs)):
        new, start = runs[run], 0
        for at in range(1, len(new)):
            if (new[at] >> _U32) != (new[start] >> _U32):
                start = at
            for earlier in range(start, min(at, start + COMPARED)):
                if count == len(out):
                    out = np.concatenate((out, np.empty_like(out)))
                out[count] = (new[at] & _LOW) << _U32 | (new[earlier] & _LOW)
                count += 1
    return out[:count]


@njit(cache=True, nogil=True)
def verified(pairs, order, shingles, offsets, old_shingles, old_offsets):  # type: ignore[no-untyped-def]
    """Which of the pairs (new rank << 32 | row of the segment) are near-duplicates."""
    out = np.empty(len(pairs), np.bool_)
    for at in range(len(pairs)):
        new, old = order[np.int64(pairs[at] >> _U32)], np.int64(pairs[at] & _LOW)
        out[at] = near(shingles, offsets, new, old_shingles, old_offsets, old)
    return out


@njit(cache=True, nogil=True)
def decide(order, shingles, offsets, pairs, keys, own, published, old_near, old_keyed):  # type: ignore[no-untyped-def]
    """What each row is linked with, in processing order: rows go by rank, and `order` has their row numbers.

    `pairs`: (later << 32 | earlier) in ascending order, verified here. `keys` (2, n): numbers of conversation and
    prompt, -1 for none. Codes number clusters: `own` of the rows themselves, `published` with -1 where a row is new.
    History: `old_near` (3, m), each near-duplicate's rank, position and code, by rank and then position; `old_keyed`
    (3, k), for each key and cluster the key's number, the position of the first such row, and the code.

    Returns by rank: codes of clusters; where the group comes from (h: the h-th of `old_near`; m + r: what rank r
    brought along); and the other clusters that it touches, as ends and codes.
    """
    ranks, olds = len(order), old_near.shape[1]
    cluster, group = np.empty(ranks, np.int64), np.arange(olds, olds + ranks)
    ends, links = np.zeros(ranks + 1, np.int64), np.empty(1024, np.int64)
    first, first_code, last, before, listed = _lists_of_keys(keys, old_keyed)
    nodes, old, pair = old_keyed.shape[1], 0, 0
    codes = max(own.max(), published.max()) + 1 if ranks else 0
    touched, codes_here = np.full(codes, -1, np.int64), np.empty(codes, np.int64)
    for rank in range(ranks):
        earliest, code, count = _NEVER, own[rank], 0
        for side in range(2):
            key = keys[side, rank]
            if key < 0 or published[rank] >= 0:
                continue
            if first[key] < earliest:
                earliest, code = first[key], first_code[key]
            node = last[key]
            while node >= 0:
                count = _touch(listed[node], rank, touched, codes_here, count)
                node = before[node]
        while old < olds and old_near[0, old] == rank:
            if published[rank] < 0:
                if group[rank] == olds + rank:
                    group[rank] = old
                if old_near[1, old] < earliest:
                    earliest, code = old_near[1, old], old_near[2, old]
                count = _touch(old_near[2, old], rank, touched, codes_here, count)
            old += 1
        while pair < len(pairs) and np.int64(pairs[pair] >> _U32) == rank:
            other = np.int64(pairs[pair] & _LOW)
            pair += 1
            if published[rank] >= 0 or (group[rank] != olds + rank and touched[cluster[other]] == rank):
                continue  # nothing that it could add
            if not near(shingles, offsets, order[rank], shingles, offsets, order[other]):
                continue
            if group[rank] == olds + rank:
                group[rank] = group[other]
            if _NOW + other < earliest:
                earliest, code = _NOW + other, cluster[other]
            count = _touch(cluster[other], rank, touched, codes_here, count)
        cluster[rank] = code if published[rank] < 0 else published[rank]
        ends[rank + 1] = ends[rank]
        if len(links) < ends[rank] + count:
            links = np.concatenate((links, np.empty(len(links) + count, np.int64)))
        for at in range(count):
            if codes_here[at] != code:
                links[ends[rank + 1]] = codes_here[at]
                ends[rank + 1] += 1
        for side in range(2):
            key = keys[side, rank]
            if key >= 0:
                nodes = _enlist(key, cluster[rank], _NOW + rank, nodes, first, first_code, last, before, listed)
    return cluster, group, ends, links[: ends[-1]]


@njit(cache=True, nogil=True)
def _lists_of_keys(keys, old_keyed):  # type: ignore[no-untyped-def]
    """For each key its first row's position and cluster, and its clusters: listed[last], listed[before[last]], ..."""
    room, most = 1, old_keyed.shape[1] + keys.size
    for key in keys.flat:
        room = max(room, key + 1)
    first, first_code, last = np.full(room, _NEVER), np.full(room, -1, np.int64), np.full(room, -1, np.int64)
    before, listed = np.empty(most, np.int64), np.empty(most, np.int64)
    for node in range(old_keyed.shape[1]):
        key, position, code = old_keyed[0, node], old_keyed[1, node], old_keyed[2, node]
        if position < first[key]:
            first[key], first_code[key] = position, code
        before[node], listed[node], last[key] = last[key], code, node
    return first, first_code, last, before, listed


@njit(cache=True, nogil=True)
def _enlist(key, code, position, nodes, first, first_code, last, before, listed):  # type: ignore[no-untyped-def]
    """Adds a row's cluster to its key, once. Returns the number of nodes."""
    node = last[key]
    while node >= 0:
        if listed[node] == code:
            return nodes
        node = before[node]
    if last[key] < 0:
        first[key], first_code[key] = position, code
    before[nodes], listed[nodes], last[key] = last[key], code, nodes
    return nodes + 1


@njit(cache=True, nogil=True)
def _touch(code, rank, touched, codes_here, count):  # type: ignore[no-untyped-def]
    """Adds a cluster to those of the rank, once. Returns their number."""
    if touched[code] != rank:
        touched[code] = rank
        codes_here[count] = code
        count += 1
    return count
