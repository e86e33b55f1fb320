"""`ft-assets train`: one file, one base model, one adapter. No Dagster, no lake, no MLflow, no database."""

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ft_assets.errors import BadConfiguration

if TYPE_CHECKING:
    from ft_assets.command_line.train_rows import FileSides
    from ft_assets.training.device_job import DeviceJob
    from ft_assets.training.recipe import Recipe
    from ft_assets.training.stage_data import TrainingRows

SPLIT_KEY = "ft_assets"
ADAPTER, WORK, LOG = "adapter", ".work", "training.log"

Data = Annotated[Path, typer.Option("--data", help="File of examples in any known format.", show_default=False)]
Base = Annotated[str, typer.Option("--base", help="Directory of the base model, or tiny-base.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", help="Directory for the adapter and the logs.", show_default=False)]
Task = Annotated[str, typer.Option("--task", help="Task of the examples, such as summarization.", show_default=False)]
Prepare = Annotated[bool, typer.Option("--prepare", help="Write what torchrun on several nodes reads, and stop.")]
RecipeFile = Annotated[Path | None, typer.Option("--recipe", help="YAML file with knobs; else fitted to the data.")]


def train(data: Data, base: Base, out: Out, task: Task, recipe: RecipeFile = None, prepare: Prepare = False) -> None:
    """Trains an adapter on a file: reads and masks it, holds out rows to choose and to judge by, trains, writes to OUT.

    A run that was cut off goes on from its newest checkpoint when it is started again with the same words. OUT gets
    adapter/, recipe.json, data.json (rows by side and what was left out), eval.jsonl (rows that were not learned from)
    and training.log.
    """
    from ft_assets.command_line.train_rows import rows_of
    from ft_assets.training.base_model import materialize_base

    if (out / ADAPTER).exists():
        raise BadConfiguration(f"{out / ADAPTER} exists already. Name another directory with --out, or remove it.")
    sides = rows_of(data, task, SPLIT_KEY)
    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    base_dir = work / "base"
    shutil.rmtree(base_dir, ignore_errors=True)
    facts = materialize_base(_base_model(base), base_dir, _project_root())
    chosen = _recipe(recipe, sides, base_dir, facts)
    _write_data(out, sides, chosen)
    job = _job(out, base_dir, facts, sides, chosen)
    if prepare:
        _prepare(job, _training_rows(sides), out)
        return
    with (out / LOG).open("a") as log:
        _train(job, _training_rows(sides), log)
    shutil.rmtree(work)
    typer.echo(f"The adapter is in {out / ADAPTER}; rows that it never saw are in {out / 'eval.jsonl'}.")


def _base_model(base: str) -> Any:
    from ft_assets.training.catalogue import resolve

    place = Path(base)
    return resolve({"path": str(place.resolve())} if place.is_dir() or place.parent != Path(".") else base)


def _project_root() -> Path:
    from ft_assets.settings import PROJECT_ROOT

    return PROJECT_ROOT


def _recipe(file: Path | None, sides: "FileSides", base_dir: Path, facts: dict[str, Any]) -> "Recipe":
    from ft_assets.command_line.train_recipe import default_recipe, written_recipe

    if file is not None:
        chosen = written_recipe(file)
        if chosen.approach != "sft" or chosen.sweep:
            raise BadConfiguration(
                f"{file} asks for {chosen.approach}{' with a sweep' if chosen.sweep else ''}; ft-assets train does one "
                "SFT. Preferences and sweeps need a model line in Dagster."
            )
        return chosen
    rows = [*sides.sides["train"], *sides.sides["validation"]]
    return default_recipe(rows, base_dir, int(facts["parameters"]))


def _training_rows(sides: "FileSides") -> "TrainingRows":
    from ft_assets.training.stage_data import SideRows, TrainingRows

    return TrainingRows(SideRows(sides.sides["train"]), SideRows(sides.sides["validation"]))


def _job(out: Path, base_dir: Path, facts: dict[str, Any], sides: "FileSides", recipe: "Recipe") -> "DeviceJob":
    from ft_assets.training.device_job import DeviceJob
    from ft_assets.training.provenance import stage_ids

    ids = {side: [row.example_id for row in rows] for side, rows in sides.sides.items()}
    snapshot = hashlib.sha256(json.dumps(ids, sort_keys=True).encode()).hexdigest()
    work = (out / WORK).resolve()
    return DeviceJob(
        base_dir=base_dir.resolve(),
        recipe=recipe,
        work_dir=work / "training",
        lake_url=str(work),
        training_ids=stage_ids(snapshot, recipe, facts["digest"]),
        out_dir=work / ADAPTER,
        system_prompt=None,
        provenance={"snapshot": snapshot, "base_digest": facts["digest"], "base_id": facts["id"]},
        tokens_dir=work / "tokens",
    )


def _prepare(job: "DeviceJob", rows: "TrainingRows", out: Path) -> None:
    """Writes the job as the processes of `ft_assets.training.worker` read it; the first of them writes the adapter."""
    from dataclasses import replace

    from ft_assets.training.device_job import write_job

    folder = out / WORK / "job"
    folder.mkdir(exist_ok=True)
    write_job(folder, replace(job, out_dir=(out / ADAPTER).resolve()), rows)
    typer.echo(f"torchrun --module ft_assets.training.worker {folder.resolve()}")


def _train(job: "DeviceJob", rows: "TrainingRows", log: Any) -> None:
    from ft_assets.chat import Chat
    from ft_assets.training.launch import launch
    from ft_assets.training.preflight import preflight
    from ft_assets.training.progress import progress_line
    from ft_assets.training.training_device import device_here

    def say(line: str) -> None:
        typer.echo(line)
        log.write(line + "\n")
        log.flush()

    device = device_here()
    for warning in preflight(job.recipe, rows, Chat(job.base_dir), None, job.tokens_dir, device=device).refuse():
        say(warning)
    started = time.monotonic()
    shutil.rmtree(job.out_dir, ignore_errors=True)
    result = launch(job, rows, device.count, lambda progress: say(progress_line(progress)), say)
    job.out_dir.rename(job.out_dir.parents[1] / ADAPTER)  # there is an adapter, or there is none
    say(
        f"{result.last.steps} steps, validation loss {result.last.best_eval_loss:.4f}, "
        f"{time.monotonic() - started:.0f} s."
    )


def _write_data(out: Path, sides: "FileSides", recipe: "Recipe") -> None:
    """What the training is made of, for whoever looks at the adapter later; only masked text."""
    counts = {"rows": {side: len(rows) for side, rows in sides.sides.items()}, "left_out": sides.left_out}
    (out / "data.json").write_text(json.dumps(counts, indent=2) + "\n")
    (out / "recipe.json").write_text(json.dumps(recipe.knobs_with_effect(), indent=2) + "\n")
    with (out / "eval.jsonl").open("w") as file:
        for row in sides.sides["eval"]:
            turns = [turn.model_dump(mode="json", exclude_none=True) for turn in row.messages]
            file.write(json.dumps({"messages": turns}, ensure_ascii=False) + "\n")
