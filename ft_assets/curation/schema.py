"""The columns of the table `curated_examples`, beside the code that fills them."""

import polars as pl

MESSAGE = pl.Struct({"role": pl.String, "content": pl.String, "tool_calls": pl.String})
SIGNAL = pl.Struct({"name": pl.String, "value": pl.Float64, "source": pl.String})
MASKED = pl.Struct({"kind": pl.String, "count": pl.Int64})

# One row per example. Every text in it is masked; `day` is the landing day of its first interaction.
CURATED_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "example_id": pl.String,  # of the masked messages, to the letter
    "interaction_ids": pl.List(pl.String),  # the first, then the exact duplicates of the same day
    "day": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "user_id": pl.String,
    "conversation_id": pl.String,
    "role": pl.String,
    "task_type": pl.String,
    "reasoning_mode": pl.String,
    "domain": pl.String,
    "source": pl.String,
    "source_kind": pl.String,
    "model_version": pl.String,
    "prompt_id": pl.String,  # of all turns but the answer, to the letter
    "messages": pl.List(MESSAGE),
    "high_score": pl.Boolean,
    "quality_score": pl.Float64,  # 0..1, mean of the present signals; null without any
    "signals": pl.List(SIGNAL),  # raw values on their own scales
    "human_verified": pl.Boolean,
    "corrected": pl.Boolean,
    "difficulty": pl.String,
    "tags": pl.List(pl.String),
    "answer_id": pl.String,  # of the answer without case and spacing
    "duplicate_group": pl.String,  # example_id of the first row whose prompt and answer are nearly this one's
    "cluster_id": pl.String,  # what stays on one side of the split: the example_id of its first processed row
    "linked_clusters": pl.List(pl.String),  # other clusters that this row belongs to as well: a bridge
    "n_tokens": pl.Int64,  # of all turns' contents
    "masked": pl.List(MASKED),
    "original_answer": pl.String,  # what was answered before an expert corrected it; null when nobody did
    "faults": pl.List(pl.String),  # what is wrong with the answer whatever its scores, see faults.py
    "conflicting": pl.Boolean,  # the votes about it contradict each other, and nobody has decided yet
    "low_score_reason": pl.String,  # null when high_score
}
CURATED_SCHEMA = pl.Schema(CURATED_COLUMNS)
