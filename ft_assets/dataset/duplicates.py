"""One row of a group of near-duplicates is enough, and an answer that fits every prompt teaches nothing."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from ft_assets.dataset.select import Selection
from ft_assets.tasks import CLOSED_ANSWER_TASKS, FREE_TEXT_CHARACTERS

if TYPE_CHECKING:
    import polars as pl

NEAR_DUPLICATE = "near_duplicate"
REPEATED_ANSWER = "repeated_answer"


def one_per_group(rows: "pl.DataFrame", previous: Collection[str] = ()) -> Selection:
    """One row of each `duplicate_group`, in the order of the input; the others count as "near_duplicate".

    A row of an earlier snapshot (`previous`, example ids) stays the one; otherwise the best: verified by a person, then
    the higher quality score, then the earlier day and the smaller example_id.
    """
    import polars as pl

    lonely = rows["duplicate_group"].is_unique()
    if lonely.all():
        return Selection(rows, {})
    ranked = (
        rows.lazy()
        .select("duplicate_group", "human_verified", "quality_score", "day", "example_id")
        .with_row_index("place")
        .filter(~lonely)
        .sort(
            "duplicate_group",
            ~pl.col("example_id").is_in(list(previous)),
            ~pl.col("human_verified").fill_null(False),
            -pl.col("quality_score").fill_null(-1.0),
            "day",
            "example_id",
        )
        .unique("duplicate_group", keep="first", maintain_order=True)
        .collect()
    )
    kept = rows.filter(lonely | pl.int_range(rows.height, eager=True).is_in(ranked["place"].cast(pl.Int64).implode()))
    return Selection(kept, {NEAR_DUPLICATE: rows.height - kept.height})


def drop_repeated_answers(rows: "pl.DataFrame", curated: "pl.LazyFrame | pl.DataFrame", prompts: int) -> Selection:
    """The rows whose answer was not given to `prompts` unrelated prompts (clusters) or more in all of `curated`.

    Only free-text answers of at least FREE_TEXT_CHARACTERS count: a label is right for many questions. They are
    compared by `answer_id`, so without case and spacing, whatever the score, the role or the line of their rows.
    """
    import polars as pl

    free = ~pl.col("task_type").is_in(list(CLOSED_ANSWER_TASKS)).fill_null(False)
    given = curated.lazy().filter(free).select("answer_id", "cluster_id").drop_nulls()
    often = given.group_by("answer_id").len().filter(pl.col("len") >= prompts).select("answer_id")
    repeated = (
        given.join(often, on="answer_id", how="semi")
        .group_by("answer_id")
        .agg(pl.col("cluster_id").n_unique())
        .filter(pl.col("cluster_id") >= prompts)
        .collect()["answer_id"]
    )
    if not repeated.len():
        return Selection(rows, {})
    answer = pl.col("messages").list.last().struct.field("content")
    suspects = rows.with_row_index("place").filter(free & pl.col("answer_id").is_in(repeated.implode()))
    dropped = suspects.filter(answer.str.len_chars() >= FREE_TEXT_CHARACTERS)["place"].cast(pl.Int64)
    if not dropped.len():
        return Selection(rows, {})
    kept = rows.filter(~pl.int_range(rows.height, eager=True).is_in(dropped.implode()))
    return Selection(kept, {REPEATED_ANSWER: dropped.len()})
