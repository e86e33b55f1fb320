import tempfile
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from ft_assets.defs.conventions import (
    GPU_POOL,
    ML_ENG,
    MODEL_LINES,
    SETTINGS,
    pinned,
    skip_record,
    skipped,
    specialization,
)
from ft_assets.defs.dataset import golden_of, train_eval_split
from ft_assets.errors import BadConfiguration
from ft_assets.lake import Lake
from ft_assets.specializations.loader import Specialization
from ft_assets.state import State
from ft_assets.tracking import Tracking
from ft_assets.training.recipe import Recipe


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
)
def lora_checkpoint(
    context: dg.AssetExecutionContext,
    config: RecipeOverrides,
    lake: dg.ResourceParam[Lake],
    state: dg.ResourceParam[State],
    tracking: dg.ResourceParam[Tracking],
) -> dg.MaterializeResult:
    """One LoRA adapter per specialization, trained on the train side only, stopped by the validation side.

    From this run's `train_eval_split` and `base_model`, or from the latest ones that pass. The loss counts the
    assistant's tokens only. What it was made from stands inside the artifact, in `provenance.json`.
    Fails when a row is longer than `max_length`, when no token can be learned, or when the loss stops being a number.
    """
    from ft_assets.dataset.rows import read_side
    from ft_assets.training.catalogue import resolve
    from ft_assets.training.checkpoint_s3 import checkpoint_store
    from ft_assets.training.checkpoint_saver import CheckpointSaver
    from ft_assets.training.loss_plot import loss_curve
    from ft_assets.training.provenance import training_id
    from ft_assets.training.recipe_overrides import with_overrides
    from ft_assets.training.sft import train_sft

    spec = specialization(context)
    if reason := skipped(spec):
        return skip_record(reason)
    recipe = with_overrides(spec.recipe, config.overrides)
    refuse_what_is_not_built(recipe)
    snapshot = lake.artifact(
        "snapshot", pinned(context, "train_eval_split", lambda digest: refuse_leaks(lake, spec, digest))
    )
    base = lake.artifact("base_model", pinned(context, "base_model"))
    sides = {side: read_side(snapshot.path, side) for side in ("train", "validation")}
    for warning in refuse_senseless(spec, recipe, len(sides["train"]), len(sides["validation"])):
        context.log.warning(warning)
    training = training_id(snapshot.digest, recipe, base.digest)
    work_dir = lake.work_dir("training", training)
    checkpoints = checkpoint_store(lake.url, work_dir, training)
    with tempfile.TemporaryDirectory() as folder:
        result = train_sft(
            base_dir=base.path,
            rows_train=sides["train"],
            rows_validation=sides["validation"],
            recipe=recipe,
            work_dir=work_dir,
            saver=CheckpointSaver(checkpoints, on_alert=context.log.error),
            out_dir=Path(folder),
            system_prompt=spec.system_prompt,
            on_progress=lambda progress: context.log.info(progress_line(progress)),
            provenance={
                "specialization": spec.name,
                "snapshot": snapshot.digest,
                "base_digest": base.digest,
                "base_id": resolve(spec.base_model).id,
            },
        )
        adapter = lake.put_artifact("adapter", Path(folder))
    state.record_trained(spec.name, snapshot.digest, recipe.digest(), base.digest, adapter.digest)
    curve = loss_curve(result.log_history)
    run_id = log_to_mlflow(tracking, context, spec, recipe, adapter.digest, result, curve)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(adapter.digest),
        metadata={
            "digest": adapter.digest,
            "path": dg.MetadataValue.path(str(adapter.path)),
            "snapshot": snapshot.digest,
            "base_model": base.digest,
            "loss_curve": picture(curve),
            "steps": result.steps,
            "validation_loss": result.best_eval_loss,
            "train_seconds": round(result.seconds, 1),
            "tokens": result.tokens,
            "recipe": recipe.knobs_with_effect(),
            "mlflow_run_id": run_id or "MLflow is down; its copy is delivered by the next run",
        },
    )


def refuse_leaks(lake: Lake, spec: Specialization, digest: str) -> None:
    """The guard behind `no_example_leaks_into_evaluation`, asked again by whoever reads a snapshot.

    Raises:
        LeakFound: an example stands on two sides; nothing may be trained on this snapshot.
    """
    from ft_assets.dataset.contamination import refuse_leaking
    from ft_assets.dataset.preference_leaks import refuse_leaking_preferences

    snapshot, golden = lake.artifact("snapshot", digest).path, golden_of(spec, lake)
    refuse_leaking(snapshot, golden)
    refuse_leaking_preferences(snapshot, golden)


def refuse_what_is_not_built(recipe: Recipe) -> None:
    """Stops a recipe that is understood and cannot be trained yet, before anything is loaded.

    Raises:
        BadConfiguration: names what was asked for and what can be had.
    """
    if recipe.approach != "sft" or recipe.method != "lora":
        raise BadConfiguration(
            f"The recipe asks for approach {recipe.approach} with method {recipe.method}, and only sft with lora is "
            "trained today; the others are read and checked. Nothing was trained. Write approach: sft and method: lora."
        )


def refuse_senseless(spec: Specialization, recipe: Recipe, train_rows: int, validation_rows: int) -> list[str]:
    """The warnings about a recipe that makes sense for so many rows.

    Raises:
        BadConfiguration: it does not; every reason with its name and what to change.
    """
    from ft_assets.training.preflight_recipe import RowCounts, recipe_problems

    floor = spec.trigger.minimum_examples
    rows = RowCounts(examples=train_rows, validation_examples=validation_rows, least={"sft": floor})
    problems = recipe_problems(recipe, rows, base_model=spec.base_model)
    if refusing := [f"{problem.code}: {problem.message}" for problem in problems if problem.refuses]:
        raise BadConfiguration(f"Training would be senseless, so it was not started. {' '.join(refusing)}")
    return [f"{problem.code}: {problem.message}" for problem in problems]


def progress_line(progress: dict[str, Any]) -> str:
    """One readable line per logging step."""
    shown = {key: progress[key] for key in ("loss", "eval_loss", "learning_rate", "grad_norm") if key in progress}
    numbers = ", ".join(f"{key} {value:.3g}" for key, value in shown.items())
    return f"step {progress['step']} of {progress['steps']}: {numbers}"


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG inside the metadata, so that the UI shows it without any file server."""
    import base64

    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")


def log_to_mlflow(
    tracking: Tracking,
    context: dg.AssetExecutionContext,
    spec: Specialization,
    recipe: Recipe,
    digest: str,
    result: Any,
    curve: bytes,
) -> str | None:
    """Mirrors the run to MLflow; None when MLflow is down and the payload waits in the spool."""
    return tracking.log_training(
        experiment=spec.name,
        run_name=f"{spec.name}-{digest[:12]}",
        params=recipe.knobs_with_effect(),
        metrics_by_step=result.log_history,
        tags={"dagster_run_id": context.run.run_id, "adapter_digest": digest},
        artifacts={"loss_curve.png": curve},
    )
