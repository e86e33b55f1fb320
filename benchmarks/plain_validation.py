"""Validation of a table with Great Expectations, as people set it up."""

import os
from collections.abc import Mapping, Sequence

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read when it is imported

import great_expectations as gx  # noqa: TID253 - what this pipeline is made of
import great_expectations.expectations as gxe  # noqa: TID253
import pandas as pd  # noqa: TID253
from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: TID253

ID = r"^[0-9a-f]{32}$"


def validate(frame: pd.DataFrame, expectations: list[gxe.Expectation]) -> list[str]:
    """What does not hold of the table; empty when all is well."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    source = context.data_sources.add_pandas("tables")
    batches = source.add_dataframe_asset("table").add_batch_definition_whole_dataframe("all")
    result = batches.get_batch({"dataframe": frame}).validate(gx.ExpectationSuite("table", expectations=expectations))
    return [str(each.expectation_config) for each in result.results if not each.success]


def rules(
    days: list[str], filled: Sequence[str], ids: Sequence[str], ranges: Mapping[str, tuple[float, float]]
) -> list[gxe.Expectation]:
    """Columns that must be filled, unique, of a form, or within a range."""
    return [
        *(gxe.ExpectColumnValuesToNotBeNull(column=name) for name in filled),
        gxe.ExpectColumnValuesToBeUnique(column="example_id"),
        *(gxe.ExpectColumnValuesToMatchRegex(column=name, regex=ID) for name in ids),
        gxe.ExpectColumnValuesToBeInSet(column="day", value_set=days),
        *(
            gxe.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high)
            for name, (low, high) in ranges.items()
        ),
    ]
