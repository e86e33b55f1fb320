"""The columns of the table `rejections`, which every stage of the data wing writes, and what its rows keep to."""

from typing import get_args

import polars as pl

from ft_assets.records import Rejection
from ft_assets.validated import CheckedTable, Rule, a_day, filled, one_of

REJECTION_SCHEMA = pl.Schema(dict.fromkeys(Rejection.model_fields, pl.String))
REJECTIONS = CheckedTable(
    name="rejections",
    columns=REJECTION_SCHEMA,
    required=frozenset(REJECTION_SCHEMA),
    rules={
        "stage": [one_of("stage", get_args(Rejection.model_fields["stage"].annotation))],
        "day": [a_day("day")],
        "place": [Rule("is a file and a line", pl.col("place").str.contains(r".:[0-9]+\z"))],
        "rule": [Rule("is the name of a rule", pl.col("rule").str.contains(r"\A[a-z][a-z0-9_]*\z"))],
        "reason": [filled("reason")],
    },
    row_key=pl.format("{} {}", "day", "place"),
    made_in="the stage that rejected them",
)
