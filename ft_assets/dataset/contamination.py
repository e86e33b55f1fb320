"""What asks the same thing as the golden set or as another side, and must not be learned from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from ft_assets.dataset.golden import GoldenRow, golden_rows
from ft_assets.dataset.near_copies import Items, Layer
from ft_assets.dataset.ngrams import Array
from ft_assets.dataset.rows import side_frame
from ft_assets.dataset.select import Selection
from ft_assets.dataset.spans import Span, span_of
from ft_assets.dataset.texts import TURNS, Texts, as_series, whole_keys
from ft_assets.errors import LeakFound

__all__ = ["GoldenRow", "Leak", "drop_copies", "drop_golden", "golden_rows", "leaks", "refuse_leaking"]

IN_GOLDEN_SET = "in_golden_set"
NEAR_COPY_OF_EVAL = "near_copy_of_eval"
IDENTITIES = {"example_id": "same_example", "cluster_id": "same_cluster", "prompt_id": "same_prompt"}
LeakLayer = Layer | Literal["same_example", "same_cluster", "same_prompt"]


@dataclass(frozen=True)
class Leak:
    """A row that is learned from, and the held-out row (or golden row) that it must not stand beside.

    `span` is what they share, as character offsets (first, one past the last) into the learned row's turns without the
    system's, joined by newlines; for ids it is the whole text.
    """

    example_id: str
    other_id: str
    layer: LeakLayer
    span: Span


@dataclass(frozen=True)
class HeldOut:
    """What must not be learned: golden rows in the order of their file, then the eval side by example_id."""

    frame: pl.DataFrame  # id, cluster_id, task_type, messages
    golden: int  # how many of them are golden rows

    @classmethod
    def of(cls, golden: Sequence[GoldenRow], on_eval: pl.DataFrame) -> "HeldOut":
        frozen = pl.DataFrame(
            {
                "id": [row.id for row in golden],
                "cluster_id": [row.cluster_id for row in golden],
                "task_type": [row.task_type for row in golden],
                "messages": as_series([row.messages for row in golden]),
            },
            schema={"id": pl.String, "cluster_id": pl.String, "task_type": pl.String, "messages": TURNS},
        )
        said = on_eval.sort("example_id").select(
            pl.col("example_id").alias("id"), "cluster_id", "task_type", pl.col("messages").cast(TURNS)
        )
        return cls(pl.concat([frozen, said]), len(golden))

    def items(self) -> Items:
        """The same as an index to look rows up in."""
        frame = self.frame
        return Items(frame["messages"], frame["cluster_id"].to_list(), frame["task_type"].to_list())


def drop_golden(rows: pl.DataFrame, golden: Sequence[GoldenRow], texts: Texts | None = None) -> Selection:
    """The rows that do not ask what the golden set asks, on whatever side they would have stood.

    A row goes when one of its answers replies to a golden prompt (so that a longer conversation that begins with one
    goes too), when it holds a golden question with its answer, or when it stands in a golden row's cluster. Texts are
    compared without system turns, case, spacing and Unicode form. Copies with changes: `drop_copies`. `texts` are those
    of the rows, by their column `place`; without them they are read here.
    """
    if not golden:
        return Selection(rows, {})
    ids = pl.Series([name for row in golden for name in (row.id, row.cluster_id)], dtype=pl.String).implode()
    named = (rows["example_id"].is_in(ids) | rows["cluster_id"].is_in(ids)).to_numpy()
    items = HeldOut.of(golden, rows.clear()).items()
    asks = items.hits(*_texts_of(rows, texts)).whole >= 0
    kept = rows.filter(~(named | asks))
    dropped = rows.height - kept.height
    return Selection(kept, {IN_GOLDEN_SET: dropped} if dropped else {})


def drop_copies(rows: pl.DataFrame, golden: Sequence[GoldenRow], texts: Texts | None = None) -> Selection:
    """The rows (with their `side`) without those of train and validation that repeat a golden row or the eval side.

    Whole, in part or with changes (see `near_copies`). What is an idiom depends on the rows that stay; so it is looked
    again until nothing is found, and `leaks` finds nothing in what was written. `texts` as in `drop_golden`.
    """
    learned = rows["side"] != "eval"
    held = HeldOut.of(golden, rows.filter(~learned))
    places = np.flatnonzero(learned.to_numpy())
    if not held.frame.height or not len(places):
        return Selection(rows, {})
    items, messages = held.items(), rows["messages"]
    texts, numbers = _texts_of(rows, texts)
    hits = items.hits(texts, places if numbers is None else numbers[places])
    stays, drops = np.ones(len(places), bool), Counter[str]()
    while found := items.find(messages, hits, stays, items.rows_per_key(hits, stays), places):
        drops.update(IN_GOLDEN_SET if each.item < held.golden else NEAR_COPY_OF_EVAL for each in found)
        stays[[each.row for each in found]] = False
    kept = np.ones(rows.height, bool)
    kept[places[~stays]] = False
    return Selection(rows.filter(kept) if drops else rows, dict(drops))


def leaks(snapshot_dir: Path, golden: Sequence[GoldenRow]) -> list[Leak]:
    """Every row of a snapshot that is learned from and must not be; empty when the sides are clean.

    Looked at: the same example, cluster, prompt or whole text in train and validation, and in either of them and eval;
    and golden rows and the eval side, whole, in part or with changes, in train and validation. One entry per row, with
    the first of these layers that applies and one row that it collides with.
    """
    train, validation, on_eval = (side_frame(snapshot_dir, side) for side in ("train", "validation", "eval"))
    learned = pl.concat([train, validation])
    held = HeldOut.of(golden, on_eval)
    named = held.frame.select(pl.col("id").alias("example_id"), "cluster_id", prompt_id=pl.lit(None, dtype=pl.String))
    found = [
        *_same_identity(train, validation),
        *_same_identity(learned, on_eval),
        *_same_identity(learned, named.head(held.golden)),
        *_same_whole(train, validation),
        *_copies(learned, held),
    ]
    first: dict[str, Leak] = {}
    for leak in found:
        first.setdefault(leak.example_id, leak)
    return list(first.values())


def refuse_leaking(snapshot_dir: Path, golden: Sequence[GoldenRow]) -> None:
    """Nothing, for a snapshot that may be trained on.

    Raises:
        LeakFound: `leaks` found something; names how many and the first three.
    """
    if found := leaks(snapshot_dir, golden):
        first = ", ".join(
            f"{leak.example_id[:12]} ({leak.layer} {leak.other_id[:24]}, characters {leak.span[0]} to {leak.span[1]})"
            for leak in found[:3]
        )
        raise LeakFound(
            f"{len(found)} rows of the snapshot in {snapshot_dir} stand on two sides or in the golden set: {first}. "
            "A model trained on it could not be judged. Materialize train_eval_split again; if it stays, the golden "
            "file or the clusters of curated_examples are wrong."
        )


def _texts_of(rows: pl.DataFrame, texts: Texts | None) -> tuple[Texts, Array | None]:
    return (Texts.of(rows["messages"]), None) if texts is None else (texts, rows["place"].to_numpy())


def _same_identity(learned: pl.DataFrame, held: pl.DataFrame) -> list[Leak]:
    found = []
    for column, layer in IDENTITIES.items():
        other = held.select(other_id="example_id", key=column).drop_nulls().unique("key", maintain_order=True)
        mine = learned.select("example_id", "messages", key=column)
        pairs = mine.join(other, on="key", maintain_order="left")
        found += [
            Leak(example, held_id, layer, span_of(messages, messages, "whole_text"))  # type: ignore[arg-type]
            for example, held_id, messages in pairs.select("example_id", "other_id", "messages").iter_rows()
        ]
    return found


def _same_whole(train: pl.DataFrame, validation: pl.DataFrame) -> list[Leak]:
    """Train rows that say what a validation row says."""
    watched = dict(zip(whole_keys(validation["messages"]).tolist(), validation["example_id"], strict=True))
    said = zip(train["example_id"], whole_keys(train["messages"]).tolist(), strict=True)
    pairs = [(place, example, watched[key]) for place, (example, key) in enumerate(said) if key in watched]
    return [
        Leak(
            example,
            other,
            "whole_text",
            span_of(messages := train["messages"][place].to_list(), messages, "whole_text"),
        )
        for place, example, other in pairs
    ]


def _copies(learned: pl.DataFrame, held: HeldOut) -> list[Leak]:
    """What the three layers find, in the order of the rows."""
    if not held.frame.height or not learned.height:
        return []
    items, everything = held.items(), np.ones(learned.height, bool)
    hits = items.hits(Texts.of(learned["messages"]))
    found = items.find(learned["messages"], hits, everything, items.rows_per_key(hits, everything))
    names, texts = held.frame["id"], held.frame["messages"]
    return [
        Leak(
            learned["example_id"][each.row],
            names[each.item],
            each.layer,
            span_of(learned["messages"][each.row].to_list(), texts[each.item].to_list(), each.layer),
        )
        for each in found
    ]
