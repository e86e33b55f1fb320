from collections import Counter

import dagster as dg
import polars as pl

from ft_assets.defs.conventions import CURATION_POOL, DATA_ENG, DAYS, ONE_RUN, partition_days
from ft_assets.defs.tables import count_rows_by_day, replace_rejections, table_metadata
from ft_assets.lake import Lake

MOST_REJECTED = 0.1
LANDING_STAMP = "landing_stamp"  # metadata key: which state of the day's landing files was read


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=ONE_RUN,
    group_name="sources",
    kinds={"polars", "deltalake"},
    owners=DATA_ENG,
    pool=CURATION_POOL,
)
def raw_interactions(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """One row per logged answer of a landing day, typed, with every signal that came with it.

    Reads every file of `landing/<day>/`. Unmasked text: nothing downstream of `curated_examples` reads this table.
    A record that cannot be read goes to the table `rejections` with its file, line and reason.
    Fails when a landing file cannot be opened: look at the file that the error names, then materialize the day again.
    """
    from ft_assets.ingest.landing import ingest_day

    days = list(context.partition_keys)
    stamps = {
        day: lake.landing_stamp(day) for day in days
    }  # before reading: a file that changes meanwhile is read again
    known = known_interactions(lake, days)
    frames, rejections = [], []
    for day in days:
        ingested = ingest_day(lake, day, known)
        known |= dict.fromkeys(ingested.rows["interaction_id"], day)
        frames.append(ingested.rows)
        rejections += ingested.rejections
    rows = pl.concat(frames)
    replace_rejections(lake, "ingest", rejections, days)
    lake.replace("raw_interactions", rows, {"day": days})
    kept = count_rows_by_day(rows)
    for day in days:
        reasons = Counter(rejection.rule for rejection in rejections if rejection.day == day)
        report = table_metadata(rows, kept.get(day, 0)) | {
            "files": len(lake.landing_files(day)),
            LANDING_STAMP: stamps[day],
            "rejected": sum(reasons.values()),
            "rejected_by_rule": dict(reasons),
        }
        context.add_asset_metadata(report, asset_key=context.asset_key, partition_key=day)
    return dg.MaterializeResult()


def known_interactions(lake: Lake, days: list[str]) -> dict[str, str]:
    """Interaction id to the day it belongs to, over all days but these."""
    if not lake.exists("raw_interactions"):
        return {}
    others = lake.scan("raw_interactions").select("interaction_id", "day").filter(~pl.col("day").is_in(days)).collect()
    return dict(zip(others["interaction_id"], others["day"], strict=True))


@dg.asset_check(asset=raw_interactions)
def few_records_are_rejected(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
) -> dg.AssetCheckResult:
    """At most one record in ten of a day could not be read; more means that a source changed its format."""
    days = partition_days(context)
    kept = lake.scan("raw_interactions", {"day": days}).group_by("day").len().collect()
    rejected = lake.scan("rejections", {"stage": ["ingest"], "day": days}).collect()
    unreadable = rejected.filter(pl.col("rule") != "duplicate_interaction")
    rows, lost = dict(kept.rows()), count_rows_by_day(unreadable)
    failing = {day: bad for day, bad in sorted(lost.items()) if bad > MOST_REJECTED * (bad + rows.get(day, 0))}
    places = unreadable.filter(pl.col("day").is_in(list(failing))).select("place", "reason").head(10).rows()
    return dg.AssetCheckResult(
        passed=not failing,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "rejected": unreadable.height,
            "rejected_on_failing_days": failing,
            "first_places": dg.MetadataValue.md("\n".join(f"- {place}: {reason}" for place, reason in places)),
        },
        description=f"Over a tenth of the records are unreadable on {', '.join(failing)}. Look at the places below, "
        "mend the files or add the format in ft_assets/ingest/formats.py, and materialize these days again."
        if failing
        else None,
    )
