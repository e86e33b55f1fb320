"""Kernels that say how much of a held-out item stands in a row. Compiled once per machine (numba, cached)."""

import numpy as np
from numba import njit

from ft_assets.dataset.ngrams import n_grams


@njit(nogil=True, cache=True)
def _holds(sorted_hashes, value):  # type: ignore[no-untyped-def]
    found = np.searchsorted(sorted_hashes, value)
    return found < len(sorted_hashes) and sorted_hashes[found] == value


@njit(nogil=True, cache=True)
def covered(item, known, size):  # type: ignore[no-untyped-def]
    """For each word of `item` whether it stands in an n-gram that is among the sorted `known` ones."""
    out = np.zeros(len(item), np.bool_)
    grams = n_grams(item, size)
    for place in range(len(grams)):
        if _holds(known, grams[place]):
            out[place : place + size] = True
    return out


@njit(nogil=True, cache=True)
def _share(found, telling, begin, end):  # type: ignore[no-untyped-def]
    both, all_telling = 0, 0
    for place in range(begin, end):
        all_telling += telling[place]
        both += telling[place] and found[place]
    return both / max(1, all_telling)


@njit(nogil=True, cache=True)
def similarities(rows, items, row_words, row_starts, item_words, item_starts, prompts, telling, sizes):  # type: ignore[no-untyped-def]
    """For each pair of a row and an item five shares in 0..1; `rows` is sorted.

    0 and 1: of the item's telling words, and of those of its prompt, how many stand in an n-gram of sizes[0] that the
    row holds too. 2: the Jaccard similarity of all n-grams of sizes[1]. 3 and 4: as 0 and 1 for n-grams of sizes[1].
    """
    out = np.zeros((len(rows), 5))
    last, long_grams, short_grams = -1, np.empty(0, np.uint64), np.empty(0, np.uint64)
    for pair in range(len(rows)):
        if rows[pair] != last:
            last = rows[pair]
            words = row_words[row_starts[last] : row_starts[last + 1]]
            long_grams, short_grams = np.sort(n_grams(words, sizes[0])), np.unique(n_grams(words, sizes[1]))
        begin, end = item_starts[items[pair]], item_starts[items[pair] + 1]
        item, own = item_words[begin:end], telling[begin:end]
        contained, near = covered(item, long_grams, sizes[0]), covered(item, short_grams, sizes[1])
        asked = prompts[items[pair]]
        out[pair, 0] = _share(contained, own, 0, len(item))
        out[pair, 1] = _share(contained, own, 0, asked) if asked >= sizes[0] else 0.0
        grams = np.unique(n_grams(item, sizes[1]))
        shared = 0
        for gram in grams:
            shared += _holds(short_grams, gram)
        out[pair, 2] = shared / max(1, len(grams) + len(short_grams) - shared)
        out[pair, 3], out[pair, 4] = _share(near, own, 0, len(item)), _share(near, own, 0, asked)
    return out


@njit(nogil=True, cache=True)
def telling_words(words, starts, places, bounds, rare, size):  # type: ignore[no-untyped-def]
    """For each word whether it stands in a fingerprint that is `rare`, that is, whether sharing it tells anything."""
    out = np.zeros(words, np.bool_)
    for row in range(len(starts) - 1):
        for at in range(bounds[row], bounds[row + 1]):
            if rare[at]:
                begin = starts[row] + places[at]
                out[begin : begin + size] = True
    return out
