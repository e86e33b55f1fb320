"""What was decided about one training, and why: TRAIN-001 base model, 002 approach, 003 PEFT, then what the run met.

The log is written from the run's own data into the artifact `training_spec`, as `decisions.json` and as a table of the
spec. An artifact is never changed, so each run adds its own log and none is lost.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ft_assets.training.knob_reasons import outside_ranges
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_ranges import Objective

WHAT_IS_MINIMISED: dict[Objective, str] = {
    "sft": "cross-entropy of the answers' tokens",
    "dpo": "preference for the chosen answer over the rejected one, against a frozen reference",
    "kto": "preference for liked answers over disliked ones, from single thumbs",
}


@dataclass(frozen=True)
class Decision:
    """One decision. `id` is TRAIN-001, 002, ...; `date` is YYYY-MM-DD, UTC."""

    id: str
    about: str
    decided: str
    rationale: str
    date: str


def decisions(
    base: Mapping[str, Any],
    recipe: Recipe,
    overrides: Mapping[str, Any],
    rows: Mapping[Objective, int],
    trainable: int,
    events: Sequence[str],
    date: str,
) -> list[Decision]:
    """All decisions about one run, numbered.

    `base` is what base_model recorded (id, parameters, licence, ...), `rows` the train rows by objective, `trainable`
    the numbers that were trained, `events` sentences about what the run met (a micro-batch that was halved, a resume,
    an early stop), in their order.
    """
    made = [_base(base, recipe), _approach(recipe, rows), _peft(base, recipe, trainable)]
    made += [
        *_outside(recipe),
        *_overridden(overrides),
        *(("the run", event, "met while training") for event in events),
    ]
    return numbered(made, date)


def numbered(made: Iterable[tuple[str, str, str]], date: str) -> list[Decision]:
    """(about, decided, rationale) as decisions TRAIN-001 and on."""
    return [Decision(f"TRAIN-{number:03}", *each, date) for number, each in enumerate(made, start=1)]


def base_in_words(base: Mapping[str, Any]) -> str:
    """`tiny-base (4,212,992 parameters, Apache-2.0)`."""
    size = f"{base['parameters']:,} parameters" if base.get("parameters") else "size unknown"
    return f"{base['id']} ({size}, {base.get('licence') or 'licence unknown'})"


def _base(base: Mapping[str, Any], recipe: Recipe) -> tuple[str, str, str]:
    facts = ["the line names it", "its weights are open and were verified by digest"]
    if base.get("instruction_tuned"):
        facts.append("it is instruction-tuned, so that it knows turns")
    if base.get("context_length"):
        facts.append(f"it reads {base['context_length']:,} tokens, and rows have {recipe.max_length:,} at most")
    return "base model", base_in_words(base), "; ".join(facts)


def _approach(recipe: Recipe, rows: Mapping[Objective, int]) -> tuple[str, str, str]:
    why = [
        f"{stage.objective}: {WHAT_IS_MINIMISED[stage.objective]}, from {rows.get(stage.objective, 0):,} train rows"
        for stage in recipe.stages()
    ]
    return "approach", recipe.approach, "; ".join(why)


def _peft(base: Mapping[str, Any], recipe: Recipe, trainable: int) -> tuple[str, str, str]:
    share = f" of {base['parameters']:,} ({trainable / base['parameters']:.2%})" if base.get("parameters") else ""
    if recipe.method == "full":
        return "PEFT", "none, full fine-tuning", f"trains {trainable:,} parameters{share}"
    decided = f"{recipe.method}, rank {recipe.r}, alpha {recipe.alpha}, on {recipe.target_modules}"
    four = "the base is kept in four bits" if recipe.method == "qlora" else "the base stays frozen"
    return "PEFT", decided, f"trains {trainable:,} parameters{share}; {four}"


def _outside(recipe: Recipe) -> Iterator[tuple[str, str, str]]:
    for stage in recipe.stages():
        for key, told in outside_ranges(stage).items():
            value, _, reason = told.partition(": ")
            yield f"{stage.objective}: {key}", value, reason


def _overridden(overrides: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for key, value in sorted(overrides.items()):
        if key != "outside_range":
            yield key, "the line's default" if value is None else str(value), "chosen at the launch of this run"
