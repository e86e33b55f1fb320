from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from ft_assets.compute import keep_what_is_loaded
from ft_assets.defs.conventions import CURATION_POOL, DATA_ENG, DAYS, ONE_RUN, SETTINGS
from ft_assets.defs.judging import judge_scores
from ft_assets.defs.sources import raw_interactions
from ft_assets.defs.tables import in_batches, replace_rejections, table_metadata
from ft_assets.lake import Lake
from ft_assets.retention.raw_days import refuse_without_raw
from ft_assets.retention.rules import RetentionRules
from ft_assets.rules_file import read_rules
from ft_assets.validated import validated

if TYPE_CHECKING:
    from ft_assets.curation.curate import Curated

BATCH_ROWS = 100_000  # answers that are read, curated and committed together
FEEDBACK_STAMP = "feedback_stamp"  # metadata key: what had been said about the day's answers when they were curated


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=ONE_RUN,
    deps=[raw_interactions, judge_scores],
    group_name="curation",
    kinds={"polars", "deltalake"},
    owners=DATA_ENG,
    pool=CURATION_POOL,
)
def curated_examples(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """One row per example that passed every rule, in chat-messages form, masked and clustered, each text once.

    From `raw_interactions` and `judge_scores` of the same day, and all `feedback` that names its answers, whenever it
    came. `high_score` says whether the ratings, judge scores and verdicts pass and the answer has none of the `faults`;
    rows without it stay, because they are the rejected sides of preference pairs. Near-duplicates share a
    `duplicate_group`, what stays on one side of a split a `cluster_id`; both are compared over all days and never
    change for a published row. What did not pass is in `rejections`.
    Fails when the input moved three times under it (another run writes the same days; wait for it and run again), or
    when a validator of FT_ASSETS_RULES refuses a day.
    """
    keep_what_is_loaded()
    days = list(context.partition_keys)
    refuse_without_raw(lake, days, read_rules(SETTINGS.rules, "retention", RetentionRules).raw_retention_days)
    rows = dict(lake.scan("raw_interactions", {"day": days}).group_by("day").agg(pl.len()).collect().rows())
    curation = Curation(lake)
    for batch in in_batches(days, rows, BATCH_ROWS):
        for day, report in curation.curate_batch(batch).items():
            context.add_asset_metadata(report, asset_key=context.asset_key, partition_key=day)
    return dg.MaterializeResult()


class Curation:
    """Curates batches of days one after the other, each against everything that is published when its turn comes."""

    def __init__(self, lake: Lake):
        from ft_assets.curation.duplicate_index import DuplicateIndex
        from ft_assets.curation.rules import CurationRules
        from ft_assets.curation.tokens import token_counter

        self.lake = lake
        self.rules = read_rules(SETTINGS.rules, "curation", CurationRules)
        self.counter = token_counter(SETTINGS.tokenizer)
        self.feedback = lake.scan("feedback").collect() if lake.exists("feedback") else None
        self.feedback_stamps = feedback_said(lake)
        self.index = DuplicateIndex(lake)

    def curate_batch(self, days: list[str]) -> dict[str, dict[str, object]]:
        """Replaces these days in the table, then in the index; the report of each day."""
        tables = ("raw_interactions", "judge_scores", "judge_agreement", "curated_examples")
        inputs = {table: {"day": days} for table in tables}
        curated = self.lake.settled(inputs, lambda: self.compute(days), lambda made: self.commit(days, made))
        self.index.publish(curated.segments)
        return {day: self.report(day, curated) for day in days}

    def compute(self, days: list[str]) -> "Curated":
        from ft_assets.curation.curate import curate

        raw = self.lake.scan("raw_interactions", {"day": days}).collect()
        published = self.index.published(days)
        judged = self.rows_of("judge_scores", days), self.rows_of("judge_agreement", days)
        return curate(raw, self.rules, self.index.segments, published, self.feedback, self.counter.count, judged)

    def rows_of(self, table: str, days: list[str]) -> pl.DataFrame:
        """The rows of these days, none where the table was never written."""
        return self.lake.scan(table, {"day": days}).collect() if self.lake.exists(table) else pl.DataFrame()

    def commit(self, days: list[str], curated: "Curated") -> None:
        from ft_assets.curation.checked_schema import CURATED_EXAMPLES

        examples = validated(CURATED_EXAMPLES, curated.examples, days)  # before anything is written
        replace_rejections(self.lake, "curation", curated.rejections, days)
        if curated.copies.height or self.lake.exists("exact_copies"):
            self.lake.replace("exact_copies", curated.copies, {"day": days})
        self.lake.replace("curated_examples", examples, {"day": days})

    def report(self, day: str, curated: "Curated") -> dict[str, object]:
        counts = curated.counts_by_day.get(day, {})
        told = curated.examples.select("day", "duplicate_group", "example_id", "n_tokens")
        rows = told.filter(pl.col("day") == day)
        return table_metadata(curated.examples, rows.height) | {
            "high_score": counts.get("high_score", 0),
            "low_score_by_signal": counts.get("low_score", {}),
            "dropped": counts.get("rejected", 0),
            "dropped_by_rule": counts.get("rejected_by_rule", {}),
            "masked": counts.get("masked", {}),
            "near_duplicates": int((rows["duplicate_group"] != rows["example_id"]).sum()),
            "tokens": int(rows["n_tokens"].sum()),
            FEEDBACK_STAMP: self.feedback_stamps.get(day, ""),
        }


def feedback_said(lake: Lake) -> dict[str, str]:
    """Day of the answers to a digest of all the feedback about them."""
    if not (lake.exists("feedback") and lake.exists("raw_interactions")):
        return {}
    from ft_assets.curation.feedback import feedback_stamps

    feedback = lake.scan("feedback").collect()
    named = pl.col("interaction_id").is_in(feedback["interaction_id"].unique().implode())
    answers = lake.scan("raw_interactions").select("interaction_id", "day").filter(named).collect()
    return feedback_stamps(feedback, answers)
