"""A model line's own rules, as its YAML file names them: filters, transformers, validators, in that order.

Light on purpose: the specialization loader reads this when definitions load.
"""

import inspect
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_serializer

from ft_assets.dataset.filters import FILTERS
from ft_assets.dataset.select import Selection
from ft_assets.dataset.transformers import TRANSFORMERS
from ft_assets.dataset.validators import VALIDATORS
from ft_assets.errors import BadInput

if TYPE_CHECKING:
    import polars as pl

    from ft_assets.dataset.summary import SnapshotSummary


class Rule(BaseModel):
    """A rule by its name with its parameter. In YAML: `- max_tokens: 512`, or `- drop_system_turn` without one."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    parameter: Any = None

    @model_serializer
    def as_written(self) -> Any:
        """As it stands in the YAML file, and in recipe.json."""
        return self.name if self.parameter is None else {self.name: self.parameter}


def _rule(value: object, registry: Mapping[str, Any], subjects: int) -> Rule:
    """The rule that a value of the YAML file names. `subjects`: arguments of its function before the parameter."""
    if isinstance(value, Rule):
        value = value.as_written()
    if isinstance(value, dict) and len(value) == 1:
        ((name, given),) = value.items()
    else:
        name, given = value, None
    if not isinstance(name, str) or name not in registry:
        raise ValueError(_unknown(name, registry))
    parameters = list(inspect.signature(registry[name]).parameters.values())[subjects:]
    if not parameters:
        if given is not None:
            raise ValueError(f"{name}: found {given!r}, allowed: no parameter. Write just {name}")
        return Rule(name=name)
    return Rule(name=name, parameter=_parameter(name, given, parameters[0]))


def _parameter(name: str, given: object, parameter: inspect.Parameter) -> object:
    try:
        if given is None or isinstance(given, bool):
            raise ValueError("a parameter is needed")  # true would pass as 1
        return TypeAdapter(parameter.annotation).validate_python(given)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        raise ValueError(f"{name}: found {given!r}, allowed for {parameter.name}: {wrong}") from error
    except ValueError as error:
        raise ValueError(f"{name}: found {given!r}, but it needs its {parameter.name}: - {name}: <value>") from error


def _unknown(name: object, registry: Mapping[str, Any]) -> str:
    from difflib import get_close_matches  # only when something is wrong

    close = get_close_matches(str(name), registry, n=1)
    meant = f". Did you mean {close[0]}?" if close else ""
    return f"found {name!r}, allowed: one of {', '.join(registry)}, by its name or as <name>: <parameter>{meant}"


Filter = Annotated[Rule, BeforeValidator(partial(_rule, registry=FILTERS, subjects=0))]
Transformer = Annotated[Rule, BeforeValidator(partial(_rule, registry=TRANSFORMERS, subjects=1))]
Validator = Annotated[Rule, BeforeValidator(partial(_rule, registry=VALIDATORS, subjects=1))]


class Rules(BaseModel):
    """What a line does with the rows it has selected. They act when a snapshot is made and are part of its recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    most_prompts_per_answer: int = Field(
        default=5,
        ge=2,
        description="From this many unrelated prompts on, a free-text answer of 50 characters is left out.",
    )
    most_rows_per_user: int | None = Field(
        default=20,
        ge=1,
        description="At most so many rows of a snapshot are one user's, or largest_user_share where that is more. "
        "null: no limit. Raise it for a line of few users: five of them are 100 rows at most. Rows without a user are "
        "not limited by it.",
    )
    largest_user_share: float = Field(
        default=0.001,
        ge=0,
        le=1,
        description="Share of the snapshot, as it is after the limits, that may be one user's.",
    )
    most_rows_per_source: int | None = Field(
        default=None,
        ge=1,
        description="The same for a source. null: no limit, because a team whose rows all come from one chat window "
        "has one source, and would never have enough to train on. Set it where anybody may open accounts: it is all "
        "that limits somebody with thousands of them.",
    )
    largest_source_share: float = Field(
        default=0,
        ge=0,
        le=1,
        description="Share of the snapshot, as it is after the limits, that may be one source's where that is more "
        "than most_rows_per_source. At 0.5 a source that brings most rows is cut down to as many as all others bring.",
    )
    filters: tuple[Filter, ...] = ()
    transformers: tuple[Transformer, ...] = ()
    validators: tuple[Validator, ...] = ()


NO_RULES = Rules()


def apply_filters(rows: "pl.DataFrame", rules: Rules) -> Selection:
    """The rows that no filter leaves out, and how many each did ("filter max_tokens")."""
    import polars as pl

    if not rules.filters:
        return Selection(rows, {})
    called = [FILTERS[rule.name](*([] if rule.parameter is None else [rule.parameter])) for rule in rules.filters]
    reasons = [
        pl.when(out.fill_null(False)).then(pl.lit(f"filter {rule.name}"))
        for rule, out in zip(rules.filters, called, strict=True)
    ]
    reason = rows.select(pl.coalesce(reasons)).to_series()
    return Selection(rows.filter(reason.is_null()), dict(sorted(reason.drop_nulls().value_counts().rows())))


def apply_transformers(rows: "pl.DataFrame", rules: Rules) -> "pl.DataFrame":
    """The rows with their messages changed by each transformer in turn."""
    import polars as pl

    for rule in rules.transformers:
        arguments = [] if rule.parameter is None else [rule.parameter]
        rows = rows.with_columns(messages=TRANSFORMERS[rule.name](pl.col("messages"), *arguments))
    return rows


def refuse_invalid(summary: "SnapshotSummary", rules: Rules, specialization: str) -> None:
    """Nothing, for a snapshot that every validator finds valid.

    Raises:
        BadInput: one does not; names the specialization, the rule, the numbers and what was dropped.
    """
    for rule in rules.validators:
        if wrong := VALIDATORS[rule.name](summary, *([] if rule.parameter is None else [rule.parameter])):
            raise BadInput(
                f"The snapshot of {specialization} is not valid by rules.validators, {rule.as_written()}: {wrong}. "
                f"Dropped: {summary.drops or 'nothing'}. It was not made, and a rerun on the same rows cannot help: "
                "curate more rows, or change the rule in the specialization."
            )
