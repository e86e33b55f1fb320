"""Pairs from records that compared two answers: preference and comparison files, and the logs of A/B tests.

Such a record became two interactions whose ids are the same but for how they end. What an A/B test decided is told
apart by `source_kind: outcome` in its records.
"""

from collections.abc import Sequence
from datetime import date

import polars as pl

from ft_assets.dataset.preference_schema import FILE, OUTCOME
from ft_assets.dataset.preference_scores import CONFLICTING, FAULTY, SAME_ANSWERS, PreferenceRules

SIDE = r"^(.+):(chosen|rejected)$"  # the id of one side, as ft_assets/ingest ends it
ONE_SIDE, TOO_OLD, OTHER_PROMPT = "one_side_is_no_example", "other_side_is_too_old", "prompts_differ"


def compared(
    rows: pl.DataFrame, days: Sequence[date], rules: PreferenceRules, copies: pl.DataFrame | None
) -> pl.DataFrame:
    """A candidate (CANDIDATES) for each record of the days that compared two answers, where a side became an example.

    `rows` are answers with example_id, day (a date), prompt_id, answer_id, source_kind, interaction_ids, faulty and
    conflicting. `copies` (interaction_id, example_id, day) are interactions whose text is an example of another day.
    """
    sides = [_sides(rows, copies).filter(side=side).drop("side") for side in ("chosen", "rejected")]
    both = sides[0].join(sides[1], on="comparison", how="full", coalesce=True, suffix="_rejected")
    day, earlier = (which("day", "day_rejected") for which in (pl.max_horizontal, pl.min_horizontal))
    reasons = [
        pl.when(pl.any_horizontal(pl.col("example_id", "example_id_rejected").is_null())).then(pl.lit(ONE_SIDE)),
        pl.when(earlier < day - pl.duration(days=rules.lookback_days)).then(pl.lit(TOO_OLD)),
        pl.when(pl.col("prompt_id") != pl.col("prompt_id_rejected")).then(pl.lit(OTHER_PROMPT)),
        pl.when(pl.col("conflicting") | pl.col("conflicting_rejected")).then(pl.lit(CONFLICTING)),
        pl.when("faulty").then(pl.lit(FAULTY)),
        pl.when(pl.col("answer_id") == pl.col("answer_id_rejected")).then(pl.lit(SAME_ANSWERS)),
    ]
    return (
        both.with_columns(day=day, dropped_for=pl.coalesce(reasons))
        .filter(pl.col("day").is_in(list(days)))
        .sort("comparison")
        .select(
            "day",
            origin=pl.when(pl.col("source_kind") == "outcome").then(pl.lit(OUTCOME)).otherwise(pl.lit(FILE)),
            chosen_id="example_id",
            rejected_id="example_id_rejected",
            gap=pl.lit(None, dtype=pl.Float64),
            dropped_for="dropped_for",
        )
    )


def _sides(rows: pl.DataFrame, copies: pl.DataFrame | None) -> pl.DataFrame:
    """comparison and side of every interaction that is one side of a comparison, with its example and its own day."""
    examples = rows.select(
        "example_id", "prompt_id", "answer_id", "source_kind", "faulty", "conflicting", "day", "interaction_ids"
    )
    named = examples.explode("interaction_ids").rename({"interaction_ids": "interaction_id"})
    if copies is not None:
        theirs = copies.with_columns(copied=pl.col("day").str.to_date("%Y-%m-%d")).drop("day")
        known = theirs.join(examples.drop("interaction_ids"), on="example_id")
        since = known.with_columns(day=pl.max_horizontal("day", "copied"))
        named = pl.concat([named, since.select(named.columns)])
    parts = pl.col("interaction_id").str.extract_groups(SIDE)
    return (
        named.filter(pl.col("interaction_id").str.contains(SIDE))
        .with_columns(comparison=parts.struct[0], side=parts.struct[1])
        .drop("interaction_id")
        .unique(["comparison", "side"], keep="first", maintain_order=True)
    )
