import dagster as dg
import polars as pl

from ft_assets.compute import keep_what_is_loaded
from ft_assets.defs.conventions import CURATION_POOL, DATA_ENG, DAYS, ONE_RUN, SETTINGS
from ft_assets.defs.tables import in_batches, replace_rejections, table_metadata
from ft_assets.forgotten_users import ForgottenUsers, forgotten_users
from ft_assets.lake import Lake
from ft_assets.rejections_schema import REJECTION_SCHEMA
from ft_assets.rules_file import read_rules
from ft_assets.state import State
from ft_assets.validated import validated

LANDING_STAMP = "landing_stamp"  # metadata key: which state of the day's landing files was read
RECORDS = "records"  # metadata key: how many records the files held, counted before any was parsed
EXPANDED = "expanded"  # metadata key: how many more items they became, because a preference pair is two answers
BATCH_BYTES = 128 * 1024**2  # of landing files that are read and committed together


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=ONE_RUN,
    group_name="sources",
    kinds={"polars", "deltalake"},
    owners=DATA_ENG,
    pool=CURATION_POOL,
)
def raw_interactions(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], state: dg.ResourceParam[State]
) -> dg.MaterializeResult:
    """One row per logged answer of a landing day, typed, with every signal that came with it.

    Reads every file of `landing/<day>/`. Records that name an earlier answer (ratings, verdicts, corrections, outcomes)
    go to the table `feedback`, a record that cannot be read to `rejections` with its file, line and reason.
    Records of users who asked to be forgotten are refused for ever, as `user_forgotten`.
    Unmasked text, as in `feedback`: nothing downstream of `curated_examples` reads these tables.
    Fails when a landing file cannot be opened: look at the file that the error names, then materialize the day again.
    """
    keep_what_is_loaded()
    days = list(context.partition_keys)
    sizes = {day: sum(file.size for file in lake.landing_files(day)) for day in days}
    known = KnownInteractions(lake)
    for batch in in_batches(days, sizes, BATCH_BYTES):
        forgotten = forgotten_users(state, SETTINGS.split_key)  # asked anew: a run takes hours
        for day, report in ingest_batch(lake, batch, forgotten, known).items():
            context.add_asset_metadata(report, asset_key=context.asset_key, partition_key=day)
    return dg.MaterializeResult()


class KnownInteractions:
    """Which day holds an answer: read once for many batches, as long as nobody else writes the table meanwhile."""

    def __init__(self, lake: Lake):
        self._lake = lake
        self._version: int | None = None
        self._by_day: dict[str, pl.DataFrame] = {}  # interaction_id and day

    def of_other_days(self, days: list[str]) -> pl.DataFrame:
        """interaction_id and day of every answer that other days hold."""
        version = self._lake.version("raw_interactions")
        if version is not None and version != self._version:
            rows = self._lake.scan("raw_interactions").select("interaction_id", "day").collect()
            self._by_day, self._version = _by_day(rows), version
        others = [known for day, known in self._by_day.items() if day not in days]
        return pl.concat([pl.DataFrame(schema={"interaction_id": pl.String, "day": pl.String}), *others])

    def replaced(self, rows: pl.DataFrame, days: list[str], version: int) -> None:
        """Takes these rows for all that the days hold, after the commit that put them there and made this version."""
        if version == (0 if self._version is None else self._version + 1):  # else somebody else wrote as well
            others = {day: known for day, known in self._by_day.items() if day not in days}
            self._by_day, self._version = others | _by_day(rows.select("interaction_id", "day")), version


def _by_day(rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {str(day): known for (day,), known in rows.partition_by("day", as_dict=True).items()}


def ingest_batch(
    lake: Lake, days: list[str], forgotten: ForgottenUsers | None = None, earlier: KnownInteractions | None = None
) -> dict[str, dict[str, object]]:
    """Reads these days' landing files into the tables, whole days in one commit each; the report of each day."""
    from ft_assets.ingest.checked_schema import FEEDBACK, RAW_INTERACTIONS
    from ft_assets.ingest.landing import ingest_day
    from ft_assets.ingest.rules import IngestRules

    rules = read_rules(SETTINGS.rules, "ingest", IngestRules)
    stamps = {day: lake.landing_stamp(day) for day in days}  # before reading: what changes meanwhile is read again
    earlier = earlier or KnownInteractions(lake)
    known, ingested = earlier.of_other_days(days), {}
    for day in days:
        ingested[day] = ingest_day(lake, day, known, rules, forgotten)
        known = pl.concat([known, ingested[day].rows.select("interaction_id", "day")])
    rows = validated(RAW_INTERACTIONS, pl.concat([each.rows for each in ingested.values()]), days)
    feedback = validated(FEEDBACK, pl.concat([each.feedback for each in ingested.values()]), days)
    problems = [problem.model_dump() for each in ingested.values() for problem in each.rejections]
    replace_rejections(lake, "ingest", pl.DataFrame(problems, schema=REJECTION_SCHEMA), days)
    if feedback.height or lake.exists("feedback"):
        lake.replace("feedback", feedback, {"day": days})
    earlier.replaced(rows, days, lake.replace("raw_interactions", rows, {"day": days}))
    return {
        day: table_metadata(rows, each.rows.height)
        | {name: each.counts[name] for name in (RECORDS, EXPANDED, "files", "feedback", "rejected", "rejected_by_rule")}
        | {"unread_fields": each.counts["unread_fields"], LANDING_STAMP: stamps[day]}
        for day, each in ingested.items()
    }
