"""Reads the two older forms of a training configuration, under `fine_tuning` and under `finetuning`.

Their keys become those of a model line: base_model, enabled, approach, recipe, split, trigger. Old names are read as
today's, with a note; a key that nothing would read is refused by name, because a run that leaves out half of its
configuration looks like one that follows it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ft_assets.errors import BadConfiguration
from ft_assets.training.problem import Problem
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_aliases import TODAYS_NAMES
from ft_assets.training.recipe_words import problems_in, shown, unknown_key

Key = tuple[str, ...]
ROOTS = ("fine_tuning", "finetuning")
SECTIONS = ("training", "validation", "early_stopping", "lora", "peft", "logging", "checkpointing")
IN_THE_LINE: dict[str, Key] = {
    "base_model": ("base_model",),
    "approach": ("approach",),
    "enabled": ("enabled",),
    "threshold": ("trigger", "new_examples"),
    "split": ("split", "validation_fraction"),
}
KNOBS = [key for key in Recipe.model_fields if key != "approach"]
BY_STEPS = (
    "evaluations, checkpoints and log entries are counted in optimizer steps here, and left out their intervals follow "
    "from the length of the run (at least max(epochs, 3 x patience) evaluations). Leave it out, or write steps"
)


@dataclass
class SourceRecipe:
    """What an older configuration says, in the keys of a model line, and what is wrong with it.

    `origins` leads from a key of the line back to the one that somebody wrote. `notes` tell which old keys were read
    under which name, and which have no counterpart because the system does it another way.
    """

    root: str
    line: dict[str, Any] = field(default_factory=dict)
    origins: dict[tuple[int | str, ...], Key] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def recipe(self) -> Recipe:
        """The recipe, with the defaults for what the source leaves out.

        Raises:
            BadConfiguration: names every problem of the source at once. Mend the file; a rerun does not help.
        """
        found, problems = self.try_recipe()
        if found is None or problems:
            listed = "\n".join(f"  - {problem.message}" for problem in problems)
            raise BadConfiguration(f"{self.root} cannot be read as a recipe:\n{listed}\nMend these keys and try again.")
        return found

    def try_recipe(self) -> tuple[Recipe | None, list[Problem]]:
        """The recipe, or None where its knobs do not allow one, and every problem that was found while reading."""
        approach = {"approach": self.line["approach"]} if "approach" in self.line else {}
        try:
            return Recipe.model_validate({**approach, **self.line.get("recipe", {})}), self.problems
        except ValidationError as error:
            return None, [*self.problems, *map(self._as_written, problems_in(error, KNOBS))]

    def written_key(self, key: tuple[int | str, ...]) -> tuple[int | str, ...]:
        """The key of the source behind a key of the line; the root where it has none of its own, or the key itself."""
        for size in range(len(key), 0, -1):
            if key[:size] in self.origins:
                return self.origins[key[:size]]
        return (self.root,) if key and key[0] in self.line else key

    def _as_written(self, problem: Problem) -> Problem:
        key = self.origins.get(("recipe", *problem.key[:1]), (self.root,))
        return Problem(problem.code, f"{'.'.join(key)}: {problem.message}", problem.refuses, key)


def recipe_from_source(source: Mapping[str, Any]) -> SourceRecipe:
    """What `{"fine_tuning": {...}}` or `{"finetuning": {...}}` says; its `problems` are told, not raised."""
    roots = [root for root in ROOTS if root in source]
    others = sorted(str(key) for key in source if key not in ROOTS)
    read = SourceRecipe(roots[0] if roots else ROOTS[0])
    read.problems += [unknown_key((key,), ROOTS) for key in others]
    if len(roots) != 1:
        told = f"found {' and '.join(roots) or 'neither'}, allowed: one of {' and '.join(ROOTS)}"
        read.problems.append(Problem("root_unclear", told, key=tuple(roots[1:])))
    elif not isinstance(source[read.root], Mapping):
        told = f"{read.root}: found {shown(source[read.root])}, allowed: keys with values"
        read.problems.append(Problem("value_not_allowed", told, key=(read.root,)))
    else:
        for key, value in _leaves(read, source[read.root], (read.root,)):
            _take(read, key, value)
    return read


def _leaves(read: SourceRecipe, found: Mapping[Any, Any], above: Key) -> Iterator[tuple[Key, Any]]:
    """Every key with its value, those of the known sections included."""
    for name, value in found.items():
        key = (*above, str(name))
        if name not in SECTIONS or len(above) > 1:
            yield key, value
        elif isinstance(value, Mapping):
            yield from _leaves(read, value, key)
        else:
            told = f"{'.'.join(key)}: found {shown(value)}, allowed: keys with values"
            read.problems.append(Problem("value_not_allowed", told, key=key))


def _take(read: SourceRecipe, key: Key, value: Any) -> None:
    """Puts one key where it belongs in the line, or tells why it belongs nowhere."""
    name = TODAYS_NAMES.get(key[-1], key[-1])
    if name in IN_THE_LINE:
        _put(read, key, IN_THE_LINE[name], value)
    elif name in KNOBS:
        _put(read, key, ("recipe", name), value)
    elif name in _SETTLED:
        _SETTLED[name](read, key, name, value)
    else:
        read.problems.append(unknown_key(key, [*IN_THE_LINE, *KNOBS, *_SETTLED]))


def _put(read: SourceRecipe, key: Key, target: Key, value: Any) -> None:
    if target in read.origins:
        first = ".".join(read.origins[target])
        told = f"{'.'.join(key)}: says the same as {first}; keep one, so that it is clear which counts"
        read.problems.append(Problem("said_twice", told, key=key))
        return
    read.origins[target] = key
    place = read.line
    for part in target[:-1]:
        place = place.setdefault(part, {})
    place[target[-1]] = value
    if key[-1] != target[-1]:
        read.notes.append(f"{'.'.join(key)} is read as {'.'.join(target)}")
    if target[-1] == "warmup_steps" and isinstance(value, int):
        told = "counts steps, and more than a tenth of the run is refused; warmup_ratio fits runs of any length"
        read.notes.append(f"{'.'.join(key)} {told}")


# ---- keys whose matter is settled here, so that only one value is possible -------------------------------------------
def _validation_loss(read: SourceRecipe, key: Key, name: str, value: Any) -> None:
    if TODAYS_NAMES.get(str(value), value) == "eval_loss":
        read.notes.append(f"{'.'.join(key)}: {value} is eval_loss, which early stopping always watches")
        return
    told = (
        f"{'.'.join(key)}: found {shown(value)}, allowed: eval_loss (val_loss in older files). Early stopping and the "
        "best checkpoint read the validation loss; other metrics belong to the gate"
    )
    read.problems.append(Problem("value_not_allowed", told, key=key))


def _by_steps(read: SourceRecipe, key: Key, name: str, value: Any) -> None:
    never = {"eval_strategy": "evaluation_never_happens", "save_strategy": "saving_never_happens"}
    if value == "steps":
        read.notes.append(f"{'.'.join(key)}: steps is what {name} always is")
    elif value in ("no", False) and name in never:  # YAML reads a bare no as false
        told = f"{'.'.join(key)}: no, so there would be no best checkpoint to keep. {BY_STEPS}"
        read.problems.append(Problem(never[name], told, key=key))
    else:
        told = f"{'.'.join(key)}: found {shown(value)}, allowed: steps; {BY_STEPS}"
        read.problems.append(Problem("value_not_allowed", told, key=key))


def _output_dir(read: SourceRecipe, key: Key, name: str, value: Any) -> None:
    read.notes.append(f"{'.'.join(key)} is not used: an adapter is stored under the digest of its content, in the lake")


def _metrics(read: SourceRecipe, key: Key, name: str, value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(metric, str) for metric in value):
        told = f"{'.'.join(key)}: found {shown(value)}, allowed: a list of names"
        read.problems.append(Problem("value_not_allowed", told, key=key))
        return
    read.metrics = tuple(value)
    read.notes.append(
        f"{'.'.join(key)} is a matter of the evaluation report, which has its own; gate.primary_metric decides"
    )


def _the_only_way(only: Any, why: str) -> Callable[[SourceRecipe, Key, str, Any], None]:
    def settle(read: SourceRecipe, key: Key, name: str, value: Any) -> None:
        if value == only and type(value) is type(only):
            read.notes.append(f"{'.'.join(key)}: {only} is what it always is: {why}")
            return
        told = f"{'.'.join(key)}: found {shown(value)}, allowed: {only}; {why}"
        read.problems.append(Problem("value_not_allowed", told, key=key))

    return settle


_SETTLED: dict[str, Callable[[SourceRecipe, Key, str, Any], None]] = {
    "metric_for_best_model": _validation_loss,
    "eval_strategy": _by_steps,
    "save_strategy": _by_steps,
    "logging_strategy": _by_steps,
    "output_dir": _output_dir,
    "metrics": _metrics,
    "greater_is_better": _the_only_way(False, "a lower validation loss is better"),
    "load_best_model_at_end": _the_only_way(True, "the best checkpoint is the one that is kept"),
    "packing": _the_only_way(True, "rows are packed, and no example sees its neighbours"),
    "logging_nan_inf_filter": _the_only_way(False, "a loss that is no number stops the run"),
}
