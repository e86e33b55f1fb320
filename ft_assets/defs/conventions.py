"""What every defs file shares: partitions, owners, the specializations, and how a run pins what it reads."""

from collections.abc import Callable

import dagster as dg

from ft_assets.errors import MissingInput
from ft_assets.settings import read_settings
from ft_assets.specializations.loader import Specialization, load_specializations

SETTINGS = read_settings()
# Read once per load, like the settings: a changed file is a reload of the code location.
SPECIALIZATIONS = load_specializations(SETTINGS.specializations_dir, SETTINGS.project_root)

DAYS = dg.DailyPartitionsDefinition(start_date=SETTINGS.start_date, end_offset=1, timezone="UTC")
MODEL_LINES = dg.StaticPartitionsDefinition(list(SPECIALIZATIONS))
ONE_RUN = dg.BackfillPolicy.single_run()  # a week is one run, not seven

DATA_ENG = ["team:data-engineering"]
ML_ENG = ["team:ml-engineering"]

CURATION_POOL = "curation"  # what writes the day tables takes turns
GPU_POOL = "gpu"  # what trains or generates takes turns; its limit is the number of GPUs

TrainContext = dg.AssetExecutionContext | dg.AssetCheckExecutionContext


def specialization(context: TrainContext) -> Specialization:
    """The model line of this run's partition."""
    return SPECIALIZATIONS[partition(context)]


def partition(context: TrainContext) -> str:
    """The partition key of this run, for assets and their checks alike."""
    if isinstance(context, dg.AssetExecutionContext):
        return context.partition_key
    return context.op_execution_context.partition_key


def partition_days(context: dg.AssetCheckExecutionContext) -> list[str]:
    """The days of this run, for a check on a day asset.

    Such a check has no partitions of its own: one run over many days would leave its state in the UI at "skipped". It
    looks at all days of its run and names those that fail.
    """
    tags = context.run.tags
    if day := tags.get("dagster/partition"):
        return [day]
    first, last = tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]
    return list(DAYS.get_partition_keys_in_range(dg.PartitionKeyRange(first, last)))


def skip_record(reason: str) -> dg.MaterializeResult:
    """What a step of a line that trains nothing leaves behind."""
    return dg.MaterializeResult(metadata={"status": "SKIPPED", "reason": reason})


def pinned(context: TrainContext, asset: str, refuse: Callable[[str], object] | None = None) -> str:
    """Digest of the artifact behind `asset` that this run reads: the one made by this run (or by the run it retries),
    otherwise the latest that `refuse` does not refuse by raising.

    Raises:
        MissingInput: nothing was ever made, or every candidate was refused; says what to materialize.
    """
    key, instance = dg.AssetKey(asset), context.instance
    run = context.run
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=key, asset_partitions=[partition(context)]), limit=20
    ).records
    own = {run.run_id, run.parent_run_id, run.root_run_id}
    records = sorted(records, key=lambda record: (record.run_id not in own, -record.storage_id))
    refusals: list[str] = []
    for record in records:
        materialization = record.asset_materialization
        digest = materialization.metadata.get("digest") if materialization else None
        if digest is None:
            continue
        if refuse is not None:
            try:
                refuse(str(digest.value))
            except Exception as refusal:
                if record.run_id in own:
                    raise
                refusals.append(f"{str(digest.value)[:12]}: {refusal}")
                continue
        return str(digest.value)
    because = f" The latest ones were refused: {'; '.join(refusals[:3])}" if refusals else ""
    raise MissingInput(f"{asset} [{partition(context)}] has no usable artifact. Materialize {asset} first.{because}")
