"""What every row of `curated_examples` keeps to, as it is written."""

from typing import get_args

import polars as pl

from ft_assets.curation.faults import FAULTS
from ft_assets.curation.schema import CURATED_SCHEMA
from ft_assets.example_ids import ID_DIGITS
from ft_assets.records import ReasoningMode, Role
from ft_assets.validated import (
    CheckedTable,
    Rule,
    a_day,
    at_least,
    between,
    each_item,
    filled,
    has_items,
    is_id,
    one_of,
    short_id,
)

_MAY_BE_NULL = {
    "timestamp",
    "user_id",
    "conversation_id",
    "role",
    "task_type",
    "domain",
    "model_version",
    "quality_score",
    "difficulty",
    "low_score_reason",
    "original_answer",
}
_ITEM = pl.element().struct

CURATED_EXAMPLES = CheckedTable(
    name="curated_examples",
    columns=CURATED_SCHEMA,
    required=frozenset(CURATED_SCHEMA) - _MAY_BE_NULL,
    unique="example_id",
    rules={name: [short_id(name)] for name in ("example_id", "prompt_id", "answer_id", "duplicate_group", "cluster_id")}
    | {
        "interaction_ids": [
            has_items("interaction_ids"),
            each_item("interaction_ids", "holds no null", pl.element().is_not_null()),
        ],
        "day": [a_day("day")],
        "reasoning_mode": [one_of("reasoning_mode", get_args(ReasoningMode))],
        "source": [filled("source")],
        "source_kind": [filled("source_kind")],
        "messages": [
            has_items("messages"),
            each_item(
                "messages",
                "has a known role and a content in every turn",
                _ITEM.field("role").is_in(get_args(Role)) & _ITEM.field("content").is_not_null(),
            ),
            Rule("ends with the assistant's turn", pl.col("messages").list.last().struct.field("role") == "assistant"),
        ],
        "quality_score": [between("quality_score", 0, 1)],
        "signals": [
            each_item(
                "signals",
                "has a name and a finite value in every item",
                _ITEM.field("name").is_not_null() & _ITEM.field("value").is_finite(),
            )
        ],
        "linked_clusters": [
            each_item("linked_clusters", f"holds ids of {ID_DIGITS} hexadecimal digits", is_id(pl.element())),
            Rule("does not hold the row's own cluster", ~pl.col("linked_clusters").list.contains(pl.col("cluster_id"))),
        ],
        "n_tokens": [at_least("n_tokens", 0)],
        "masked": [
            each_item(
                "masked",
                "has a kind and a count of at least 1 in every item",
                _ITEM.field("kind").is_not_null() & (_ITEM.field("count") >= 1),
            )
        ],
        "original_answer": [
            Rule("is null where nothing was corrected", pl.col("original_answer").is_null() | pl.col("corrected"))
        ],
        "faults": [each_item("faults", "is a known fault", pl.element().is_in(list(FAULTS)))],
        "low_score_reason": [
            Rule(
                "is null exactly where high_score is true", pl.col("low_score_reason").is_null() == pl.col("high_score")
            )
        ],
    },
    row_key=pl.when(is_id(pl.col("example_id"))).then("example_id"),
    made_in="ft_assets/curation",
)
