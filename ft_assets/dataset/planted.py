"""Copies of held-out items, planted among the rows of a snapshot to see how many of them the contamination check finds.

They are made in memory in every run and looked for by the same code as real ones; nothing is written.
"""

import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ft_assets.dataset.call_texts import as_said
from ft_assets.dataset.contamination import HeldOut
from ft_assets.dataset.golden import GoldenRow
from ft_assets.dataset.ngrams import CONTAINED_WORDS
from ft_assets.dataset.rows import side_frame
from ft_assets.dataset.texts import TURNS, Texts

MOST_ITEMS = 200  # drawn from all that are held out
EDITED_WORDS = 0.05
EXCERPT_SHARE = 0.6
FILLER = [{"role": "user", "content": "Let us begin."}, {"role": "assistant", "content": "Gladly, what is it about?"}]
Conversation = list[dict[str, Any]]


@dataclass(frozen=True)
class Recall:
    """How many copies of one kind were planted and found. A kind that changes words is not planted of short items.

    `too_short` are items of fewer than 13 words (22 for an excerpt, which then has fewer than 13): only a whole copy
    of them can be told from coincidence.
    """

    planted: int
    found: int
    too_short: int

    @property
    def share(self) -> float | None:
        """Found of planted, 0..1; None when nothing was planted."""
        return self.found / self.planted if self.planted else None


def planted_recall(snapshot_dir: Path, golden: Sequence[GoldenRow], seed: int = 0) -> dict[str, Recall]:
    """For each kind of copy how many of up to 200 held-out items (eval side and golden set) are found again.

    Kinds: whole_copy; inside_conversation (between turns of another row); word_edits (one word in twenty, at least
    one, replaced); case_spacing_unicode; excerpt (60 % of the words in a row, as an answer). Each copy is judged as if
    it alone had come in beside the rows that the snapshot learns from. Random: the items, the places, from `seed`.

    Raises:
        IncompleteArtifact: a side's file is not there; materialize train_eval_split again.
    """
    draw = random.Random(seed)
    learned = pl.concat([side_frame(snapshot_dir, side) for side in ("train", "validation")])
    held = HeldOut.of(golden, side_frame(snapshot_dir, "eval"))
    items, size = held.items(), held.frame.height
    drawn = sorted(draw.sample(range(size), min(MOST_ITEMS, size)))
    rows_per_key = items.rows_per_key(items.hits(Texts.of(learned["messages"])), np.ones(learned.height, bool))
    said = as_said(held.frame["messages"])  # calls as text, so that they are changed and cut like what else is said
    words = [word for turn in said.gather(drawn).explode() for word in turn["content"].split()]
    recall = {}
    for kind, (copy, least_words) in KINDS.items():
        chosen = [item for item in drawn if items.words.counts[item] >= least_words]
        copies = [copy(said[item].to_list(), draw, words) for item in chosen]
        planted = pl.Series("messages", copies, dtype=TURNS)
        hits, everything = items.hits(Texts.of(planted)), np.ones(len(copies), bool)
        found = items.find(planted, hits, everything, rows_per_key + 1) if copies else []
        recall[kind] = Recall(len(copies), len(found), len(drawn) - len(chosen))
    return recall


def _whole(turns: Conversation, draw: random.Random, words: Sequence[str]) -> Conversation:
    return turns


def _inside(turns: Conversation, draw: random.Random, words: Sequence[str]) -> Conversation:
    said = [turn for turn in turns if turn["role"] != "system"]
    return [*FILLER, *said, *FILLER]


def _edited(turns: Conversation, draw: random.Random, words: Sequence[str]) -> Conversation:
    edited = [turn["content"].split(" ") for turn in turns]
    places = [(turn, place) for turn, said in enumerate(edited) for place, word in enumerate(said) if word.strip()]
    for turn, place in draw.sample(places, max(1, round(EDITED_WORDS * len(places)))):
        edited[turn][place] = draw.choice(words)
    return [{**turn, "content": " ".join(said)} for turn, said in zip(turns, edited, strict=True)]


def _respelled(turns: Conversation, draw: random.Random, words: Sequence[str]) -> Conversation:
    def respelled(word: str) -> str:
        full_width = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in word)
        return draw.choice([word.upper(), word.title(), unicodedata.normalize("NFD", word), full_width])

    spaces = (" ", "  ", "\u00a0", "\n", "\t")
    return [
        {**turn, "content": "".join(respelled(word) + draw.choice(spaces) for word in turn["content"].split())}
        for turn in turns
    ]


def _excerpt(turns: Conversation, draw: random.Random, words: Sequence[str]) -> Conversation:
    said = " \n".join(turn["content"] for turn in turns if turn["role"] != "system").split(" ")
    length = max(1, round(EXCERPT_SHARE * len(said)))
    first = draw.randrange(len(said) - length + 1)
    return [FILLER[0], {"role": "assistant", "content": " ".join(said[first : first + length])}]


KINDS: dict[str, tuple[Callable[[Conversation, random.Random, Sequence[str]], Conversation], int]] = {
    "whole_copy": (_whole, 0),
    "inside_conversation": (_inside, 0),
    "word_edits": (_edited, CONTAINED_WORDS),
    "case_spacing_unicode": (_respelled, 0),
    "excerpt": (_excerpt, round(CONTAINED_WORDS / EXCERPT_SHARE + 0.5)),
}
