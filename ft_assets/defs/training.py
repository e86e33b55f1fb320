import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from ft_assets.defs.conventions import (
    GPU_POOL,
    ML_ENG,
    MODEL_LINES,
    SETTINGS,
    pinned,
    specialization,
)
from ft_assets.defs.dataset import train_eval_split
from ft_assets.defs.execution import TRAINS, times_out_of_memory
from ft_assets.defs.launched_by import launched_by
from ft_assets.defs.training_report import (
    curves_of,
    data_of_stages,
    events_of,
    outcome_of,
    picture,
    skipped_training,
    today,
    write_documents,
)
from ft_assets.lake import Artifact, Lake
from ft_assets.retraining.counting import enter_snapshot
from ft_assets.specializations.choice import golden_of, why_skipped
from ft_assets.specializations.loader import Specialization
from ft_assets.specializations.training_rows import training_rows
from ft_assets.state import State
from ft_assets.state_leases import Leases
from ft_assets.tracking import Tracking
from ft_assets.training.progress import ProgressReports, spent
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_ranges import Objective
from ft_assets.training.training_spec import TrainedRun

if TYPE_CHECKING:
    from ft_assets.tracking_stream import RunStream
    from ft_assets.training.device_job import DeviceJob
    from ft_assets.training.preflight import Preflight
    from ft_assets.training.stage_data import TrainingRows
    from ft_assets.training.training_device import TrainingDevice


class RecipeOverrides(dg.Config):
    """Knobs of this one run that differ from the specialization's YAML, for example `{"seed": 1}`."""

    overrides: dict[str, Any] = Field({}, description="Recipe knobs by name.")


@dg.asset(partitions_def=MODEL_LINES, group_name="training", kinds={"huggingface"}, owners=ML_ENG)
def base_model(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """One base model per specialization, by digest: the embedded tiny one, a pinned revision of a hub, or a path.

    Stored once, however many lines share it. Safetensors only; code that comes with a model is never run.
    Fails when the model is unknown, not pinned, or not the one that its digest names: the error says which.
    """
    from ft_assets.training.base_model import materialize_base
    from ft_assets.training.catalogue import resolve

    model = resolve(specialization(context).base_model)
    with tempfile.TemporaryDirectory() as folder:
        facts = materialize_base(model, Path(folder), SETTINGS.project_root)
        base = lake.put_artifact("base_model", Path(folder))
    return dg.MaterializeResult(
        data_version=dg.DataVersion(base.digest),
        metadata={"digest": base.digest, "path": dg.MetadataValue.path(str(base.path)), **facts},
    )


@dg.asset(
    partitions_def=MODEL_LINES,
    deps=[train_eval_split, base_model],
    group_name="training",
    kinds={"pytorch", "huggingface"},
    owners=ML_ENG,
    pool=GPU_POOL,
    op_tags=TRAINS,
)
def lora_checkpoint(
    context: dg.AssetExecutionContext,
    config: RecipeOverrides,
    lake: dg.ResourceParam[Lake],
    state: dg.ResourceParam[State],
    tracking: dg.ResourceParam[Tracking],
) -> dg.MaterializeResult:
    """One trained model per specialization: a LoRA adapter, or under `method: full` a whole model in its place.

    From this run's `train_eval_split` and `base_model`, or from the latest ones that pass. Trained on the train side
    only, stopped by the validation side: SFT on the examples, where only the assistant's tokens count, DPO on the
    pairs, KTO on the thumbs. What it was made from stands inside the artifact, in `provenance.json`.
    A run that was cut off goes on from its newest valid checkpoint. Fails when training could not succeed, before it
    begins, and when the watchdog stops it; the error says why and what to change, and nothing is kept of the model.
    """
    from ft_assets.erasure.late import taint_late
    from ft_assets.training.catalogue import resolve
    from ft_assets.training.recipe_overrides import with_overrides
    from ft_assets.training.sweep_run import launch_with_sweep

    spec = specialization(context)
    if reason := why_skipped(spec):
        return skipped_training(lake, spec, reason)
    recipe = with_overrides(spec.recipe, config.overrides)
    snapshot = lake.artifact(
        "snapshot", pinned(context, "train_eval_split", lambda digest: refuse_leaks(lake, spec, digest))
    )
    base = lake.artifact("base_model", pinned(context, "base_model"))
    rows = training_rows(snapshot.path, recipe)
    device = device_of(spec)
    looked_at = look_before(spec, recipe, rows, base.path, lake, device)
    for warning in looked_at.refuse():
        context.log.warning(warning)
    lease = Leases(state.url).take(spec.name, f"run {context.run.run_id}, attempt {context.retry_number + 1}")
    job = replace(job_of(spec, recipe, snapshot, base, lake), lease=lease, lowerings=times_out_of_memory(context))
    with tempfile.TemporaryDirectory() as folder, stream_of(tracking, context, spec, job) as stream:
        reports = ProgressReports(context.log.info, stream.log, several_stages=len(job.training_ids) > 1)
        launched = launch_with_sweep(
            replace(job, out_dir=Path(folder)), rows, device.count, reports, context.log.error, context.log.info
        )
        result, sweep = launched.result, launched.sweep
        lease.require()
        adapter = lake.put_artifact("adapter", Path(folder))
        taint_late(lake, state, adapter.digest, "lora_checkpoint")  # rows may have been erased while it trained
        lease.require()
        state.record_trained(
            spec.name, snapshot.digest, recipe.digest(), base.digest, adapter.digest, launched_by(context.run)
        )
        enter_snapshot(lake, state, spec.name, snapshot.digest)
        curves = curves_of(result)
        cost = spent(launched.seconds, launched.tokens, device.count, device.dollars_per_hour, device.type == "cuda")
        for number, metrics in sweep.as_metrics() if sweep else ():
            stream.log(number, metrics)
        stream.log(result.last.steps, cost)
        stream.attach({"adapter_digest": adapter.digest}, {f"{name}.png": png for name, png in curves.items()})
    documents = write_documents(
        lake,
        TrainedRun(
            line=spec.name,
            description=spec.description,
            base={**resolve(spec.base_model).model_dump(), "digest": base.digest},
            recipe=launched.recipe,
            overrides=config.overrides,
            snapshot=snapshot.digest,
            data=data_of_stages(lake, snapshot, rows, recipe),
            adapter=adapter.digest,
            trainable=result.last.trainable_parameters,
            estimate=looked_at.expected.as_metadata() if looked_at.expected else {},
            outcome=outcome_of(result, cost),
            events=[*([sweep.as_event()] if sweep else []), *events_of(result)],
            date=today(),
        ),
    )
    return dg.MaterializeResult(
        data_version=dg.DataVersion(adapter.digest),
        metadata={
            "digest": adapter.digest,
            "path": dg.MetadataValue.path(str(adapter.path)),
            "snapshot": snapshot.digest,
            "base_model": base.digest,
            **{name: picture(png) for name, png in curves.items()},
            **documents,
            "steps": result.last.steps,
            "validation_loss": result.last.best_eval_loss,
            "train_seconds": round(result.seconds, 1),
            **cost,
            **reports.figures(),
            "recipe": launched.recipe.knobs_with_effect(),
            **({"sweep": dg.MetadataValue.md(sweep.as_table())} if sweep else {}),
            "mlflow_run_id": stream.finish() or "MLflow is down; its copy is delivered by the next run",
        },
    )


def look_before(
    spec: Specialization, recipe: Recipe, rows: "TrainingRows", base: Path, lake: Lake, device: "TrainingDevice"
) -> "Preflight":
    """The check `training_can_succeed` once more, with this launch's knobs, its base model and this machine."""
    from ft_assets.chat import Chat
    from ft_assets.training.preflight import preflight

    prompts, tokens = spec.system_prompt.as_written(), lake.work_dir("tokens")
    return preflight(
        recipe, rows, Chat(base), prompts, tokens, base_model=spec.base_model, least=floors_of(spec), device=device
    )


def floors_of(spec: Specialization) -> dict[Objective, int]:
    """Rows by objective below which the line does not train."""
    return {"sft": spec.trigger.minimum_examples, "dpo": spec.expectations.hard_floor.preference_pairs}


def device_of(spec: Specialization) -> "TrainingDevice":
    """What this step trains on: as many GPUs as the line asks for and as are visible here, one device at least."""
    from ft_assets.training.training_device import device_here

    device = device_here(spec.compute.dollars_per_gpu_hour)
    return replace(device, count=max(1, min(device.count, spec.compute.gpus)))


def job_of(spec: Specialization, recipe: Recipe, snapshot: Artifact, base: Artifact, lake: Lake) -> "DeviceJob":
    """The training in words. Each stage has an id of its own, so another DPO goes on from the same SFT."""
    from ft_assets.training.catalogue import resolve
    from ft_assets.training.device_job import DeviceJob
    from ft_assets.training.provenance import stage_ids

    ids = stage_ids(snapshot.digest, recipe, base.digest)
    return DeviceJob(
        base_dir=base.path,
        recipe=recipe,
        work_dir=lake.work_dir("training"),
        lake_url=lake.url,
        training_ids=ids,
        out_dir=Path(),
        system_prompt=spec.system_prompt.as_written(),
        provenance={
            "specialization": spec.name,
            "snapshot": snapshot.digest,
            "base_digest": base.digest,
            "base_id": resolve(spec.base_model).id,
        },
        tokens_dir=lake.work_dir("tokens"),
    )


def stream_of(
    tracking: Tracking, context: dg.AssetExecutionContext, spec: Specialization, job: "DeviceJob"
) -> "RunStream":
    """The MLflow run of this training: the same one for every attempt, because its key is the training's own id.

    A swept job has the ids of its plain recipe, so the sweep is part of the key.
    """
    from ft_assets.tracking_stream import RunStream

    snapshot = str(job.provenance["snapshot"])
    return RunStream(
        tracking,
        key=list(job.training_ids.values())[-1] + (job.recipe.digest()[:16] if job.recipe.sweep else ""),
        experiment=spec.name,
        run_name=f"{spec.name}-{snapshot[:12]}",
        params=job.recipe.knobs_with_effect(),
        tags={"dagster_run_id": context.run.run_id, "snapshot": snapshot},
    )


def refuse_leaks(lake: Lake, spec: Specialization, digest: str) -> None:
    """The guard behind `no_example_leaks_into_evaluation`, asked again by whoever reads a snapshot.

    Raises:
        LeakFound: an example stands on two sides; nothing may be trained on this snapshot.
    """
    from ft_assets.dataset.contamination import refuse_leaking
    from ft_assets.dataset.judged_leaks import refuse_leaking_judged
    from ft_assets.dataset.preference_leaks import refuse_leaking_preferences

    snapshot, golden = lake.artifact("snapshot", digest).path, golden_of(spec, lake)
    refuse_leaking(snapshot, golden)
    refuse_leaking_preferences(snapshot, golden)
    refuse_leaking_judged(snapshot, golden)
