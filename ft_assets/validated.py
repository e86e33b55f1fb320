"""The last look at a table before it is written: columns, types and values, by a pandera schema.

A stage says beside its columns what its rows keep to (`CheckedTable`, a few `Rule`s for a column); this says what
breaks it. All checks are Polars expressions over whole columns, nested ones too: no Python for each row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl

from ft_assets.errors import BadInput, BadOutput
from ft_assets.example_ids import ID_DIGITS

if TYPE_CHECKING:
    import pandera.polars as pa
    from pandera.errors import SchemaError

SHOWN_ROWS = 3
SHOWN_RULES = 5
_ROW = "row number"


@dataclass(frozen=True, eq=False)
class Rule:
    """What the rows of a column keep to. `holds` is one Boolean for each row; where it is null, the rule holds."""

    says: str  # ends the sentence "the column ..."
    holds: pl.Expr


@dataclass(frozen=True, eq=False)
class CheckedTable:
    """A table and what each of its rows must be, so that whoever reads it may rely on it."""

    name: str
    columns: pl.Schema
    required: frozenset[str]  # columns without nulls
    rules: Mapping[str, Sequence[Rule]]  # by the column that an error names
    row_key: pl.Expr  # how an error names a row: an id or a place, never text; null where there is none
    made_in: str  # the package whose code makes the rows
    unique: str | None = None  # the column whose values occur once in a frame


def validated(table: CheckedTable, frame: pl.DataFrame, days: Sequence[str]) -> pl.DataFrame:
    """The frame as it came, when all columns, types and values are what `table` says and every day is one of `days`.

    Raises:
        BadOutput: names the columns, the rules that they break, how many rows and the first three. The code that makes
            the table has a bug: mend it and run again; nothing was written.
        BadInput: `frame` is lazy, and pandera would look at its columns only; collect it first.
    """
    from pandera.config import ValidationDepth, config_context
    from pandera.errors import SchemaErrors

    if not isinstance(frame, pl.DataFrame):
        raise BadInput(f"{table.name} came as a {type(frame).__name__}, whose values cannot be checked. Collect it.")
    schema = _pandera_schema(table, tuple(sorted(set(days))))
    broken: list[SchemaError] = []
    # Without these two, the environment could switch the checks off (PANDERA_VALIDATION_ENABLED, ..._DEPTH).
    with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        try:
            schema.validate(frame, lazy=True)
        except SchemaErrors as errors:  # holds rows with their text, so it may not stand in the traceback of ours
            broken = list(errors.schema_errors)
    if broken:
        raise BadOutput(_complaint(table, frame, broken))
    return frame


@lru_cache(maxsize=64)
def _pandera_schema(table: CheckedTable, days: tuple[str, ...]) -> "pa.DataFrameSchema":
    import pandera.polars as pa

    unknown = {*table.rules, *table.required, *([table.unique] if table.unique else [])} - set(table.columns)
    if unknown:
        raise BadInput(f"The rules of {table.name} name columns that it does not have: {sorted(unknown)}. Mend them.")
    in_days = Rule(f"is one of the {len(days)} days being written", pl.col("day").is_in(list(days)))
    columns = {}
    for name, kind in table.columns.items():
        rules = [*table.rules.get(name, ()), *([in_days] if name == "day" else [])]
        if name == table.unique:
            rules.append(Rule("occurs once", pl.col(name).is_first_distinct()))
        checks = [_check(rule) for rule in rules]
        columns[name] = pa.Column(kind, checks, nullable=name not in table.required, name=name)
    return pa.DataFrameSchema(columns, strict=True, name=table.name)


def _check(rule: Rule) -> "pa.Check":
    import pandera.polars as pa

    def holds(data: pa.PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(rule.holds)

    return pa.Check(holds, name=rule.says, n_failure_cases=1)  # one: pandera copies and formats each, with its text


def _complaint(table: CheckedTable, frame: pl.DataFrame, broken: Sequence["SchemaError"]) -> str:
    """The message: columns and types first, because with those wrong the values could not be looked at."""
    problems = _wrong_columns(table, frame) or [_wrong_values(table, frame, error) for error in broken]
    more = [f"and {len(problems) - SHOWN_RULES} more"] if len(problems) > SHOWN_RULES else []
    return (
        f"{table.name} would not be what its readers rely on, so nothing was written: "
        f"{'; '.join(problems[:SHOWN_RULES] + more)}. This is a bug in {table.made_in}, not in the landed data: "
        "mend the code that makes the named columns, add such a row to its tests, and materialize the days again."
    )


def _wrong_columns(table: CheckedTable, frame: pl.DataFrame) -> list[str]:
    missing = [f"the column {name} is missing" for name in table.columns if name not in frame.schema]
    unknown = [f"the column {name} is not one of its columns" for name in frame.schema if name not in table.columns]
    other = [
        f"the column {name} is {frame.schema[name]}, not {kind}"
        for name, kind in table.columns.items()
        if name in frame.schema and frame.schema[name] != kind
    ]
    return missing + unknown + other


def _wrong_values(table: CheckedTable, frame: pl.DataFrame, error: "SchemaError") -> str:
    column = error.schema.name
    says = "is never null" if error.check == "not_nullable" else getattr(error.check, "name", error.check)
    if error.check_output is None:  # the expression itself failed
        return f"whether '{column} {says}' holds could not be computed"
    failing = error.check_output.with_row_index(_ROW).filter(~pl.col("check_output"))[_ROW]
    named = frame.select(table.row_key.alias("key")).with_row_index(_ROW)[failing.head(SHOWN_ROWS)]
    rows = ", ".join(key or f"row {number}" for number, key in named.iter_rows())
    return f"'{column} {says}' does not hold in {failing.len()} of {frame.height} rows, such as {rows}"


def one_of(column: str, values: Sequence[str]) -> Rule:
    """The column holds one of a few words."""
    return Rule(f"is {', '.join(values[:-1])} or {values[-1]}", pl.col(column).is_in(list(values)))


def between(column: str, low: float, high: float) -> Rule:
    """The column holds a number of this range, both ends included; NaN is not one."""
    return Rule(f"is from {low:g} to {high:g}", pl.col(column).is_between(low, high))


def at_least(column: str, low: float) -> Rule:
    """The column holds a finite number that is not smaller."""
    return Rule(f"is a number from {low:g}", (pl.col(column) >= low) & pl.col(column).cast(pl.Float64).is_finite())


def filled(column: str) -> Rule:
    """The column holds text with something to see in it."""
    return Rule("is not blank", pl.col(column).str.contains(r"\S"))


def digest(column: str) -> Rule:
    """The column holds a SHA-256 as it is written here."""
    return Rule("is 64 hexadecimal digits", is_digest(pl.col(column)))


def is_digest(text: pl.Expr) -> pl.Expr:
    """Whether each text is 64 lower-case hexadecimal digits."""
    return text.str.contains(r"\A[0-9a-f]{64}\z")


def short_id(column: str) -> Rule:
    """The column holds the id of an example or of a pair."""
    return Rule(f"is {ID_DIGITS} hexadecimal digits", is_id(pl.col(column)))


def is_id(text: pl.Expr) -> pl.Expr:
    """Whether each text is 32 lower-case hexadecimal digits."""
    return text.str.contains(rf"\A[0-9a-f]{{{ID_DIGITS}}}\z")


def a_day(column: str) -> Rule:
    """The column holds a day that exists, as YYYY-MM-DD."""
    text = pl.col(column)
    exists = text.str.to_date("%Y-%m-%d", strict=False).is_not_null()
    return Rule("is a day as YYYY-MM-DD", exists & (text.str.len_bytes() == 10))


def each_item(column: str, says: str, holds: pl.Expr) -> Rule:
    """Every item of the list keeps to `holds`, an expression over `pl.element()`; a null item never does."""
    return Rule(says, pl.col(column).list.eval(holds.fill_null(False)).list.all())


def has_items(column: str) -> Rule:
    """The list is not empty."""
    return Rule("is not empty", pl.col(column).list.len() > 0)
