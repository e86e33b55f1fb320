"""The rows of one day beside those of all other days: exact copies go, near-duplicates and clusters get their ids."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from ft_assets.curation.identity import answer_text, conversation_key, prompt_key, prompt_text
from ft_assets.curation.near_duplicates import PublishedIds, assign, exact_copies
from ft_assets.curation.segment import Segment
from ft_assets.curation.shingles import fingerprint
from ft_assets.curation.turns import conversations, flat

EXACT_DUPLICATE = "exact_duplicate"
Rows = pl.DataFrame
# Interactions whose text is an example of another day.
COPIES = pl.Schema({"interaction_id": pl.String, "example_id": pl.String, "day": pl.String})


def without_exact_duplicates(rows: Rows, others: Mapping[str, Segment]) -> tuple[Rows, Rows, Rows]:
    """The first row of each text of one day, a rejection for every copy, and COPIES of other days', in their order.

    `others` are the segments of the other days, by day. A first row takes the interaction ids of its copies.
    """
    days = list(others)
    copies = exact_copies(rows["example_id"], list(others.values()))
    here = len(days)  # how `exact_copies` names the day itself
    names = pl.Series([*days, None], dtype=pl.String)
    numbered = rows.with_row_index("number").with_columns(
        segment=pl.Series(copies.segment),
        first=pl.Series(copies.row),
        held_by=names.gather(pl.Series(np.where(copies.segment < 0, here, copies.segment))),
        first_place=rows["place"].gather(pl.Series(np.where(copies.segment == here, copies.row, 0))),
    )
    is_copy = pl.col("segment") >= 0
    why = pl.coalesce(
        pl.format("the same masked turns are an example of {} already", "held_by"),
        pl.format("the same masked turns stand at {} of {}", "first_place", "day"),
    )
    rejections = numbered.filter(is_copy).select(
        stage=pl.lit("curation"), day="day", place="place", rule=pl.lit(EXACT_DUPLICATE), reason=why
    )
    elsewhere = numbered.filter(is_copy & (pl.col("segment") != here))
    copied = elsewhere.select("day", "example_id", interaction_id=pl.col("interaction_ids").list.first())
    merged = numbered.filter(pl.col("segment") == here)
    unique = numbered.filter(~is_copy)
    if merged.height:
        more = merged.group_by("first").agg(more=pl.col("interaction_ids").list.first())
        unique = unique.with_columns(pl.col("number").cast(pl.Int64)).join(
            more, left_on="number", right_on="first", how="left", maintain_order="left"
        )
        with_more = pl.concat_list("interaction_ids", pl.col("more").fill_null([]))
        unique = unique.with_columns(interaction_ids=with_more)
    return unique.select(rows.columns), rejections, copied.select(list(COPIES))


def clustered(rows: Rows, others: Mapping[str, Segment], published: Rows | None) -> tuple[Rows, Segment]:
    """The rows with duplicate_group, cluster_id and linked_clusters, and the day's segment.

    `published` are the rows that the day has in the table now; they keep their ids.
    """
    prints = fingerprint(rows["prompt_text"], rows["answer_text"])
    of_conversations, of_prompts = key_array(rows["conversation_key"]), key_array(rows["prompt_key"])
    kept = _kept_ids(rows, published)
    found = assign(prints, rows["example_id"], of_conversations, of_prompts, kept, list(others.values()))
    ids = [
        found.cluster_id.alias("cluster_id"),
        found.linked_clusters.alias("linked_clusters"),
        found.duplicate_group.alias("duplicate_group"),
    ]
    segment = Segment.build(
        prints, rows["example_id"], of_conversations, of_prompts, found.cluster_id, found.duplicate_group
    )
    return rows.with_columns(ids), segment


def segment_of(examples: pl.DataFrame) -> Segment:
    """The segment of a day's rows in `curated_examples`."""
    said = list(conversations(flat(examples["messages"]), examples.height))
    asked = pl.Series([prompt_text(each) for each in said], dtype=pl.String)
    prints = fingerprint(asked, pl.Series([answer_text(each) for each in said], dtype=pl.String))
    of_conversations = pl.Series([conversation_key(name) for name in examples["conversation_id"]], dtype=pl.Binary)
    of_prompts = pl.Series([prompt_key(text) for text in asked], dtype=pl.Binary)
    ids = (examples[name] for name in ("cluster_id", "duplicate_group"))
    return Segment.build(prints, examples["example_id"], key_array(of_conversations), key_array(of_prompts), *ids)


def key_array(keys: pl.Series) -> np.ndarray:
    """(n, 2) uint64 of n keys of 16 bytes."""
    return np.frombuffer(b"".join(keys.to_list()), np.uint64).reshape(-1, 2)


def _kept_ids(rows: Rows, published: Rows | None) -> PublishedIds | None:
    if published is None or not published.height:
        return None
    known = rows.select("example_id").join(
        published.unique("example_id"), on="example_id", how="left", maintain_order="left"
    )
    return PublishedIds(known["cluster_id"], known["linked_clusters"], known["duplicate_group"])
