"""Pairs from several rated answers to one prompt: which of them are far enough apart, by scores that can be compared.

Only the same kind of score says which of two answers is better: stars with stars, a judge's mean with that judge's mean
over the same criteria, a verdict with a verdict. Judges that came with the records are told apart by the records'
source. `correction` is no score: it made an answer, it did not compare one.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

MOST_LOOK_BACK_DAYS = 30  # what the asset graph says that a day of pairs reads
NOT_TRUSTED = "judge, not trusted"  # the source of a judge that may not decide
OTHER_ENDS = 3  # answers beyond the wanted number that are tried at both ends, in case signals disagree about the first
SAME_ANSWERS = "same_answers"
SCORES_DISAGREE, GAP_TOO_SMALL, NONE_TO_CHOOSE = "scores_disagree", "gap_too_small", "no_answer_may_be_chosen"
FAULTY, CONFLICTING = "chosen_has_faults", "conflicting_votes"

# `dropped_for` is null where the two make a pair.
CANDIDATES = pl.Schema(
    {
        "day": pl.Date,
        "origin": pl.String,
        "chosen_id": pl.String,
        "rejected_id": pl.String,
        "gap": pl.Float64,
        "dropped_for": pl.String,
    }
)


class PreferenceRules(BaseModel):
    """Which answers make a preference pair."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    min_gap: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="Least difference of scores, of 0..1: one star, the smallest step that a person can mean.",
    )
    least_chosen_score: float = Field(
        default=0.5, ge=0, le=1, description="No score of a chosen answer is lower: the better of two bad ones is bad."
    )
    most_pairs_per_prompt: int = Field(
        default=1,
        ge=1,
        description="Pairs from ratings of one prompt, the widest gaps first: 100 answers would make 4,950.",
    )
    lookback_days: int = Field(
        default=30, ge=0, le=MOST_LOOK_BACK_DAYS, description="How much older the earlier answer of a pair may be."
    )


def rated(rows: pl.DataFrame, days: Sequence[date], rules: PreferenceRules) -> pl.DataFrame:
    """CANDIDATES of these days: the pairs of each prompt, and one row with the reason for each prompt without any.

    `rows` are answers with example_id, day (a date), asked (what makes two prompts the same), answer_id, source,
    signals, faulty and conflicting, of these days and of their look-back. A day's pairs are those of the widest gaps
    of its look-back whose later answer is of the day; so a pair is made once, and a prompt that is answered every day
    gets a new pair only when an answer is better or worse than all before.
    """
    several = pl.len().over("asked") > 1
    scored = _scores(rows.filter(several), rules)
    made = [_of_day(scored, day, rules) for day in sorted(set(days) & set(scored["day"]))]
    return pl.concat([pl.DataFrame(schema=CANDIDATES), *made])


def _scores(rows: pl.DataFrame, rules: PreferenceRules) -> pl.DataFrame:
    """A row per answer and kind of score in 0..1, with `may_be_chosen`."""
    name, source = pl.col("name"), pl.col("judged_by")
    is_judge = name.str.starts_with("judge:")
    given = (
        rows.select("example_id", logged_in="source", signal="signals")
        .explode("signal")
        .drop_nulls("signal")
        .with_columns(
            name=pl.col("signal").struct.field("name"),
            value=pl.col("signal").struct.field("value"),
            judged_by=pl.col("signal").struct.field("source"),
        )
        .filter(name.is_in(["rating", "expert_verdict"]) | (is_judge & (source != NOT_TRUSTED).fill_null(True)))
        .with_columns(
            value=pl.when(name == "rating").then((pl.col("value") - 1) / 4).otherwise("value"),
            family=pl.when(is_judge).then(pl.format("judge {}", source.fill_null(""))).otherwise(name),
            logged_in=pl.when(is_judge & (source == "record")).then("logged_in"),
        )
    )
    by_kind = given.group_by("example_id", "family", "logged_in").agg(
        pl.col("value").mean().round(9), criteria=pl.col("name").sort().str.join(",")
    )
    kind = pl.concat_str("family", "criteria", pl.col("logged_in").fill_null(""), separator="\x1f")
    good = pl.col("value").min().over("example_id") >= rules.least_chosen_score
    answers = rows.select("example_id", "day", "asked", "answer_id", "faulty", "conflicting")
    return (
        by_kind.select("example_id", "value", kind=kind)
        .join(answers, on="example_id")
        .with_columns(may_be_chosen=good & ~pl.col("faulty"))
        .drop("faulty")
    )


def _of_day(scored: pl.DataFrame, day: date, rules: PreferenceRules) -> pl.DataFrame:
    in_reach = scored.filter(pl.col("day").is_between(day - timedelta(days=rules.lookback_days), day))
    today = in_reach.filter(pl.col("day") == day).select("asked").unique()
    in_reach = in_reach.join(today, on="asked", how="semi")
    tried = _compared(in_reach, _ends(in_reach, rules), rules)
    fits = pl.col("dropped_for").is_null()
    widest = tried.sort(~fits, -pl.col("gap"), "day", "chosen_id", "rejected_id")
    best = widest.filter(fits).group_by("asked", maintain_order=True).head(rules.most_pairs_per_prompt)
    comparable = (
        in_reach.group_by("asked", "kind")
        .agg(several=pl.len() > 1, today=(pl.col("day") == day).any(), doubt=pl.col("conflicting").any())
        .filter(pl.col("several") & pl.col("today"))
        .group_by("asked")
        .agg(pl.col("doubt").any())
    )
    without = comparable.join(best, on="asked", how="anti").join(widest.unique("asked", keep="first"), "asked", "left")
    neither = pl.when("doubt").then(pl.lit(CONFLICTING)).otherwise(pl.lit(NONE_TO_CHOOSE))
    reason = pl.col("dropped_for").fill_null(neither)
    lost = without.sort("asked").with_columns(day=pl.lit(day), dropped_for=reason)
    both = pl.concat([best.filter(pl.col("day") == day), lost.select(best.columns)])
    return both.with_columns(origin=pl.lit("ratings")).select(list(CANDIDATES))


def _ends(in_reach: pl.DataFrame, rules: PreferenceRules) -> pl.DataFrame:
    """The best answers of each prompt and kind of score, each beside each of the worst."""
    most = rules.most_pairs_per_prompt + OTHER_ENDS
    in_reach = in_reach.filter(~pl.col("conflicting"))
    best = in_reach.filter("may_be_chosen").sort(-pl.col("value"), "day", "example_id")
    worst = in_reach.sort("value", "day", "example_id")
    ends = [each.group_by("asked", "kind", maintain_order=True).head(most) for each in (best, worst)]
    beside = ends[0].join(ends[1], on=["asked", "kind"], suffix="_rejected")
    return (
        beside.filter(pl.col("example_id") != pl.col("example_id_rejected"))
        .select(
            "asked",
            chosen_id="example_id",
            rejected_id="example_id_rejected",
            day=pl.max_horizontal("day", "day_rejected"),
            same=pl.col("answer_id") == pl.col("answer_id_rejected"),
        )
        .unique(["chosen_id", "rejected_id"])
    )


def _compared(in_reach: pl.DataFrame, pairs: pl.DataFrame, rules: PreferenceRules) -> pl.DataFrame:
    """The pairs with `gap`, the mean difference over all kinds of score that both have, and why they are none."""
    scores = in_reach.select("example_id", "kind", "value")
    shared = (
        pairs.select("chosen_id", "rejected_id")
        .join(scores, left_on="chosen_id", right_on="example_id")
        .join(scores, left_on=["rejected_id", "kind"], right_on=["example_id", "kind"], suffix="_rejected")
        .with_columns(difference=pl.col("value") - pl.col("value_rejected"))
        .group_by("chosen_id", "rejected_id")
        .agg(gap=pl.col("difference").mean().round(9), least=pl.col("difference").min())
    )
    reasons = [
        pl.when("same").then(pl.lit(SAME_ANSWERS)),
        pl.when(pl.col("least") < 0).then(pl.lit(SCORES_DISAGREE)),
        pl.when(pl.col("gap") < rules.min_gap).then(pl.lit(GAP_TOO_SMALL)),
    ]
    return pairs.join(shared, on=["chosen_id", "rejected_id"]).with_columns(dropped_for=pl.coalesce(reasons))
