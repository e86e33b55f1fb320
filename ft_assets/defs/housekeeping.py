import dagster as dg
from pydantic import Field

from ft_assets.defs.conventions import CURATION_POOL, SETTINGS, SPECIALIZATIONS
from ft_assets.defs.execution import executor_of_small_steps
from ft_assets.lake import Lake
from ft_assets.lake_artifacts import DIGEST
from ft_assets.rules_file import read_rules
from ft_assets.state import State

# Assets whose materializations name artifacts, and the kinds that they name.
OF_LINES = (
    *("train_eval_split", "base_model", "lora_checkpoint", "evaluation_report", "registered_model"),
    "exported_dataset",
)
KINDS = ("snapshot", "base_model", "adapter", "report", "training_spec", "dossier", "export", "review")
NEWEST = 3  # materializations of each asset and partition whose artifacts stay, whoever else needs them
SHOWN = 200


class HousekeepingConfig(dg.Config):
    """A run from the UI looks only; the schedule deletes."""

    dry_run: bool = Field(default=True, description="Say what would be deleted, and delete nothing.")


@dg.op(pool=CURATION_POOL)
def clear_up(
    context: dg.OpExecutionContext,
    config: HousekeepingConfig,
    lake: dg.ResourceParam[Lake],
    state: dg.ResourceParam[State],
) -> None:
    """Deletes what nobody reaches any more: artifacts, caches, checkpoints, older versions of tables, unmasked days.

    Kept are registered models, champions that ever were, the last snapshots of each line, what a training under way
    began with, the newest of each asset, and everything younger than the grace. The reasons are in the metadata. The
    section `retention` of FT_ASSETS_RULES says how long each is kept. Events are never deleted.
    """
    from ft_assets.retention.housekeeping import by_reason, housekeeping
    from ft_assets.retention.rules import RetentionRules

    rules = read_rules(SETTINGS.rules, "retention", RetentionRules)
    newest = newest_of_each_asset(context.instance)
    plan = housekeeping(lake, state, rules, config.dry_run, also_kept=newest)
    for each in plan.goes[:SHOWN]:
        context.log.info(f"{'would go' if config.dry_run else 'gone'}: {each.place}: {each.why}")
    context.add_output_metadata(
        {
            "dry_run": config.dry_run,
            "goes": len(plan.goes),
            "goes_bytes": plan.size,
            "goes_by_reason": by_reason(each.why for each in plan.goes),
            "what_goes": dg.MetadataValue.md("\n".join(f"- `{each.place}`: {each.why}" for each in plan.goes[:SHOWN])),
            "kept": len(plan.kept),
            "kept_by_reason": by_reason(plan.kept.values()),
            "older_table_files": plan.tables,
            "partitions_compacted": plan.compacted,
        }
    )


@dg.job(name="housekeeping", executor_def=executor_of_small_steps())
def housekeeping_job() -> None:
    """Deletes what nobody reaches any more, with a reason for each. Launched from here it only looks: set `dry_run` to
    false in the launchpad to delete."""
    clear_up()


@dg.schedule(job=housekeeping_job, cron_schedule="0 5 * * 0", default_status=dg.DefaultScheduleStatus.RUNNING)
def weekly_housekeeping(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Deletes once a week, after the weekly training was asked for."""
    day = context.scheduled_execution_time.date().isoformat()
    config = dg.RunConfig(ops={"clear_up": HousekeepingConfig(dry_run=False)})
    return dg.RunRequest(run_key=day, run_config=config)


def newest_of_each_asset(instance: dg.DagsterInstance) -> dict[tuple[str, str], str]:
    """Every artifact that the last materializations name, of whatever kind: a run resolves what it reads by them."""
    kept: dict[tuple[str, str], str] = {}
    of_lines = [(asset, line) for asset in OF_LINES for line in SPECIALIZATIONS]
    for asset, line in [*of_lines, ("review_queue", "")]:
        wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[line] if line else None)
        why = f"named by one of the newest {asset}{f' of {line}' if line else ''}"
        for record in instance.fetch_materializations(wanted, limit=NEWEST).records:
            made = record.asset_materialization
            for value in made.metadata.values() if made else ():
                if DIGEST.fullmatch(str(value.value)):
                    kept |= {(kind, str(value.value)): why for kind in KINDS}
    return kept
