"""The table `judged_answers`: one row per answer (or pair of answers) of an evaluation and criterion, only appended."""

from collections.abc import Sequence

import polars as pl

from ft_assets.validated import CheckedTable, between, digest, filled, validated

JUDGED_ANSWERS_SCHEMA = pl.Schema(
    {
        "chunk": pl.String,  # the partition: digest of the answers that were asked together
        "content_id": pl.String,  # SHA-256 of the masked texts that the judge read
        "criterion": pl.String,
        "score": pl.Float64,  # 0..1
        "judge_model": pl.String,
        "prompt_version": pl.String,  # digest of what the judge is asked
    }
)
JUDGED_ANSWERS = CheckedTable(
    name="judged_answers",
    columns=JUDGED_ANSWERS_SCHEMA,
    required=frozenset(JUDGED_ANSWERS_SCHEMA),
    rules={
        "chunk": [digest("chunk")],
        "content_id": [digest("content_id")],
        "criterion": [filled("criterion")],
        "score": [between("score", 0, 1)],
        "judge_model": [filled("judge_model")],
        "prompt_version": [filled("prompt_version")],
    },
    row_key=pl.col("content_id"),
    made_in="ft_assets/evaluation",
)


def judged_answers_frame(
    rows: Sequence[tuple[str, str, float]], chunk: str, judge_model: str, prompt_version: str
) -> pl.DataFrame:
    """The rows (content id, criterion, score) of one partition, checked."""
    frame = pl.DataFrame(rows, schema=["content_id", "criterion", "score"], orient="row").with_columns(
        chunk=pl.lit(chunk), judge_model=pl.lit(judge_model), prompt_version=pl.lit(prompt_version)
    )
    return validated(JUDGED_ANSWERS, frame.select(list(JUDGED_ANSWERS_SCHEMA)), [])
