from collections.abc import Iterator

import dagster as dg
import polars as pl

from ft_assets.defs.conventions import partition_days
from ft_assets.defs.curation import BATCH_ROWS, curated_examples
from ft_assets.defs.sources import EXPANDED, RECORDS, raw_interactions
from ft_assets.defs.tables import count_rows_by_day, in_batches, latest_metadata
from ft_assets.lake import Lake

MOST_REJECTED = 0.1
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
FEW_REJECTED = "At most one record in ten of a day could not be read; more means that a source changed its format."
CURATED_CHECKS = {
    "every_record_is_accounted_for": "Records in the landing files are answers, feedback or rejections; none is lost.",
    "masked_text_holds_no_secret": "No example still matches a pattern of personal data or of a secret after masking.",
    "every_interaction_is_accounted_for": "Answers of the day are examples or rejections with a reason, exact "
    "duplicates among them; nothing disappears.",
}


# One step for all of them: a process of its own for each check would cost more than the checks. None on
# raw_interactions may block, or this step would have to run before curated_examples, which it looks at too.
@dg.multi_asset_check(
    name="day_checks",
    specs=[dg.AssetCheckSpec("few_records_are_rejected", asset=raw_interactions, description=FEW_REJECTED)]
    + [
        dg.AssetCheckSpec(name, asset=curated_examples, blocking=True, description=description)
        for name, description in CURATED_CHECKS.items()
    ],
    can_subset=True,
)
def day_checks(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> Iterator[dg.AssetCheckResult]:
    days = partition_days(context)
    wanted = {key.name for key in context.op_execution_context.selected_asset_check_keys}
    if "every_record_is_accounted_for" in wanted:
        yield records_are_accounted_for(context.instance, lake, days)
    if "few_records_are_rejected" in wanted:
        yield few_are_rejected(lake, days)
    if "masked_text_holds_no_secret" in wanted:
        yield no_secret_is_left(lake, days)
    if "every_interaction_is_accounted_for" in wanted:
        yield interactions_are_accounted_for(lake, days)


def records_are_accounted_for(instance: dg.DagsterInstance, lake: Lake, days: list[str]) -> dg.AssetCheckResult:
    """The records that the reader counted, against the rows that three tables hold."""
    reports = latest_metadata(instance, raw_interactions.key, days, (RECORDS, EXPANDED))
    came_in = {day: int(report[RECORDS]) + int(report[EXPANDED]) for day, report in reports.items()}
    went_on = count_by_day(lake, "raw_interactions", {"day": days})
    for table, where in (("feedback", {"day": days}), ("rejections", {"stage": ["ingest"], "day": days})):
        for day, rows in count_by_day(lake, table, where).items():
            went_on[day] = went_on.get(day, 0) + rows
    failing = {day: records - went_on.get(day, 0) for day, records in came_in.items() if records != went_on.get(day, 0)}
    return dg.AssetCheckResult(
        check_name="every_record_is_accounted_for",
        asset_key=curated_examples.key,
        passed=not failing,
        severity=ERROR,
        metadata={"records": sum(came_in.values()), "went_on": sum(went_on.values()), "missing_by_day": failing},
        description=f"Records are missing on {', '.join(failing)}: materialize these days again; if it stays, a reader "
        "in ft_assets/ingest drops records without a reason."
        if failing
        else None,
    )


def few_are_rejected(lake: Lake, days: list[str]) -> dg.AssetCheckResult:
    """The share of unreadable records by day; a copy of an answer or of feedback is readable."""
    rows = count_by_day(lake, "raw_interactions", {"day": days})
    rejected = lake.scan("rejections", {"stage": ["ingest"], "day": days}).collect()
    unreadable = rejected.filter(~pl.col("rule").str.starts_with("duplicate_") & (pl.col("rule") != "not_reviewed"))
    lost = count_rows_by_day(unreadable)
    failing = {day: bad for day, bad in sorted(lost.items()) if bad > MOST_REJECTED * (bad + rows.get(day, 0))}
    places = unreadable.filter(pl.col("day").is_in(list(failing))).select("place", "reason").head(10).rows()
    return dg.AssetCheckResult(
        check_name="few_records_are_rejected",
        asset_key=raw_interactions.key,
        passed=not failing,
        severity=WARN,
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


def no_secret_is_left(lake: Lake, days: list[str]) -> dg.AssetCheckResult:
    """Looks at the text as it is stored, with the same detectors as the masker but none of its state."""
    from ft_assets.curation.masking import secrets_left

    rows = count_by_day(lake, "curated_examples", {"day": days})
    found: dict[str, list[str]] = {}
    for batch in in_batches(days, rows, BATCH_ROWS):
        found |= secrets_left(lake.scan("curated_examples", {"day": batch}).select("example_id", "messages").collect())
    kinds = sorted({kind for its_kinds in found.values() for kind in its_kinds})
    return dg.AssetCheckResult(
        check_name="masked_text_holds_no_secret",
        asset_key=curated_examples.key,
        passed=not found,
        severity=ERROR,
        metadata={"examples": sum(rows.values()), "offending": dict(list(found.items())[:20])},
        description=f"{len(found)} examples still hold {kinds}. "
        "Mend the pattern in ft_assets/curation/pii_patterns.py and materialize these days again; nothing was trained "
        "on them."
        if found
        else None,
    )


def interactions_are_accounted_for(lake: Lake, days: list[str]) -> dg.AssetCheckResult:
    """Rows in = examples + rejections + duplicates, by day."""
    came_in = count_by_day(lake, "raw_interactions", {"day": days})
    examples = count_by_day(lake, "curated_examples", {"day": days})
    rejected = lake.scan("rejections", {"stage": ["curation"], "day": days}).select("day", "rule").collect()
    by_day = count_rows_by_day(rejected)
    failing = {
        day: missing for day in days if (missing := came_in.get(day, 0) - examples.get(day, 0) - by_day.get(day, 0))
    }
    duplicates = rejected.filter(pl.col("rule").str.contains("duplicate")).height
    return dg.AssetCheckResult(
        check_name="every_interaction_is_accounted_for",
        asset_key=curated_examples.key,
        passed=not failing,
        severity=ERROR,
        metadata={
            "interactions": sum(came_in.values()),
            "examples": sum(examples.values()),
            "rejected": rejected.height - duplicates,
            "duplicates": duplicates,
            "missing_by_day": failing,
        },
        description=f"Answers of {', '.join(failing)} are neither an example nor a rejection: materialize the days "
        "again; if it stays, a rule in ft_assets/curation drops rows without a reason."
        if failing
        else None,
    )


def count_by_day(lake: Lake, table: str, where: dict[str, list[str]]) -> dict[str, int]:
    """Day to rows of the table; empty when it was never written."""
    if not lake.exists(table):
        return {}
    return dict(lake.scan(table, where).group_by("day").agg(pl.len()).collect().rows())
