"""The judge asset's scores laid over those that came with a record."""

import polars as pl

from ft_assets.curation.judge_schema import CRITERIA, SCORED

_SCORE = pl.Struct({"criterion": pl.String, "score": pl.Float64})


def with_judge(raw: pl.DataFrame, judge_scores: pl.DataFrame, agreement: pl.DataFrame) -> pl.DataFrame:
    """The raw rows with the judge's scores in `judge`, and two more columns: judge_source and judge_trusted.

    An answer that has all five criteria in `judge_scores` gets them, in the order of CRITERIA, in place of the scores
    that came with its record (SPEC 13). Its judge_source is the judge's model, and judge_trusted says whether that
    judge may decide by `agreement` of the same day, model and prompt version; without such a row it may not. Other
    rows stay as they are, with null in both.
    """
    if not judge_scores.height:
        return raw.with_columns(judge_source=pl.lit(None, pl.String), judge_trusted=pl.lit(None, pl.Boolean))
    judge = ("judge_model", "prompt_version")
    each = [pl.col("score").filter(pl.col("criterion") == name).first().alias(name) for name in CRITERIA]
    scored = judge_scores.filter(pl.col("status") == SCORED).group_by("interaction_id", "day", *judge).agg(each)
    structs = [pl.struct(criterion=pl.lit(name), score=pl.col(name)).cast(_SCORE) for name in CRITERIA]
    whole = scored.drop_nulls(CRITERIA).with_columns(asked=pl.concat_list(structs)).drop(CRITERIA)
    may_decide = agreement.select("day", *judge, judge_trusted="may_decide")
    known = whole.join(may_decide, on=["day", *judge], how="left").with_columns(
        pl.col("judge_trusted").fill_null(False)
    )
    known = known.sort(judge).unique("interaction_id", keep="last").drop("prompt_version")
    joined = raw.join(known, on=["interaction_id", "day"], how="left", maintain_order="left")
    return joined.with_columns(judge=pl.coalesce("asked", "judge"), judge_source="judge_model").select(
        *raw.columns, "judge_source", "judge_trusted"
    )
