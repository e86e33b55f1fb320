"""The columns of the tables `raw_interactions` and `feedback`, beside the code that fills them."""

import polars as pl

MESSAGE = pl.Struct({"role": pl.String, "content": pl.String, "tool_calls": pl.String})
JUDGE_SCORE = pl.Struct({"criterion": pl.String, "score": pl.Float64})

# One row per logged answer. `day` is the landing folder's day; `timestamp` is what the record says, in UTC.
RAW_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "interaction_id": pl.String,
    "day": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "user_id": pl.String,
    "conversation_id": pl.String,
    "role": pl.String,
    "task_type": pl.String,
    "reasoning_mode": pl.String,
    "messages": pl.List(MESSAGE),
    "context": pl.String,
    "model_version": pl.String,
    "rating": pl.Float64,  # 1..5
    "judge": pl.List(JUDGE_SCORE),  # 0..1 per criterion, as they came with the record
    "expert_verdict": pl.String,  # accept, reject or null
    "corrected_output": pl.String,
    "outcome": pl.String,  # JSON text
    "latency_ms": pl.Float64,
    "prompt_tokens": pl.Int64,
    "completion_tokens": pl.Int64,
    "source": pl.String,
    "source_kind": pl.String,
    "source_file": pl.String,
    "source_line": pl.Int64,
    "domain": pl.String,
    "difficulty": pl.String,
    "tags": pl.List(pl.String),
}
RAW_SCHEMA = pl.Schema(RAW_COLUMNS)

# One row per signal about an interaction that arrived after it. `day` is its own landing folder's day.
FEEDBACK_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "interaction_id": pl.String,
    "day": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "user_id": pl.String,
    "kind": pl.String,  # rating, verdict, correction or outcome
    "value": pl.String,  # "4.5"; accept or reject; the corrected text; JSON text
    "source": pl.String,
    "source_file": pl.String,
    "source_line": pl.Int64,
}
FEEDBACK_SCHEMA = pl.Schema(FEEDBACK_COLUMNS)
