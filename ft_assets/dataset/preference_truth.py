"""Whether stored pairs still say what their examples say. For the checks: nothing here is used by what makes pairs."""

import polars as pl

from ft_assets.dataset.preference_schema import CORRECTION
from ft_assets.dataset.preferences import same_answers


def pairs_of_one_answer(pairs: pl.DataFrame) -> list[str]:
    """The ids of pairs whose two sides are the same but for case, spacing and Unicode form, sorted."""
    return sorted(pairs.filter(same_answers(pairs["chosen"], pairs["rejected"]))["pair_id"])


def untrue_pairs(pairs: pl.DataFrame, examples: pl.DataFrame) -> dict[str, str]:
    """Pair id to what its examples, as they are in `curated_examples` now, do not say; empty when all pairs hold.

    A pair must have the prompt and the answers of its examples, no fault in the chosen one, and no doubt about either.
    """
    turns = pl.col("messages").list
    now = examples.unique("example_id").select(
        "example_id",
        "faults",
        "original_answer",
        doubt=pl.col("conflicting").fill_null(False),
        asked=turns.slice(0, turns.len() - 1),
        answer=turns.tail(1),
    )
    ids = pl.col("example_ids").list
    both = (
        pairs.with_columns(chosen_id=ids.first(), rejected_id=ids.last())
        .join(now, left_on="chosen_id", right_on="example_id", how="left")
        .join(now, left_on="rejected_id", right_on="example_id", how="left", suffix="_rejected")
    )
    said = pl.col("rejected").list.first().struct.field("content")
    is_correction = pl.col("origin") == CORRECTION
    same_rejected = pl.when(is_correction).then(said == pl.col("original_answer"))
    prompts = (pl.col("asked") == pl.col("prompt")) & (pl.col("asked_rejected") == pl.col("prompt"))
    reasons = [
        pl.when(pl.col("answer").is_null() | pl.col("answer_rejected").is_null()).then(pl.lit("an example is gone")),
        pl.when(~prompts).then(pl.lit("the prompts differ")),
        pl.when(pl.col("answer") != pl.col("chosen")).then(pl.lit("the chosen answer is another")),
        pl.when(~same_rejected.otherwise(pl.col("answer_rejected") == pl.col("rejected")).fill_null(False)).then(
            pl.lit("the rejected answer is another")
        ),
        pl.when(pl.col("faults").list.len() > 0).then(pl.lit("the chosen answer has faults")),
        pl.when(pl.col("doubt") | pl.col("doubt_rejected")).then(pl.lit("votes about a side contradict each other")),
    ]
    wrong = both.select("pair_id", why=pl.coalesce(reasons)).drop_nulls("why")
    return dict(wrong.sort("pair_id").iter_rows())
