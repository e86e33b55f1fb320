import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from ft_assets.compute import keep_what_is_loaded
from ft_assets.defs.conventions import CURATION_POOL, DATA_ENG, DAYS, ONE_RUN, SETTINGS, partition_days
from ft_assets.defs.curation import BATCH_ROWS, curated_examples
from ft_assets.defs.tables import in_batches, table_metadata
from ft_assets.lake import Lake
from ft_assets.rules_file import read_rules
from ft_assets.validated import validated

if TYPE_CHECKING:
    from ft_assets.dataset.preferences import Preferences

LOOK_BACK = dg.TimeWindowPartitionMapping(  # a test holds it to MOST_LOOK_BACK_DAYS of the rules
    start_offset=-30,
    allow_nonexistent_upstream_partitions=True,  # before the first day of all
)
CURATED_STAMP = "curated_stamp"  # metadata key: the state of the days that the day's pairs were made from
COPIES = "exact_copies"  # interactions of a day whose text is an example of another day
CHECKS = {
    "every_pair_has_two_different_sides": "No pair's chosen and rejected answer are the same but for case, spacing and "
    "Unicode form.",
    "every_pair_says_what_its_examples_say": "Each pair has the prompt and the answers of its examples as they are "
    "now; none is chosen that has faults, none is used that votes contradict each other about.",
}


@dg.asset(
    partitions_def=DAYS,
    backfill_policy=ONE_RUN,
    deps=[dg.AssetDep(curated_examples, partition_mapping=LOOK_BACK)],
    group_name="preferences",
    kinds={"polars", "deltalake"},
    owners=DATA_ENG,
    pool=CURATION_POOL,
)
def preference_pairs(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """One row per prompt with an answer that is preferred and one that is not, masked; of the day of the later answer.

    From `curated_examples` of the day and of the 30 days before it (`lookback_days` in the section `preferences` of
    FT_ASSETS_RULES): a correction against what it corrects, the two sides of a comparison that was landed as such, and
    the best against the worst of several rated answers to the same prompt, where their scores are of the same kind.
    Not in it: pairs of one answer, chosen answers with faults, answers that votes contradict each other about.
    A day that is curated again changes the pairs of the 30 days after it, too.
    Fails when the input moved three times under it (another run curates the same days; wait for it and run again), or
    when days in reach were curated by an earlier version (run the job `recurate` over them).
    """
    keep_what_is_loaded()
    days = list(context.partition_keys)
    rows = dict(lake.scan("curated_examples", {"day": days}).group_by("day").agg(pl.len()).collect().rows())
    for batch in in_batches(days, rows, BATCH_ROWS):
        for day, report in pair_batch(lake, batch).items():
            context.add_asset_metadata(report, asset_key=context.asset_key, partition_key=day)
    return dg.MaterializeResult()


def pair_batch(lake: Lake, days: list[str]) -> dict[str, dict[str, object]]:
    """Replaces these days' pairs, in one commit; the report of each day."""
    from ft_assets.dataset.preference_schema import PREFERENCE_PAIRS
    from ft_assets.dataset.preferences import PreferenceRules, days_in_reach, pairs_of_days

    rules = read_rules(SETTINGS.rules, "preferences", PreferenceRules)
    reach = {"day": days_in_reach(days, rules.lookback_days)}
    inputs = {"curated_examples": reach} | ({COPIES: reach} if lake.exists(COPIES) else {})

    def compute() -> "Preferences":
        copies = lake.scan(COPIES, reach).collect() if COPIES in inputs else None
        held = held_pairs(lake, reach["day"], days)
        return pairs_of_days(lake.scan("curated_examples", reach), days, rules, copies, held)

    def commit(made: "Preferences") -> None:
        lake.replace("preference_pairs", validated(PREFERENCE_PAIRS, made.pairs, days), {"day": days})

    stamps = curated_stamps(lake, days)  # before reading: what moves meanwhile is seen by the sensor
    made = lake.settled(inputs, compute, commit)
    return {day: report_of(made, day) | {CURATED_STAMP: stamps[day]} for day in days}


def curated_stamps(lake: Lake, days: list[str]) -> dict[str, str]:
    """Day to a digest of the files of `curated_examples` that its pairs look back on."""
    from ft_assets.dataset.preferences import PreferenceRules, days_in_reach

    back = read_rules(SETTINGS.rules, "preferences", PreferenceRules).lookback_days
    files = lake.fingerprints("curated_examples")
    reach = {day: "".join(files.get(each, "-") for each in days_in_reach([day], back)) for day in days}
    return {day: hashlib.sha256(text.encode()).hexdigest() for day, text in reach.items()}


def held_pairs(lake: Lake, reach: list[str], days: list[str]) -> pl.DataFrame | None:
    """pair_id and day of the pairs that other days in reach hold."""
    others = [day for day in reach if day not in days]
    if not others or not lake.exists("preference_pairs"):
        return None
    return lake.scan("preference_pairs", {"day": others}).select("pair_id", "day").collect()


def report_of(made: "Preferences", day: str) -> dict[str, object]:
    """What the UI shows of a day: its pairs by origin, how far apart rated ones are, and what made no pair."""
    rows = made.pairs.filter(pl.col("day") == day)
    gaps = rows["gap"].drop_nulls()
    spread = {f"p{share:.0f}": gaps.quantile(share / 100, "nearest") for share in (0, 25, 50, 75, 100)}
    return table_metadata(rows, rows.height) | {
        "pairs_by_origin": dict(rows.group_by("origin").len().sort("origin").iter_rows()),
        "gap_of_rated_pairs": {name: round(float(value), 4) for name, value in spread.items() if value is not None},
        "dropped_by_reason": made.drops.get(day, {}),
    }


@dg.multi_asset_check(
    name="pair_checks",
    specs=[
        dg.AssetCheckSpec(name, asset=preference_pairs, blocking=True, description=description)
        for name, description in CHECKS.items()
    ],
    can_subset=True,
)
def pair_checks(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> Iterator[dg.AssetCheckResult]:
    days = partition_days(context)
    wanted = {key.name for key in context.op_execution_context.selected_asset_check_keys}
    rows = dict(lake.scan("preference_pairs", {"day": days}).group_by("day").agg(pl.len()).collect().rows())
    one_answer: list[str] = []
    untrue: dict[str, str] = {}
    for batch in in_batches(days, rows, BATCH_ROWS):
        same, wrong = failing_pairs(lake, batch)
        one_answer += same
        untrue |= wrong
    for name, failing in zip(CHECKS, (dict.fromkeys(one_answer, "one answer on both sides"), untrue), strict=True):
        if name in wanted:
            yield check_result(name, failing, sum(rows.values()))


def failing_pairs(lake: Lake, days: list[str]) -> tuple[list[str], dict[str, str]]:
    """Pairs of these days of one answer, and pairs to what their examples do not say."""
    from ft_assets.dataset.preference_scores import MOST_LOOK_BACK_DAYS
    from ft_assets.dataset.preference_truth import pairs_of_one_answer, untrue_pairs
    from ft_assets.dataset.preferences import days_in_reach

    pairs = lake.scan("preference_pairs", {"day": days}).collect()
    used = pairs["example_ids"].explode().drop_nulls().unique().implode()
    reach = lake.scan("curated_examples", {"day": days_in_reach(days, MOST_LOOK_BACK_DAYS)})
    read = ("example_id", "messages", "original_answer", "faults", "conflicting")
    examples = reach.filter(pl.col("example_id").is_in(used)).select(read).collect()
    return pairs_of_one_answer(pairs), untrue_pairs(pairs, examples)


def check_result(name: str, failing: dict[str, str], pairs: int) -> dg.AssetCheckResult:
    """One check's verdict, with the first pairs that fail it."""
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=preference_pairs.key,
        passed=not failing,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"pairs": pairs, "offending": dict(list(failing.items())[:20])},
        description=f"{len(failing)} of {pairs} pairs fail, such as {next(iter(failing))}: "
        f"{next(iter(failing.values()))}. Materialize these days of preference_pairs again; if it stays, mend "
        "ft_assets/dataset/preferences.py. Nothing may be trained on them."
        if failing
        else None,
    )
