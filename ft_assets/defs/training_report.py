import base64
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from ft_assets.lake import Artifact, Lake
from ft_assets.specializations.loader import Specialization
from ft_assets.training.recipe import Recipe
from ft_assets.training.training_spec import StageData, TrainedRun, write_skipped_spec, write_spec

if TYPE_CHECKING:
    from ft_assets.training.result import TrainingResult
    from ft_assets.training.stage_data import TrainingRows

TITLES = {"sft": "Loss per answer token", "dpo": "DPO loss per pair", "kto": "KTO loss per judged answer"}


def write_documents(lake: Lake, run: TrainedRun) -> dict[str, Any]:
    """Stores the run's training-spec.md with its decision log; metadata that shows and names them."""
    with tempfile.TemporaryDirectory() as folder:
        text = write_spec(Path(folder), run)
        return _documents(text, lake.put_artifact("training_spec", Path(folder)))


def skipped_training(lake: Lake, spec: Specialization, reason: str) -> dg.MaterializeResult:
    """The skip record of a line that trains nothing, with its training spec."""
    with tempfile.TemporaryDirectory() as folder:
        text = write_skipped_spec(Path(folder), spec.name, spec.description, reason, today())
        kept = lake.put_artifact("training_spec", Path(folder))
    return dg.MaterializeResult(metadata={"status": "SKIPPED", "reason": reason, **_documents(text, kept)})


def _documents(text: str, kept: Artifact) -> dict[str, Any]:
    return {
        "training_spec": dg.MetadataValue.md(text),
        "training_spec_digest": kept.digest,  # not "digest": that one names the adapter
        "decision_log": dg.MetadataValue.path(str(kept.path / "decisions.json")),
    }


def today() -> str:
    """The date of a decision, in UTC."""
    return datetime.now(UTC).date().isoformat()


def data_of_stages(lake: Lake, snapshot: Artifact, rows: "TrainingRows", recipe: Recipe) -> list[StageData]:
    """What each stage learned from. Sources and quality are those of the snapshot's train rows."""
    from ft_assets.dataset.card_rows import snapshot_rows

    known = snapshot_rows(snapshot.path, lake.scan("curated_examples")).filter(side="train")
    sources = dict(known.group_by("source").len().sort("source").filter(pl.col("source").is_not_null()).rows())
    quality = known.select("human_verified", "quality_score").mean().row(0)
    named = zip(("human-verified share", "mean quality score"), quality, strict=True)
    figures = {name: round(value, 3) for name, value in named if value is not None}
    kinds = {"sft": "examples", "dpo": "pairs", "kto": "judged"}
    sides = {"train": rows.train, "validation": rows.validation}
    return [
        StageData(
            stage.objective,
            {side: len(getattr(given, kinds[stage.objective])) for side, given in sides.items()},
            sources if stage.objective == "sft" else {},
            figures if stage.objective == "sft" else {},
        )
        for stage in recipe.stages()
    ]


def outcome_of(result: "TrainingResult", cost: dict[str, Any]) -> dict[str, Any]:
    """The figures of the spec's section about what came out."""
    return {
        "steps": result.last.steps,
        "planned_steps": result.last.planned_steps,
        "best_step": result.last.best_step,
        "validation_loss": round(result.last.best_eval_loss, 4),
        "train_seconds": round(result.seconds, 1),
        **cost,
    }


def events_of(result: "TrainingResult") -> list[str]:
    """What was decided while the training ran, as sentences for the decision log."""
    sentences = []
    for stage in result.stages:
        sentences += stage.lowered
        if stage.stopped_early:
            at, kept = f"step {stage.steps} of {stage.planned_steps}", f"step {stage.best_step}"
            sentences.append(f"{stage.objective} stopped early at {at}; {kept} was kept.")
    return sentences


def curves_of(result: "TrainingResult") -> dict[str, bytes]:
    """A PNG per stage: `loss_curve` for the last one, which made the model, `loss_curve_sft` for one before it; and
    `training_curves`, what else moved in the last one."""
    from ft_assets.training.loss_plot import loss_curve, training_curves

    curves = {
        "loss_curve" if stage is result.last else f"loss_curve_{stage.objective}": loss_curve(
            stage.log_history, TITLES[stage.objective]
        )
        for stage in result.stages
    }
    moved = training_curves(result.last.log_history)
    return {**curves, "training_curves": moved} if moved else curves


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG inside the metadata, so that the UI shows it without any file server."""
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")
