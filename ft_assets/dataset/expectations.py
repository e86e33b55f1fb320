"""A snapshot under Great Expectations: its rows and its figures against what the model line expects of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from ft_assets.dataset.expectations_figures import BALANCE, LENGTHS, SCORES, VOLUME, Figure, Line
from ft_assets.dataset.expectations_limits import Expectations

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult
    from great_expectations.expectations.expectation import Expectation

ROWS, FIGURES = "rows of the snapshot", "figures of the snapshot"
# Ids, counts and labels; no column of these holds text, so no page made from them can.
COLUMNS = ("example_id", "side", "role", "task_type", "n_tokens", "answer_characters", "quality_score")
QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Outcome:
    """One expectation of a snapshot, in words, and whether it holds."""

    check: str
    expected: str
    observed: str
    passed: bool


@dataclass(frozen=True)
class Validation:
    """What Great Expectations found: `results` by suite are its own objects, for its own Data Docs."""

    outcomes: list[Outcome]
    results: "dict[str, ExpectationSuiteValidationResult]"

    def of(self, check: str) -> list[Outcome]:
        """The outcomes that belong to one check."""
        return [outcome for outcome in self.outcomes if outcome.check == check]


def validate(rows: pl.DataFrame, figures: Sequence[Figure], line: Line, limits: Expectations) -> Validation:
    """Runs the suite of `line` on the rows of a snapshot (`snapshot_rows`) and on its `figures` (`figures_of`).

    Great Expectations judges every row in the columns COLUMNS, and one row that holds the figures: what is compared
    with the last snapshot or counted over groups is aggregated before. Nothing leaves the machine.
    """
    context = _context()
    source = context.data_sources.add_pandas("snapshot")
    tables: dict[str, tuple[Any, list[Expectation]]] = {
        ROWS: (rows.select(COLUMNS).to_pandas(), _row_expectations(rows, line, limits)),
        FIGURES: (_one_row(figures), [_figure_expectation(figure) for figure in figures]),
    }
    results = {}
    for name, (table, expectations) in tables.items():
        batch = (
            source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all").get_batch({"dataframe": table})
        )
        shape = {"result_format": "BASIC", "partial_unexpected_count": 0}  # counts, never the values themselves
        results[name] = batch.validate(_suite(f"{line.name}: {name}", expectations), result_format=shape)
    return Validation([_outcome(each) for result in results.values() for each in result.results], results)


def _context() -> Any:
    """A context that keeps nothing, reports nothing to anybody and prints no progress bars."""
    import os

    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # 1.24 has no analytics; others read this as they are imported
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    return context


def _suite(name: str, expectations: "Sequence[Expectation]") -> "ExpectationSuite":
    import great_expectations as gx

    return gx.ExpectationSuite(name=name, expectations=list(expectations))


def _one_row(figures: Sequence[Figure]) -> Any:
    """One row with a column per figure. Plain Python numbers: the Data Docs cannot print NumPy's."""
    import pandas as pd  # type: ignore[import-untyped]

    return pd.DataFrame({figure.name: pd.Series([figure.value], dtype=object) for figure in figures})


def _row_expectations(rows: pl.DataFrame, line: Line, limits: Expectations) -> "list[Expectation]":
    from great_expectations import expectations as gxe

    tokens = limits.tokens_p95_at_most or line.max_length
    lengths = {
        "n_tokens": ("tokens of a row", limits.tokens_p05_at_least, tokens),
        "answer_characters": (
            "characters of an answer",
            limits.answer_characters_p05_at_least,
            limits.answer_characters_p95_at_most,
        ),
    }
    expected: list[Expectation] = [
        gxe.ExpectColumnValuesToBeUnique(column="example_id", **_said(VOLUME, "each example stands in it once")),
        gxe.ExpectColumnValuesToBeInSet(
            column="side",
            value_set=["train", "validation", "eval"],
            **_said(VOLUME, "every row stands on one of the three sides"),
        ),
    ]
    for column, (name, least, most) in lengths.items():
        if rows[column].count():
            ranges = {"quantiles": list(QUANTILES), "value_ranges": [[least, None], [least, most], [None, most]]}
            words = f"{name}: 5 % quantile at least {number(least)}, 95 % quantile at most {number(most)}"
            expected.append(
                gxe.ExpectColumnQuantileValuesToBeBetween(
                    column=column, quantile_ranges=ranges, allow_relative_error=False, **_said(LENGTHS, words)
                )
            )
    if line.task_types:
        words = f"tasks among the rows: {', '.join(line.task_types)}"
        expected.append(
            gxe.ExpectColumnDistinctValuesToContainSet(
                column="task_type", value_set=list(line.task_types), **_said(BALANCE, words)
            )
        )
    if rows["quality_score"].count():
        expected.append(
            gxe.ExpectColumnValuesToBeBetween(
                column="quality_score", min_value=0, max_value=1, **_said(SCORES, "scores lie between 0 and 1")
            )
        )
    return expected


def _figure_expectation(figure: Figure) -> "Expectation":
    from great_expectations import expectations as gxe

    bounds = [f"at least {number(figure.at_least)}"] if figure.at_least is not None else []
    bounds += [f"at most {number(figure.at_most)}"] if figure.at_most is not None else []
    kind = gxe.ExpectColumnMaxToBeBetween if figure.at_least is None else gxe.ExpectColumnMinToBeBetween
    words = f"{figure.name}: {' and '.join(bounds)}"
    return kind(column=figure.name, min_value=figure.at_least, max_value=figure.at_most, **_said(figure.check, words))


def _said(check: str, words: str) -> dict[str, Any]:
    """What an expectation carries along: its check, what it says in the Data Docs, and that it warns."""
    return {"meta": {"check": check, "expected": words}, "description": words, "severity": "warning"}


def _outcome(result: Any) -> Outcome:
    meta = result.expectation_config.meta
    if result.exception_info.get("raised_exception"):
        kind = result.expectation_config.type
        return Outcome(meta["check"], meta["expected"], f"could not be computed ({kind})", passed=False)
    return Outcome(meta["check"], meta["expected"], _observed(result.result), bool(result.success))


def _observed(found: Mapping[str, Any]) -> str:
    if "unexpected_count" in found:
        return f"{found['unexpected_count']:,} of {found['element_count']:,} rows do not"
    if "missing_count" in found and "observed_value" in found and found["observed_value"] is None:
        return f"{found['missing_count']} are missing" if found["missing_count"] else "all of them"
    value = found.get("observed_value")
    if isinstance(value, dict) and "quantiles" in value:
        pairs = zip(value["quantiles"], value["values"], strict=True)
        return ", ".join(f"{share:.0%}: {number(length)}" for share, length in pairs)
    return number(value) if isinstance(value, int | float) else str(value)


def number(value: float) -> str:
    """A count with its thousands, anything else with four figures."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"
