"""The columns of the table `preference_pairs`, and what every row of it keeps to as it is written."""

from typing import get_args

import polars as pl

from ft_assets.example_ids import ID_DIGITS
from ft_assets.records import ReasoningMode
from ft_assets.validated import (
    CheckedTable,
    Rule,
    a_day,
    between,
    each_item,
    filled,
    has_items,
    is_id,
    one_of,
    short_id,
)

MESSAGE = pl.Struct({"role": pl.String, "content": pl.String, "tool_calls": pl.String})
CORRECTION, FILE, OUTCOME, RATINGS = "correction", "file", "outcome", "ratings"
ORIGINS = (CORRECTION, FILE, OUTCOME, RATINGS)  # where the same pair comes from two of them, the first one names it

# One row per pair. Every text in it is masked; `day` is the day of its later answer.
PREFERENCE_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "pair_id": pl.String,  # of prompt, chosen and rejected, to the letter
    "day": pl.String,
    "cluster_id": pl.String,  # of the chosen example
    "example_ids": pl.List(pl.String),  # the chosen example, then the rejected one; a correction is one example
    "interaction_ids": pl.List(pl.String),
    "prompt": pl.List(MESSAGE),  # all turns but the answer
    "chosen": pl.List(MESSAGE),  # one turn of the assistant
    "rejected": pl.List(MESSAGE),  # likewise
    "origin": pl.String,
    "gap": pl.Float64,  # 0..1, of the scores of both sides; null where a person compared them
    "role": pl.String,  # this and all that follow are the chosen example's
    "task_type": pl.String,
    "reasoning_mode": pl.String,
    "source": pl.String,
    "user_id": pl.String,
}
PREFERENCE_SCHEMA = pl.Schema(PREFERENCE_COLUMNS)


def _one_answer(column: str) -> list[Rule]:
    turns = pl.col(column).list
    answers = (turns.len() == 1) & (turns.first().struct.field("role") == "assistant")
    return [Rule("is one turn of the assistant", answers.fill_null(False))]


PREFERENCE_PAIRS = CheckedTable(
    name="preference_pairs",
    columns=PREFERENCE_SCHEMA,
    required=frozenset(PREFERENCE_SCHEMA) - {"gap", "role", "task_type", "user_id"},
    unique="pair_id",
    rules={
        "pair_id": [short_id("pair_id")],
        "day": [a_day("day")],
        "cluster_id": [short_id("cluster_id")],
        "example_ids": [
            has_items("example_ids"),
            each_item("example_ids", f"holds ids of {ID_DIGITS} hexadecimal digits", is_id(pl.element())),
            Rule(
                "holds one example for a correction, else two",
                pl.col("example_ids").list.n_unique() == pl.when(pl.col("origin") == CORRECTION).then(1).otherwise(2),
            ),
        ],
        "interaction_ids": [has_items("interaction_ids")],
        "prompt": [has_items("prompt")],
        "chosen": _one_answer("chosen"),
        "rejected": [
            *_one_answer("rejected"),
            Rule("is not the chosen answer", pl.col("rejected") != pl.col("chosen")),
        ],
        "origin": [one_of("origin", ORIGINS)],
        "gap": [
            between("gap", 0, 1),
            Rule(
                "is there exactly for pairs from ratings", pl.col("gap").is_not_null() == (pl.col("origin") == RATINGS)
            ),
        ],
        "reasoning_mode": [one_of("reasoning_mode", get_args(ReasoningMode))],
        "source": [filled("source")],
    },
    row_key=pl.when(is_id(pl.col("pair_id"))).then("pair_id"),
    made_in="ft_assets/dataset",
)
