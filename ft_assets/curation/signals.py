"""From ratings, judge scores and verdicts to one answer: is this example a good one, and if not, why not."""

import numpy as np
import polars as pl

from ft_assets.curation.compose import is_corrected
from ft_assets.curation.rules import CurationRules
from ft_assets.curation.schema import SIGNAL
from ft_assets.curation.turns import lists

NO_SIGNAL = "no signal"
NOT_TRUSTED = "judge, not trusted"  # the source of scores that are kept and count for nothing
SCORES = ("high_score", "quality_score", "signals", "human_verified", "corrected", "low_score_reason")


def scored(raw: pl.DataFrame, rules: CurationRules) -> pl.DataFrame:
    """One row per row of `raw`: high_score, quality_score, signals, low_score_reason, human_verified and corrected.

    Every signal that is present must pass, and at least one must be present. `raw` holds rating (1..5), judge (a list
    of {criterion, score 0..1}) and expert_verdict (accept, reject or null), and what `with_feedback` and `with_judge`
    add: scores of a judge that may not decide are kept among the signals and count for nothing, and votes that
    contradict each other fail until somebody decides. A fault (column `faults`) fails whatever the scores; an expert
    who accepts the answer all the same has seen it. A correction passes by itself: signals about the answer that it
    replaces do not apply to it. `quality_score` is the mean of the signals in 0..1.
    """
    rating, mean = pl.col("rating"), pl.col("judge_mean")
    rejected = (pl.col("expert_verdict") == "reject").fill_null(False)
    accepted = (pl.col("expert_verdict") == "accept").fill_null(False) & ~pl.col("conflicting")
    faults = pl.col("faults").list.join(", ")
    failed = [
        pl.when(rating < rules.min_rating).then(pl.format("rating {} of 5", _number(rating))),
        pl.when(mean <= rules.min_judge_mean).then(pl.format("judge mean {}", _number(mean.round_sig_figs(4)))),
        pl.when(rejected).then(pl.lit("expert rejected")),
        pl.when("conflicting").then(pl.lit("conflicting votes")),
        pl.when((faults != "") & ~accepted).then(pl.format("fault {}", faults)),
    ]
    normalised = pl.concat_list((rating - 1) / 4, mean, _verdict()).list.drop_nulls()
    # Three times 0.8 must not be above 0.8, so means are rounded.
    judged = raw.select(
        "rating",
        "expert_verdict",
        "conflicting",
        "faults",
        judge_mean=pl.when(pl.col("judge_trusted").fill_null(True)).then(
            pl.col("judge").list.eval(pl.element().struct.field("score")).list.mean().round(9)
        ),
        signals=_signals(raw),
        corrected=is_corrected(),
    ).with_columns(
        quality_score=normalised.list.mean().round(9),
        low_score_reason=pl.concat_str(failed, separator="; ", ignore_nulls=True).replace("", None),
    )
    no_signal = pl.col("quality_score").is_null()
    judged = judged.with_columns(
        low_score_reason=pl.when(no_signal).then(pl.lit(NO_SIGNAL)).otherwise("low_score_reason"),
        human_verified=accepted,
    )
    corrected = pl.col("corrected")
    correction = pl.lit([{"name": "correction", "value": 1.0, "source": "expert"}], dtype=pl.List(SIGNAL))
    return judged.select(
        high_score=corrected | pl.col("low_score_reason").is_null(),
        quality_score=pl.when(corrected).then(1.0).otherwise("quality_score"),
        signals=pl.when(corrected).then(correction).otherwise("signals"),
        human_verified=corrected | pl.col("human_verified"),
        corrected=corrected,
        low_score_reason=pl.when(~corrected).then("low_score_reason"),
    )


def kinds_of(low_score_reason: pl.Expr) -> pl.Expr:
    """A reason without its numbers, as a list to count by: "rating 2 of 5; expert rejected" is [rating, expert]."""
    parts = low_score_reason.str.split("; ").list
    return parts.eval(
        pl.when(pl.element() == NO_SIGNAL).then(pl.lit(NO_SIGNAL)).otherwise(pl.element().str.extract(r"^(\w+)"))
    )


def _verdict() -> pl.Expr:
    return (pl.col("expert_verdict") == "accept").cast(pl.Float64)


def _number(value: pl.Expr) -> pl.Expr:
    return value.cast(pl.String).str.strip_suffix(".0")


def _signals(raw: pl.DataFrame) -> pl.Series:
    """The raw values on their own scales, with who gave them: rating, judge by criterion, verdict.

    Made as flat rows that are put together at the end: lists of structs cost ten times as much to concatenate.
    """
    asked = pl.when("judge_trusted").then(pl.format("judge {}", "judge_source")).otherwise(pl.lit(NOT_TRUSTED))
    judge = pl.when(pl.col("judge_source").is_null()).then(pl.lit("record")).otherwise(asked)
    numbered = raw.select("rating", "judge", verdict=_verdict(), who=judge).with_row_index("row")
    judged = numbered.select("row", "judge", "who").explode("judge").drop_nulls("judge").unnest("judge")
    kinds = [
        _flat(numbered.drop_nulls("rating"), 0, pl.lit("rating"), pl.col("rating"), pl.lit("user")),
        _flat(judged, 1, pl.format("judge:{}", "criterion"), pl.col("score"), pl.col("who")),
        _flat(numbered.drop_nulls("verdict"), 2, pl.lit("expert_verdict"), pl.col("verdict"), pl.lit("expert")),
    ]
    signals = pl.concat(kinds).sort("row", "kind", maintain_order=True)
    places = np.searchsorted(signals["row"].to_numpy(), np.arange(raw.height + 1))
    return lists("signals", signals.select("name", "value", "source"), places, SIGNAL)


def _flat(rows: pl.DataFrame, kind: int, name: pl.Expr, value: pl.Expr, source: pl.Expr) -> pl.DataFrame:
    return rows.select("row", kind=pl.lit(kind), name=name, value=value, source=source)
