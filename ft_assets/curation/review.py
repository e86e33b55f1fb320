"""Which examples are most worth a person's look: where signals contradict each other, or where nobody looked yet."""

from datetime import date, timedelta

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ft_assets.curation.rules import CurationRules
from ft_assets.user_names import same_user

CONFLICTING, AGAINST, FAR, BORDERLINE, NEW = REASONS = (
    "conflicting votes",
    "rating against judge",
    "judge far from people",
    "borderline score",
    "new cluster",
)
UNTRUSTED = "judge, not trusted"  # the source of scores that do not count, and are worth a look for that
_SIGNAL = pl.element().struct


class ReviewRules(BaseModel):
    """What goes into the review queue, and how much of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int = Field(default=200, ge=1, description="Most examples in the queue.")
    most_per_cluster: int = Field(default=1, ge=1, description="Most examples of one cluster of related prompts.")
    most_per_user: int = Field(
        default=5, ge=1, description="Most examples of one user; of nobody's, as many as there are."
    )
    borderline_margin: float = Field(
        default=0.05, ge=0, le=1, description="A quality score this near to its bar, on the scale 0-1, is borderline."
    )
    largest_disagreement: float = Field(
        default=0.5, ge=0, le=1, description="Rating and judge this far apart, both on the scale 0-1, do not agree."
    )
    new_cluster_days: int = Field(
        default=7, ge=1, description="A cluster is new in the last so many days of the table, its newest day included."
    )


def review_queue(curated: pl.LazyFrame, rules: ReviewRules, bars: CurationRules) -> pl.DataFrame:
    """example_id, interaction_id, day, reasons and priority (from 1) of at most `rules.size` examples, the first first.

    An example that a person has decided on (verdict or correction) is not listed, unless its votes still conflict. The
    reasons take turns, each with its strongest case, so that many cases of one do not hide the others; equal cases
    stand in the order of example_id. `bars` says what passes. The same table gives the same queue.
    """
    facts = _facts(curated)
    rows = facts.join(_new_clusters(curated, rules), on="example_id", how="left").with_columns(_reasons(rules, bars))
    undecided = pl.col("conflicting") | ~(pl.col("human_verified") | pl.col("corrected") | pl.col("has_verdict"))
    listed = rows.filter(undecided & (pl.col("reasons").list.len() > 0)).collect()
    main = pl.col("reasons").list.first().replace_strict(list(REASONS), list(range(len(REASONS))), return_dtype=pl.Int8)
    ranked = listed.with_columns(main=main).sort(
        "main", -pl.col("reasons").list.len().cast(pl.Int64), -_strength(), "example_id"
    )
    turns = ranked.with_columns(turn=pl.int_range(pl.len()).over("main")).sort("turn", "main")
    few = turns.filter(pl.int_range(pl.len()).over("cluster_id") < rules.most_per_cluster)
    nobody = pl.col("user").is_null()
    diverse = few.filter(nobody | (pl.int_range(pl.len()).over("user") < rules.most_per_user)).head(rules.size)
    return diverse.select("example_id", "interaction_id", "day", "reasons", priority=pl.int_range(1, pl.len() + 1))


def with_texts(queue: pl.DataFrame, curated: pl.LazyFrame) -> pl.DataFrame:
    """The queue with role, task_type, question (every turn but the answer) and answer, read for its rows only."""
    wanted = curated.filter(pl.col("example_id").is_in(queue["example_id"].implode()))
    rows = wanted.select("example_id", "day", "role", "task_type", "messages").collect()
    texts = [_question_and_answer(turns) for turns in rows["messages"].to_list()]
    told = rows.drop("messages").with_columns(
        question=pl.Series([question for question, _ in texts], dtype=pl.String),
        answer=pl.Series([answer for _, answer in texts], dtype=pl.String),
    )
    return queue.join(told, on=["example_id", "day"], how="inner", maintain_order="left")


def _facts(curated: pl.LazyFrame) -> pl.LazyFrame:
    """The columns that decide, without any text."""
    signals = pl.col("signals").list
    judge = _SIGNAL.field("name").str.starts_with("judge")
    counts = judge & (_SIGNAL.field("source") != UNTRUSTED)

    def mean_where(condition: pl.Expr) -> pl.Expr:
        return signals.eval(_SIGNAL.field("value").filter(condition)).list.mean().round(9)

    conflicting = pl.col("conflicting") if "conflicting" in curated.collect_schema() else pl.lit(False)
    return curated.select(
        "example_id",
        "day",
        "cluster_id",
        "quality_score",
        interaction_id=pl.col("interaction_ids").list.first(),
        user=same_user(pl.col("user_id")),
        human_verified=pl.col("human_verified").fill_null(False),
        corrected=pl.col("corrected").fill_null(False),
        conflicting=conflicting.fill_null(False),
        rating=mean_where(_SIGNAL.field("name") == "rating"),
        judge=mean_where(judge),
        counted_judge=mean_where(counts),
        has_verdict=signals.eval(_SIGNAL.field("name") == "expert_verdict").list.any(),
    )


def _new_clusters(curated: pl.LazyFrame, rules: ReviewRules) -> pl.LazyFrame:
    """example_id of the first row of each cluster that is new, and the cluster's size as `new_rows`."""
    newest = curated.select(pl.col("day").max()).collect().item()
    since = date.fromisoformat(newest) - timedelta(days=rules.new_cluster_days - 1) if newest else date.max
    clusters = curated.group_by("cluster_id").agg(
        pl.col("example_id").sort_by("day", "example_id").first(),
        since=pl.col("day").min(),
        new_rows=pl.len().cast(pl.Float64),
    )
    return clusters.filter(pl.col("since") >= since.isoformat()).select("example_id", "new_rows")


def _reasons(rules: ReviewRules, bars: CurationRules) -> list[pl.Expr]:
    """`reasons` in the order of REASONS, and how far apart rating and judge, and score and bar, are."""
    rating, judge = pl.col("rating"), pl.col("judge")
    apart = ((rating - 1) / 4 - judge).abs()
    rating_bar = pl.when(rating.is_not_null()).then((bars.min_rating - 1) / 4)
    judge_bar = pl.when(pl.col("counted_judge").is_not_null()).then(bars.min_judge_mean)
    from_bar = (pl.col("quality_score") - pl.mean_horizontal(rating_bar, judge_bar)).abs().round(9)
    conditions = {
        CONFLICTING: pl.col("conflicting"),
        AGAINST: (rating >= bars.min_rating) != (judge > bars.min_judge_mean),
        FAR: apart >= rules.largest_disagreement,
        BORDERLINE: from_bar <= rules.borderline_margin,
        NEW: pl.col("new_rows").is_not_null(),
    }
    said = [pl.when(holds.fill_null(False)).then(pl.lit(reason)) for reason, holds in conditions.items()]
    return [pl.concat_list(said).list.drop_nulls().alias("reasons"), apart.alias("apart"), from_bar.alias("from_bar")]


def _strength() -> pl.Expr:
    """How strong a case of its main reason a row is; larger is stronger."""
    main = pl.col("reasons").list.first()
    by_reason = {
        AGAINST: pl.col("apart"),
        FAR: pl.col("apart"),
        BORDERLINE: -pl.col("from_bar"),
        NEW: pl.col("new_rows"),
    }
    return pl.coalesce([*(pl.when(main == name).then(value) for name, value in by_reason.items()), pl.lit(0.0)])


def _question_and_answer(turns: list[dict[str, str | None]]) -> tuple[str, str]:
    *asked, answer = turns
    if len(asked) == 1:
        question = asked[0]["content"] or ""
    else:
        question = "\n\n".join(f"{turn['role']}: {_with_calls(turn)}" for turn in asked)
    return question, _with_calls(answer)


def _with_calls(turn: dict[str, str | None]) -> str:
    return "\n".join(text for text in (turn["content"], turn["tool_calls"]) if text)
