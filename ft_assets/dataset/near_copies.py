"""Finds the rows that hold, in part or with changes, the text of an item that was held out to judge by.

Three layers. A short item (fewer than 13 words) can only be recognised whole; so every item is compared whole first:
its prompt, its question with its answer, its whole text. A long one is contained when half of its telling words, or of
its prompt's, stand in 13-grams of the row. It has a near copy when the word 3-grams of both are alike (Jaccard) and
half of its telling words stand in shared ones. Where few words are telling, more than half must be shared.

Telling is a word in a fingerprint that few rows and few items hold. What many hold is an idiom of a language, a licence
or a template: sharing it proves nothing, and without this rule every row of a template would be a copy of its siblings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl

from ft_assets.dataset import ngrams, similarity
from ft_assets.dataset.ngrams import CONTAINED_WORDS, FINGERPRINT_WORDS, NEAR_COPY_WORDS, Array
from ft_assets.dataset.texts import Texts, Turns, read, turns_of, words_of
from ft_assets.tasks import CLOSED_ANSWER_TASKS

Layer = Literal["whole_text", "n_grams", "near_copy"]

COMMON_ROWS = 10  # a fingerprint in more rows than this is an idiom
COMMON_ITEMS = 10  # likewise in the items of more clusters than this
NEAR_COPY_JACCARD = 0.5
# Half of an item's telling words must be shared, and nearly all where few are telling: the rows of a template share one
# slot or two by chance, and one with a single other slot is no copy but a sibling.
OWN_TEXT, NEEDED_SHARE = (0.4, 0.6, 0.8), (1.0, 0.9, 0.5)
ASKED_SHARE = 0.2  # of the prompt of an item with a closed answer
# A pair is looked at when it shares this part of the item's telling fingerprints, or so many of them.
WORTH_A_LOOK_SHARE, WORTH_A_LOOK = 0.2, 4


@dataclass(frozen=True)
class Found:
    """A row (its number) and the item (likewise) that it repeats."""

    row: int
    item: int
    layer: Layer


@dataclass(frozen=True)
class Hits:
    """What rows share with the items: places in the items' keys, and where each row's begin; items repeated whole."""

    keys: Array
    starts: Array
    whole: Array  # item number per row, -1 for none

    @property
    def rows(self) -> int:
        return len(self.whole)


class Items:
    """Texts that were held out, indexed by their fingerprints. `clusters`: items of one are one source, not many."""

    def __init__(self, messages: pl.Series, clusters: Sequence[str], tasks: Sequence[str | None]):
        turns = turns_of(messages)
        texts, self.words, self._places = read(turns)
        self._fingerprints, self._bounds = texts.fingerprints, texts.fingerprint_bounds
        self.size = len(messages)
        self._closed = np.array([task in CLOSED_ANSWER_TASKS for task in tasks], dtype=bool)
        owner = np.repeat(np.arange(self.size, dtype=np.int64), np.diff(self._bounds))
        self.keys, self._key_of = np.unique(self._fingerprints, return_inverse=True)
        pairs = _distinct((self._key_of.astype(np.int64) << 32) | owner)
        self._posting_key, self._postings = pairs >> 32, pairs & 0xFFFFFFFF
        self._posting_starts = np.searchsorted(self._posting_key, np.arange(len(self.keys) + 1)).astype(np.int64)
        codes = pl.Series(list(clusters), dtype=pl.String).rank("dense").to_numpy().astype(np.int64)
        sources = _distinct((self._posting_key << 32) | codes[self._postings]) >> 32
        self._widespread = np.bincount(sources, minlength=len(self.keys)) > COMMON_ITEMS
        self._whole_keys, self._whole_items = _whole_keys(texts, turns)

    @cached_property
    def _bits(self) -> Array:
        return ngrams.bits_of(self.keys, _size_bits(len(self.keys)))

    @cached_property
    def _whole_bits(self) -> Array:
        return ngrams.bits_of(self._whole_keys, _size_bits(len(self._whole_keys)))

    def hits(self, texts: Texts, rows: Array | None = None) -> Hits:
        """What each of the `rows` of some texts (all, if none are named) shares with the items."""
        rows = np.arange(texts.rows) if rows is None else rows.astype(np.int64)
        keys, starts = ngrams.lookups(texts.fingerprints, texts.fingerprint_bounds, rows, self.keys, self._bits)
        said, said_starts = ngrams.lookups(texts.said, texts.said_bounds, rows, self._whole_keys, self._whole_bits)
        whole = np.full(len(rows), -1, np.int64)
        some = np.flatnonzero(np.diff(said_starts))
        whole[some] = self._whole_items[said[said_starts[some]]]
        return Hits(keys, starts, whole)

    def rows_per_key(self, hits: Hits, counted: Array) -> Array:
        """In how many of the `counted` rows each key stands."""
        rows: Array = ngrams.rows_per_key(hits.keys, hits.starts, counted, len(self.keys))
        return rows

    def find(
        self, messages: pl.Series, hits: Hits, looked_at: Array, rows_per_key: Array, places: Array | None = None
    ) -> list[Found]:
        """For each row that is `looked_at` the first item that a layer finds in it, in the order of the rows.

        `places` are those of the rows of `hits` in `messages`, where these hold others as well.
        """
        whole = np.flatnonzero(looked_at & (hits.whole >= 0))
        found = [Found(int(row), int(hits.whole[row]), "whole_text") for row in whole]
        rare = (rows_per_key <= COMMON_ROWS) & ~self._widespread
        rows, items = self._candidates(hits, looked_at & (hits.whole < 0), rare)
        if len(rows):
            chosen, text = np.unique(rows, return_inverse=True)
            said = messages.gather(chosen if places is None else places[chosen])
            contained, near = self._judged(said, text.astype(np.int64), items, rare)
            guilty = np.flatnonzero(contained | near)
            _, first = np.unique(rows[guilty], return_index=True)
            for pair in guilty[first]:
                found.append(Found(int(rows[pair]), int(items[pair]), "n_grams" if contained[pair] else "near_copy"))
        return sorted(found, key=lambda each: each.row)

    def _judged(self, messages: pl.Series, rows: Array, items: Array, rare: Array) -> tuple[Array, Array]:
        """For each pair whether the row contains the item, and whether it is a near copy of it.

        A part of the prompt must be there when the answer is a closed one: that is right for other questions, too.
        """
        texts = words_of(turns_of(messages))
        own = self.words
        telling = similarity.telling_words(
            len(own.hashes), own.starts, self._places, self._bounds, rare[self._key_of], FINGERPRINT_WORDS
        )
        sizes = np.array([CONTAINED_WORDS, NEAR_COPY_WORDS], np.int64)
        of_rows, of_items = (texts.hashes, texts.starts), (own.hashes, own.starts, own.prompts)
        shares = similarity.similarities(rows, items, *of_rows, *of_items, telling, sizes)
        whole, prompt, jaccard, near_whole, near_prompt = shares.T
        needed = self._needed_share(telling)[items]
        asked = ~self._closed[items] | (near_prompt >= ASKED_SHARE)
        contained = (prompt >= needed) | ((whole >= needed) & asked)
        return contained, (jaccard >= NEAR_COPY_JACCARD) & (near_whole >= needed) & asked

    def _needed_share(self, telling: Array) -> Array:
        """For each item how much of what is telling in it must be shared: most of it where it is mostly template."""
        total = np.concatenate([np.zeros(1), np.cumsum(telling)])
        own = (total[self.words.starts[1:]] - total[self.words.starts[:-1]]) / np.maximum(1, self.words.counts)
        shares: Array = np.interp(own, OWN_TEXT, NEEDED_SHARE)
        return shares

    def _candidates(self, hits: Hits, looked_at: Array, rare: Array) -> tuple[Array, Array]:
        """Pairs of a row and a long item that share enough telling fingerprints to be worth a look, sorted by row."""
        pairs = ngrams.shared_pairs(
            hits.keys, hits.starts, looked_at, rare, self._postings, self._posting_starts, COMMON_ITEMS
        )
        pairs, shared = np.unique(pairs, return_counts=True)
        rows, items = pairs >> 32, pairs & 0xFFFFFFFF
        own = np.bincount(self._postings[rare[self._posting_key]], minlength=self.size)
        enough = np.minimum(WORTH_A_LOOK, np.ceil(WORTH_A_LOOK_SHARE * own))
        worth = (shared >= enough[items]) & (self.words.counts[items] >= CONTAINED_WORDS)
        return rows[worth], items[worth]


def _whole_keys(texts: Texts, turns: Turns) -> tuple[Array, Array]:
    """Sorted hashes of the items' prompts, whole texts and, of those of two turns, the pair; and the items' numbers."""
    last = texts.said_bounds[1:] - 1
    items = np.arange(texts.rows)
    two = np.flatnonzero(np.diff(turns.first_turn) == 2)
    places, owners = np.concatenate([last, last - 1, last[two] - 2]), np.concatenate([items, items, items[two]])
    asked = texts.said[places] != ngrams.NOTHING_SAID
    keys, first = np.unique(texts.said[places][asked], return_index=True)
    return keys, owners[asked][first]


def _distinct(values: Array) -> Array:
    """Sorted, each once; numpy's own hashes first, at five times the cost for these."""
    ordered = np.sort(values)
    return ordered[np.append(True, np.diff(ordered) != 0)] if len(ordered) else ordered


def _size_bits(keys: int) -> int:
    """Bits of a table that is nearly empty (1 in 32 set), from 8 KiB to 32 MiB."""
    return int(min(28, max(16, np.ceil(np.log2(32 * max(1, keys))))))
