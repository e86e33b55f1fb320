import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

import dagster as dg

from ft_assets.defs.conventions import DAYS, MODEL_LINES, SETTINGS, SPECIALIZATIONS
from ft_assets.defs.curation import FEEDBACK_STAMP, curated_examples, feedback_said
from ft_assets.defs.dataset import train_eval_split
from ft_assets.defs.evaluation import evaluation_report
from ft_assets.defs.execution import executor_of_small_steps
from ft_assets.defs.judging import judge_scores
from ft_assets.defs.preferences import CURATED_STAMP, curated_stamps, preference_pairs
from ft_assets.defs.release import registered_model
from ft_assets.defs.retraining import Due, Waiting, any_run_is_active, due_lines, looked_at, utc_now
from ft_assets.defs.sources import LANDING_STAMP, raw_interactions
from ft_assets.defs.tables import latest_metadata
from ft_assets.defs.training import base_model, lora_checkpoint
from ft_assets.lake import Lake
from ft_assets.retention.raw_days import days_without_raw
from ft_assets.state import State

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

# Its steps follow each other, and a process for each would cost more CPU than a day of a thousand answers.
ONE_PROCESS = executor_of_small_steps()

# A Dagster job cannot span two partition definitions, so the main job is two: one per wing.
curate = dg.define_asset_job(
    "curate",
    dg.AssetSelection.assets(raw_interactions, *([judge_scores] if SETTINGS.judge_url else []), curated_examples),
    partitions_def=DAYS,
    executor_def=ONE_PROCESS,
    description="Landing files into curated examples; many days are one run.",
)
recurate = dg.define_asset_job(
    "recurate",
    dg.AssetSelection.assets(curated_examples),
    partitions_def=DAYS,
    executor_def=ONE_PROCESS,
    description="Days that are in the lake already, curated again because of later feedback or of new rules.",
)
pair = dg.define_asset_job(
    "pair",
    dg.AssetSelection.assets(preference_pairs),
    partitions_def=DAYS,
    executor_def=ONE_PROCESS,
    description="Preference pairs of days that were curated, and of days that look back on them.",
)
retrain = dg.define_asset_job(
    "retrain",
    dg.AssetSelection.assets(train_eval_split, base_model, lora_checkpoint, evaluation_report, registered_model),
    partitions_def=MODEL_LINES,
    description="Snapshot, adapter, evaluation and registry entry of one specialization.",
)


@dg.schedule(job=curate, cron_schedule="0 2 * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def nightly_curation(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Curates yesterday (UTC) once more, for whatever landed after the sensor looked."""
    yesterday = (context.scheduled_execution_time.date() - timedelta(days=1)).isoformat()
    return dg.RunRequest(run_key=yesterday, partition_key=yesterday)


@dg.schedule(job=retrain, cron_schedule="0 4 * * 0", default_status=dg.DefaultScheduleStatus.RUNNING)
def weekly_retraining(
    context: dg.ScheduleEvaluationContext, lake: dg.ResourceParam[Lake], state: dg.ResourceParam[State]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Retrains every line that has anything new, also below the sensor's threshold."""
    lines, now = SPECIALIZATIONS.values(), context.scheduled_execution_time
    due, waiting = due_lines(context.instance, lake, state, lines, "weekly_retraining", now, new_examples=1)
    return [request(line) for line in due] or dg.SkipReason(reasons_of(waiting))


@dg.sensor(job=curate, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def changed_landing_days(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]
) -> dg.SensorResult | dg.SkipReason:
    """Asks for exactly the days whose landing files changed; neighbouring days are one run."""
    seen: dict[str, str] = json.loads(context.cursor) if context.cursor else stamps_that_were_read(context.instance)
    known = set(DAYS.get_partition_keys())
    folders = lake.landing_days()
    outside = [*lake.odd_landing_folders(), *(day for day in folders if day not in known)]
    stamps = {day: lake.landing_stamp(day) for day in folders if day in known and lake.landing_files(day)}
    changed = sorted(day for day, stamp in stamps.items() if seen.get(day) != stamp)
    ignored = (
        f" Ignored folders (not a day from {DAYS.start.date()} to tomorrow): {', '.join(outside)}." if outside else ""
    )
    if not changed:
        return dg.SkipReason(f"No landing file changed in {len(stamps)} days.{ignored}")
    if ignored:
        context.log.warning(ignored.strip())
    requests = [range_request(days, stamps) for days in neighbours(changed)]
    return dg.SensorResult(run_requests=requests, cursor=json.dumps(stamps))


@dg.sensor(job=recurate, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def late_feedback(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]) -> dg.SensorResult | dg.SkipReason:
    """Asks for exactly the days whose answers were rated, judged or corrected after they were curated."""
    versions = json.dumps([lake.version("feedback"), lake.version("curated_examples")])
    if context.cursor == versions:
        return dg.SkipReason("No feedback has come since the last look.")  # nothing moved, so no table is read
    said = feedback_said(lake)
    expired = days_without_raw(lake)  # past their retention nothing is left that could be curated again
    curated = sorted(set(context.instance.get_materialized_partitions(curated_examples.key)) - expired)
    used = latest_metadata(context.instance, curated_examples.key, curated, (FEEDBACK_STAMP,))
    changed = [day for day in curated if said.get(day, "") != used.get(day, {}).get(FEEDBACK_STAMP, "")]
    if not changed:
        context.update_cursor(versions)
        return dg.SkipReason(f"All feedback about {len(said)} days is in curated_examples.")
    requests = [range_request(days, {day: said.get(day, "") for day in days}) for days in neighbours(changed)]
    return dg.SensorResult(run_requests=requests)


@dg.sensor(job=pair, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING)
def unpaired_days(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]) -> dg.SensorResult | dg.SkipReason:
    """Asks for the pairs of exactly the days that were curated, or look back on a day that was, since they were made.

    A job of its own, because pairs of a day change with thirty days before it.
    """
    version = str(lake.version("curated_examples"))
    if context.cursor == version:
        return dg.SkipReason("No day was curated since the last look.")  # nothing moved, so no event is read
    if any_run_is_active(context.instance, "curate", "recurate", "pair"):  # it commits before it reports its days
        return dg.SkipReason("Days are being curated or paired; looks again when that is done.")
    curated = sorted(context.instance.get_materialized_partitions(curated_examples.key))
    now = curated_stamps(lake, curated)
    used = latest_metadata(context.instance, preference_pairs.key, curated, (CURATED_STAMP,))
    changed = [day for day in curated if now[day] != used.get(day, {}).get(CURATED_STAMP, "")]
    if not changed:
        context.update_cursor(version)
        return dg.SkipReason(f"{len(changed)} of {len(curated)} curated days wait for their pairs.")
    requests = [range_request(days, now) for days in neighbours(changed)]
    return dg.SensorResult(run_requests=requests)


def range_request(days: Sequence[str], stamps: Mapping[str, str]) -> dg.RunRequest:
    """One run over neighbouring days, once for each state of what they are made from."""
    return dg.RunRequest(
        run_key=hashlib.sha256("".join(day + stamps[day] for day in days).encode()).hexdigest(),
        tags={RANGE_START: days[0], RANGE_END: days[-1]},
    )


def stamps_that_were_read(instance: dg.DagsterInstance) -> dict[str, str]:
    """Day to the landing stamp of its latest materialization: what a sensor without a cursor starts from."""
    days = sorted(instance.get_materialized_partitions(raw_interactions.key))
    reports = latest_metadata(instance, raw_interactions.key, days, (LANDING_STAMP,))
    return {day: str(report[LANDING_STAMP]) for day, report in reports.items()}


def neighbours(days: Sequence[str]) -> Iterator[list[str]]:
    """Sorted days in groups without a gap."""
    group: list[str] = []
    for day in days:
        if group and date.fromisoformat(day) - date.fromisoformat(group[-1]) > timedelta(days=1):
            yield group
            group = []
        group.append(day)
    if group:
        yield group


@dg.sensor(job=retrain, minimum_interval_seconds=15, default_status=dg.DefaultSensorStatus.RUNNING)
def new_high_score_samples(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake], state: dg.ResourceParam[State]
) -> dg.SensorResult | dg.SkipReason:
    """Retrains a line once it has enough new high-score samples on its train side; otherwise says what is missing.

    A tainted model, and falling ratings where the line looks at them, are reasons as well.
    """
    stamp, now = looked_at(lake, state), utc_now()
    before: dict[str, str] = json.loads(context.cursor or "{}")
    idle = not any_run_is_active(context.instance, "retrain")
    is_time = "again_at" in before and now >= datetime.fromisoformat(before["again_at"])
    if idle and before.get("looked_at") == stamp and not is_time:
        return dg.SkipReason(before["waiting"])  # nothing moved, so no table is read
    due, waiting = due_lines(context.instance, lake, state, SPECIALIZATIONS.values(), "new_high_score_samples", now)
    reasons = reasons_of(waiting)
    if due:
        context.log.info("\n".join([*(line.why for line in due), reasons]))
        return dg.SensorResult(run_requests=[request(line) for line in due])
    if idle:
        again = min((line.until for line in waiting if line.until), default=None)
        cursor = {"looked_at": stamp, "waiting": reasons} | ({"again_at": again.isoformat()} if again else {})
        context.update_cursor(json.dumps(cursor))
    return dg.SkipReason(reasons)


def reasons_of(waiting: Sequence[Waiting]) -> str:
    """One line for each line that waits."""
    return "\n".join(line.reason for line in waiting)


def request(line: Due) -> dg.RunRequest:
    """One run per line, state of its data and attempt."""
    return dg.RunRequest(run_key=line.run_key, partition_key=line.specialization, tags=line.tags)


@dg.run_failure_sensor(monitor_all_code_locations=True, default_status=dg.DefaultSensorStatus.RUNNING)
def explain_failed_runs(context: dg.RunFailureSensorContext) -> None:
    """Logs, for each failed run, which step failed, on which partition, why, and whether running it again can help."""
    run = context.dagster_run
    where = run.tags.get("dagster/partition") or f"{run.tags.get(RANGE_START)} to {run.tags.get(RANGE_END)}"
    for event in context.get_step_failure_events():
        error = event.step_failure_data.error
        cause = error.cause if error and error.cause else error
        context.log.error(
            f"{run.job_name} [{where}] failed in {event.step_key}: {cause.message if cause else 'no error'}"
        )
        context.log.error(next_step(cause.cls_name if cause else None, run.run_id))


def next_step(error_class: str | None, run_id: str) -> str:
    """What an operator does next, by the kind of the error."""
    from ft_assets import errors

    kind = getattr(errors, error_class or "", None)
    if kind and issubclass(kind, errors.NotRerunnable):
        return (
            f"Running it again cannot help: mend what the error names first, then re-execute run {run_id} from failure."
        )
    return f"Re-execute run {run_id} from failure; nothing half-written is visible. If it fails again, read its log."
