"""A recipe with a sweep from rows to an artifact: its trials in rungs, then the winner to its end.

Each trial has the checkpoints of its own training id, so it goes on from rung to rung, and a sweep that was cut off
repeats no finished one. The validation side chooses; nothing here reads the eval side.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ft_assets.errors import TrainingStopped
from ft_assets.training.device_job import DeviceJob
from ft_assets.training.launch import launch
from ft_assets.training.progress import progress_line
from ft_assets.training.provenance import stage_ids
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_sweep import Sweep, swept_values, trial_recipes
from ft_assets.training.result import TrainingResult
from ft_assets.training.stage_data import TrainingRows
from ft_assets.training.sweep import Reached, Rung, Trial, plan, race
from ft_assets.training.sweep_results import ReachedSoFar, SweepResult


@dataclass(frozen=True)
class Launched:
    """A training at its end: the recipe that was trained (a sweep's winner), how it went, and the sweep if any."""

    recipe: Recipe
    result: TrainingResult
    sweep: SweepResult | None = None

    @property
    def seconds(self) -> float:
        """Seconds of the training and of all trials that were dropped."""
        return self.result.seconds + (self.sweep.seconds_of_others if self.sweep else 0.0)

    @property
    def tokens(self) -> int:
        """Tokens that the training and all dropped trials read."""
        return self.result.tokens + (self.sweep.tokens_of_others if self.sweep else 0)


def launch_with_sweep(
    job: DeviceJob,
    rows: TrainingRows,
    devices: int,
    on_progress: Callable[[dict[str, Any]], None],
    on_alert: Callable[[str], object],
    on_line: Callable[[str], object],
) -> Launched:
    """Trains `job`; of a sweep the trials and then the winner, whose artifact, with sweep.json, is in `job.out_dir`.

    `on_progress` hears of the winner's last training, in which its rungs are what an earlier attempt is elsewhere;
    `on_line` gets a line of text for each progress of a trial, and for what it reached. Random are a random search's
    draws, from the sweep's seed. Optimizer steps stay within the budget, but for those after a checkpoint that a killed
    attempt has to repeat.

    Raises what `launch` does, and:
        BadConfiguration: the budget does not pay for the trials, because they stop at checkpoints only.
        NoTrialLeft: a watchdog's verdict or too little memory ended every trial.
    """
    sweep = job.recipe.swept()
    if sweep is None:
        return Launched(job.recipe, launch(job, rows, devices, on_progress, on_alert))
    recipes = trial_recipes(job.recipe)
    trials = _lengths(job, rows, recipes)
    train_one = partial(_train_until, job, rows, devices, recipes, on_alert, on_line)
    found = choose(
        job.recipe, sweep, trials, job.last_dir / f"sweep-{job.recipe.digest()[:16]}.json", train_one, on_line
    )
    winner = recipes[found.winner - 1]
    told = {"recipe_digest": job.recipe.digest(), "trials": len(trials), "chosen": dict(found.chosen)}
    final = replace(_of_trial(job, winner), provenance={**job.provenance, "sweep": told})
    result = launch(final, rows, devices, on_progress, on_alert)
    found.write(job.out_dir)
    return Launched(winner, result, found)


def choose(
    recipe: Recipe,
    sweep: Sweep,
    trials: Sequence[Trial],
    kept_in: Path,
    train_one: Callable[[int, Trial, int], Reached],
    on_line: Callable[[str], object],
) -> SweepResult:
    """The sweep with its winner, not yet trained to its end. `train_one(rung, trial, stop)` trains until that step.

    What trials reached is kept in the file `kept_in`, and taken from there instead of being trained again.
    """
    rungs = plan(trials, sweep.eta, sweep.budget_trainings)
    settings = {"recipe": recipe.digest(), "trials": [asdict(each) for each in trials], "rungs": _in_words(rungs)}
    kept = ReachedSoFar(kept_in, settings)

    def reach(rung: int, trial: Trial, stop: int) -> Reached:
        if known := kept.get(rung, trial.number):
            return known
        reached = train_one(rung, trial, stop)
        kept.add(reached)
        loss = f"failed, {reached.told}" if reached.loss is None else f"validation loss {reached.loss:.4f}"
        on_line(
            f"trial {trial.number} of {len(trials)}, rung {rung + 1}, step {reached.steps} of {trial.steps}: {loss}"
        )
        return reached

    winner, reached = race(trials, rungs, reach)
    values = [swept_values(recipe, each) for each in trial_recipes(recipe)]
    return SweepResult(sweep.model_dump(mode="json"), trials, rungs, values, reached, winner.number)


def _in_words(rungs: Sequence[Rung]) -> list[list[Any]]:
    return [[rung.trials, str(rung.share)] for rung in rungs]


def _lengths(job: DeviceJob, rows: TrainingRows, recipes: Sequence[Recipe]) -> list[Trial]:
    """The trials with the steps of their last stage; their rows are the same, so they are tokenised once."""
    from ft_assets.chat import Chat
    from ft_assets.training.stage_data import data_of

    stages = [recipe.stages()[-1] for recipe in recipes]
    tokenise = data_of(stages[0].objective, job.tokens_dir)
    count = len(tokenise(rows.train, "train", stages[0], Chat(job.base_dir), job.system_prompt))
    found = []
    for number, stage in enumerate(stages, start=1):
        steps = stage.steps(count)
        intervals = stage.intervals(steps)
        found.append(Trial(number, steps, intervals.save_steps, intervals.warmup_steps))
    return found


def _of_trial(job: DeviceJob, recipe: Recipe) -> DeviceJob:
    ids = stage_ids(job.provenance["snapshot"], recipe, job.provenance["base_digest"])
    return replace(job, recipe=recipe, training_ids=ids)


def _train_until(
    job: DeviceJob,
    rows: TrainingRows,
    devices: int,
    recipes: Sequence[Recipe],
    on_alert: Callable[[str], object],
    on_line: Callable[[str], object],
    rung: int,
    trial: Trial,
    stop: int,
) -> Reached:
    """Trains one trial until that step, from its newest checkpoint. What it writes besides checkpoints is not kept."""
    name = f"trial {trial.number} of {len(recipes)}"
    part = replace(_of_trial(job, recipes[trial.number - 1]), stop_after_steps=stop if stop < trial.steps else None)
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = launch(
                replace(part, out_dir=Path(folder)),
                rows,
                devices,
                partial(_tell, name, on_line),
                lambda message: on_alert(f"{name}: {message}"),
            )
        except TrainingStopped as stopped:
            return Reached(rung, trial.number, stop, stop, None, stopped.verdict)
    last = result.last
    # an earlier training of the same recipe may have gone further; what it found later does not count here
    losses = [entry["eval_loss"] for entry in last.log_history if "eval_loss" in entry and entry["step"] <= stop]
    return Reached(
        rung, trial.number, stop, min(last.steps, stop), min(losses), seconds=last.seconds, tokens=last.tokens
    )


def _tell(trial: str, on_line: Callable[[str], object], progress: dict[str, Any]) -> None:
    if not progress.get("earlier"):
        on_line(f"{trial}, {progress_line(progress)}")
