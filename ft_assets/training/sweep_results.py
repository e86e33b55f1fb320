"""What the trials of a sweep reached: kept while it runs, so that a killed one repeats nothing, and told at its end."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ft_assets.lake_folders import LocalFolders
from ft_assets.training.sweep import Reached, Rung, Trial

SWEEP_FILE = "sweep.json"


class ReachedSoFar:
    """The finished rungs of the trials of one sweep, in a file that is whole at any moment.

    `plan` is everything that they depend on; a file of another plan is not read.
    """

    def __init__(self, path: Path, plan: Mapping[str, Any]):
        self._folder, self._name, self._plan = LocalFolders(path.parent), path.name, json.loads(json.dumps(plan))
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        found = kept.get("reached", []) if kept.get("plan") == self._plan else []
        self._reached = [Reached(**each) for each in found]

    def get(self, rung: int, trial: int) -> Reached | None:
        """What a trial reached at a rung; None where it was not there yet."""
        return next((each for each in self._reached if (each.rung, each.trial) == (rung, trial)), None)

    def add(self, reached: Reached) -> None:
        """Keeps it; when this returns it is on the disk."""
        self._reached.append(reached)
        words = {"plan": self._plan, "reached": [asdict(each) for each in self._reached]}
        self._folder.write(self._name, json.dumps(words, indent=1).encode())


@dataclass(frozen=True)
class SweepResult:
    """A sweep at its end. `knobs` are the swept ones of each trial, `reached` every rung of every trial in order."""

    sweep: Mapping[str, Any]
    trials: Sequence[Trial]
    rungs: Sequence[Rung]
    knobs: Sequence[Mapping[str, Any]]
    reached: Sequence[Reached]
    winner: int

    @property
    def chosen(self) -> Mapping[str, Any]:
        """The swept knobs of the winner."""
        return self.knobs[self.winner - 1]

    @property
    def cost_trainings(self) -> float:
        """Optimizer steps of all trials, in full trainings of their own length; the winner counts whole."""
        last = self._last()
        return sum(1 if t.number == self.winner else last[t.number].steps / t.steps for t in self.trials)

    @property
    def seconds_of_others(self) -> float:
        """Seconds of the trials that did not win; those of the winner are in its TrainingResult."""
        return sum(each.seconds for number, each in self._last().items() if number != self.winner)

    @property
    def tokens_of_others(self) -> int:
        """Tokens that the trials read that did not win."""
        return sum(each.tokens for number, each in self._last().items() if number != self.winner)

    def as_table(self) -> str:
        """The trials as a Markdown table: knobs, and the validation loss at each rung that a trial reached."""
        names = list(self.chosen)
        head = ["trial", *names, *(f"loss at {float(rung.share):.0%} of a training" for rung in self.rungs), ""]
        lines = [head, ["---"] * len(head)]
        for trial, knobs in zip(self.trials, self.knobs, strict=True):
            at = {each.rung: each for each in self.reached if each.trial == trial.number}
            losses = [_loss_in_words(at.get(number)) for number in range(len(self.rungs))]
            won = "**kept**" if trial.number == self.winner else ""
            lines.append([str(trial.number), *(_text(knobs[name]) for name in names), *losses, won])
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def as_event(self) -> str:
        """What the sweep decided, as a sentence for the decision log."""
        chosen = ", ".join(f"{key} {_text(value)}" for key, value in self.chosen.items())
        rungs = " and ".join(f"{rung.trials} trials at {float(rung.share):.0%}" for rung in self.rungs)
        return (
            f"A {self.sweep['search']} sweep chose {chosen} (trial {self.winner} of {len(self.trials)}): the lowest "
            f"validation loss of {rungs} of a training, for {self.cost_trainings:.2f} full trainings of "
            f"{self.sweep['budget_trainings']:g} allowed; the eval side was not read."
        )

    def as_metrics(self) -> list[tuple[int, dict[str, float]]]:
        """For MLflow: trial number as the step, and its last loss, steps and numeric knobs under `sweep/`."""
        last, found = self._last(), []
        for trial, knobs in zip(self.trials, self.knobs, strict=True):
            numbers = {key: float(value) for key, value in knobs.items() if isinstance(value, int | float)}
            each = last[trial.number]
            loss = {} if each.loss is None else {"validation_loss": each.loss}
            metrics = {**loss, "steps": float(each.steps), "rung": float(each.rung + 1), **numbers}
            found.append((trial.number, {f"sweep/{key}": value for key, value in metrics.items()}))
        return found

    def write(self, out_dir: Path) -> None:
        """Writes sweep.json into the artifact. Nothing in it depends on a clock."""
        trials = [
            {
                "trial": trial.number,
                "knobs": dict(knobs),
                "planned_steps": trial.steps,
                "reached": [
                    {"rung": each.rung + 1, "steps": each.steps, "validation_loss": each.loss, "failed": each.told}
                    for each in self.reached
                    if each.trial == trial.number
                ],
            }
            for trial, knobs in zip(self.trials, self.knobs, strict=True)
        ]
        rungs = [{"trials": rung.trials, "share": str(rung.share)} for rung in self.rungs]
        words = {
            **{"sweep": self.sweep, "rungs": rungs, "trials": trials, "winner": self.winner},
            "cost_trainings": round(self.cost_trainings, 6),
        }
        (out_dir / SWEEP_FILE).write_text(json.dumps(words, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def _last(self) -> dict[int, Reached]:
        return {each.trial: each for each in self.reached}


def _loss_in_words(reached: Reached | None) -> str:
    if reached is None:
        return ""
    return f"failed: {_text(reached.told)}" if reached.loss is None else f"{reached.loss:.4f}"


def _text(value: object) -> str:
    return str(value).replace("|", "&#124;").replace("\n", " ")
