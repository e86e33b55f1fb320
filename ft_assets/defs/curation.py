from collections import Counter

import dagster as dg
import polars as pl

from ft_assets.defs.conventions import CURATION_POOL, DATA_ENG, DAYS, ONE_RUN, partition_days
from ft_assets.defs.sources import raw_interactions
from ft_assets.defs.tables import replace_rejections, table_metadata
from ft_assets.lake import Lake


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=ONE_RUN,
    deps=[raw_interactions],
    group_name="curation",
    kinds={"polars", "deltalake"},
    owners=DATA_ENG,
    pool=CURATION_POOL,
)
def curated_examples(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """One row per example that passed every rule, in chat-messages form, masked, each text once.

    From `raw_interactions` of the same day. `high_score` says whether the ratings, judge scores and verdicts pass;
    rows without it stay, because they are the rejected sides of preference pairs. What did not pass is in `rejections`.
    Fails when the input moved three times under it: another run writes the same days; wait for it and run again.
    """
    from ft_assets.curation.curate import Curated, curate

    days = list(context.partition_keys)

    def compute() -> Curated:
        return curate(lake.scan("raw_interactions", {"day": days}).collect(), earlier_examples(lake, days))

    def commit(curated: Curated) -> None:
        replace_rejections(lake, "curation", curated.rejections, days)
        lake.replace("curated_examples", curated.examples, {"day": days})

    curated = lake.settled({"raw_interactions": {"day": days}}, compute, commit)
    for day in days:
        rows = curated.examples.filter(curated.examples["day"] == day)
        reasons = Counter(rejection.rule for rejection in curated.rejections if rejection.day == day)
        report = table_metadata(rows, rows.height) | {
            "high_score": int(rows["high_score"].sum()),
            "not_high_score_because": dict(rows["low_score_reason"].drop_nulls().value_counts().rows()),
            "dropped": sum(reasons.values()),
            "dropped_by_rule": dict(reasons),
            "masked": curated.counts_by_day.get(day, {}).get("masked", {}),
        }
        context.add_asset_metadata(report, asset_key=context.asset_key, partition_key=day)
    return dg.MaterializeResult()


def earlier_examples(lake: Lake, days: list[str]) -> pl.DataFrame | None:
    """Ids of the examples that other days already hold."""
    if not lake.exists("curated_examples"):
        return None
    return lake.scan("curated_examples").filter(~pl.col("day").is_in(days)).select("example_id", "day").collect()


@dg.asset_check(asset=curated_examples, blocking=True)
def masked_text_holds_no_secret(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
) -> dg.AssetCheckResult:
    """No example still matches a pattern of personal data or of a secret after masking."""
    from ft_assets.curation.pii import still_secret

    rows = lake.scan("curated_examples", {"day": partition_days(context)}).select("example_id", "messages").collect()
    found = {
        row["example_id"]: kinds
        for row in rows.iter_rows(named=True)
        if (
            kinds := sorted(
                {
                    kind
                    for turn in row["messages"]
                    for text in (turn["content"], turn["tool_calls"] or "")
                    for kind in still_secret(text)
                }
            )
        )
    }
    return dg.AssetCheckResult(
        passed=not found,
        metadata={"examples": rows.height, "offending": dict(list(found.items())[:20])},
        description=f"{len(found)} examples still hold {sorted({k for ks in found.values() for k in ks})}. "
        "Mend the pattern in ft_assets/curation/pii.py and materialize these days again; nothing was trained on them."
        if found
        else None,
    )


@dg.asset_check(asset=curated_examples, blocking=True)
def every_interaction_is_accounted_for(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
) -> dg.AssetCheckResult:
    """Interactions of the day are examples (alone or merged) or rejections with a reason; nothing disappears."""
    days = {"day": partition_days(context)}
    came_in = lake.scan("raw_interactions", days).select(pl.len()).collect().item()
    examples = lake.scan("curated_examples", days).select(pl.len()).collect().item()
    rejected = lake.scan("rejections", {"stage": ["curation"], **days}).select(pl.len()).collect().item()
    missing = came_in - examples - rejected
    return dg.AssetCheckResult(
        passed=missing == 0,
        metadata={"interactions": came_in, "examples": examples, "rejected": rejected},
        description=f"{missing} interactions are neither an example nor a rejection: materialize the days again; "
        "if it stays, a rule in ft_assets/curation drops rows without a reason."
        if missing
        else None,
    )
