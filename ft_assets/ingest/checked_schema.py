"""What every row of `raw_interactions` and `feedback` keeps to, as it is written."""

from typing import get_args

import polars as pl

from ft_assets.ingest.schema import FEEDBACK_SCHEMA, RAW_SCHEMA
from ft_assets.records import Feedback, ReasoningMode, Role
from ft_assets.validated import (
    CheckedTable,
    Rule,
    a_day,
    at_least,
    between,
    each_item,
    filled,
    has_items,
    one_of,
)

FEEDBACK_KINDS = get_args(Feedback.model_fields["kind"].annotation)
VERDICTS = ("accept", "reject")
_PLACE = pl.format("{}/{}:{}", "day", "source_file", "source_line")
_ORIGIN = {
    "day": [a_day("day")],
    "source": [filled("source")],
    "source_file": [filled("source_file")],
    "source_line": [at_least("source_line", 1)],
}
_ITEM = pl.element().struct

RAW_INTERACTIONS = CheckedTable(
    name="raw_interactions",
    columns=RAW_SCHEMA,
    required=frozenset(
        ("interaction_id", "day", "reasoning_mode", "messages", "source", "source_kind", "source_file", "source_line")
    ),
    unique="interaction_id",
    rules=_ORIGIN
    | {
        "interaction_id": [filled("interaction_id")],
        "reasoning_mode": [one_of("reasoning_mode", get_args(ReasoningMode))],
        "messages": [
            has_items("messages"),
            each_item(
                "messages",
                "has a known role and a content in every turn",
                _ITEM.field("role").is_in(get_args(Role)) & _ITEM.field("content").is_not_null(),
            ),
        ],
        "rating": [between("rating", 1, 5)],
        "judge": [
            each_item(
                "judge",
                "has a criterion and a score from 0 to 1 in every item",
                _ITEM.field("criterion").is_not_null() & _ITEM.field("score").is_between(0, 1),
            )
        ],
        "expert_verdict": [one_of("expert_verdict", VERDICTS)],
        "latency_ms": [at_least("latency_ms", 0)],
        "prompt_tokens": [at_least("prompt_tokens", 0)],
        "completion_tokens": [at_least("completion_tokens", 0)],
        "source_kind": [filled("source_kind")],
    },
    row_key=_PLACE,
    made_in="ft_assets/ingest",
)

_VALUE_OF_ITS_KIND = (
    pl.when(pl.col("kind") == "rating")
    .then(pl.col("value").cast(pl.Float64, strict=False).is_between(1, 5).fill_null(False))
    .when(pl.col("kind") == "verdict")
    .then(pl.col("value").is_in(VERDICTS))
    .otherwise(pl.col("value").str.contains(r"\S"))
)
FEEDBACK = CheckedTable(
    name="feedback",
    columns=FEEDBACK_SCHEMA,
    required=frozenset(FEEDBACK_SCHEMA) - {"timestamp", "user_id"},
    rules=_ORIGIN
    | {
        "interaction_id": [filled("interaction_id")],
        "kind": [one_of("kind", FEEDBACK_KINDS)],
        "value": [Rule("is a rating from 1 to 5, accept or reject, or text, as its kind says", _VALUE_OF_ITS_KIND)],
    },
    row_key=_PLACE,
    made_in="ft_assets/ingest",
)
