"""The tables of the judge, and what every row of them keeps to."""

import polars as pl

from ft_assets.judge_prompt import CRITERIA
from ft_assets.validated import CheckedTable, Rule, a_day, at_least, between, digest, filled, is_digest, one_of

SCORED, FAILED = "scored", "failed"

# One row per judged answer and criterion.
JUDGE_SCORES_SCHEMA = pl.Schema(
    {
        "interaction_id": pl.String,
        "day": pl.String,
        "criterion": pl.String,
        "score": pl.Float64,  # 0..1; null when failed
        "status": pl.String,  # scored or failed
        "failure": pl.String,  # what went wrong; null when scored
        "judge_model": pl.String,
        "prompt_version": pl.String,
        "content_id": pl.String,  # SHA-256 of the masked text that was judged
        "cached": pl.Boolean,  # nothing was asked for it in the run that wrote the row
        "prompt_tokens": pl.Int64,  # of the answer, on its first criterion's row; 0 on the others and when cached
        "completion_tokens": pl.Int64,
    }
)
# What a run was told and has not published yet, so that a run that dies has not paid for nothing.
JUDGE_CACHE_SCHEMA = pl.Schema(
    {"chunk": pl.String}
    | {
        name: JUDGE_SCORES_SCHEMA[name]
        for name in ("content_id", "criterion", "score", "status", "judge_model", "prompt_version")
    }
)
# One row per day, judge model and prompt version: what is known of this judge when the day was judged.
JUDGE_AGREEMENT_SCHEMA = pl.Schema(
    {
        "day": pl.String,
        "judge_model": pl.String,
        "prompt_version": pl.String,
        "labelled": pl.Int64,
        "kappa": pl.Float64,  # -1..1; null where it is not defined
        "kappa_low": pl.Float64,
        "kappa_high": pl.Float64,
        "may_decide": pl.Boolean,
        "reason": pl.String,
    }
)
_IS_SCORED = pl.col("status") == SCORED

JUDGE_SCORES = CheckedTable(
    name="judge_scores",
    columns=JUDGE_SCORES_SCHEMA,
    required=frozenset(JUDGE_SCORES_SCHEMA) - {"score", "failure"},
    rules={
        "interaction_id": [filled("interaction_id")],
        "day": [a_day("day")],
        "criterion": [one_of("criterion", CRITERIA)],
        "score": [between("score", 0, 1), Rule("is there when scored", pl.col("score").is_not_null() == _IS_SCORED)],
        "status": [one_of("status", (SCORED, FAILED))],
        "failure": [Rule("is there when failed", pl.col("failure").is_null() == _IS_SCORED)],
        "judge_model": [filled("judge_model")],
        "prompt_version": [filled("prompt_version")],
        "content_id": [digest("content_id")],
        "prompt_tokens": [at_least("prompt_tokens", 0)],
        "completion_tokens": [at_least("completion_tokens", 0)],
    },
    row_key=pl.when(is_digest(pl.col("content_id"))).then("content_id"),
    made_in="ft_assets/curation",
)
JUDGE_AGREEMENT = CheckedTable(
    name="judge_agreement",
    columns=JUDGE_AGREEMENT_SCHEMA,
    required=frozenset(JUDGE_AGREEMENT_SCHEMA) - {"kappa", "kappa_low", "kappa_high"},
    rules={
        "day": [a_day("day")],
        "labelled": [at_least("labelled", 0)],
        "kappa": [between("kappa", -1, 1)],
        "kappa_low": [between("kappa_low", -1, 1)],
        "kappa_high": [between("kappa_high", -1, 1)],
        "reason": [filled("reason")],
    },
    row_key=pl.col("day"),
    made_in="ft_assets/curation",
)
