"""How far a judge agrees with people, beyond chance: Cohen's kappa, and whether the judge may decide."""

import math
from typing import NamedTuple

import polars as pl

from ft_assets.curation.compose import is_corrected
from ft_assets.curation.judge_schema import CRITERIA, SCORED
from ft_assets.judge_rules import JudgeRules
from ft_assets.user_names import same_user

Z = 1.959963984540054  # 0.975 of the standard normal distribution: an interval of 95 %


class Kappa(NamedTuple):
    """Cohen's kappa with its 95 % interval, each in -1..1; None where both sides always say the same one thing."""

    kappa: float | None
    low: float | None
    high: float | None


class Agreement(NamedTuple):
    """What is known of a judge. `labelled` answers have a score and a person's word."""

    labelled: int
    kappa: float | None
    kappa_low: float | None
    kappa_high: float | None
    may_decide: bool
    reason: str


def cohens_kappa(both: int, judge_only: int, people_only: int, neither: int) -> Kappa:
    """Agreement beyond chance of two raters who say good or not; the counts are who said good.

    Kappa: Cohen 1960, "A Coefficient of Agreement for Nominal Scales". The interval is kappa +- 1.96 standard errors
    for large samples: Fleiss, Cohen and Everitt 1969, "Large Sample Standard Errors of Kappa and Weighted Kappa",
    formula 13; clipped to -1..1. A rater who always says the same has kappa 0; two such raters who agree, none.
    """
    n = both + judge_only + people_only + neither
    if not n:
        return Kappa(None, None, None)
    cells = {(1, 1): both / n, (1, 0): judge_only / n, (0, 1): people_only / n, (0, 0): neither / n}
    judge = {side: cells[side, 0] + cells[side, 1] for side in (0, 1)}
    people = {side: cells[0, side] + cells[1, side] for side in (0, 1)}
    seen = cells[0, 0] + cells[1, 1]
    by_chance = judge[0] * people[0] + judge[1] * people[1]
    if by_chance > 1 - 1e-12:
        return Kappa(None, None, None)
    kappa = (seen - by_chance) / (1 - by_chance)
    same = sum(cells[s, s] * ((1 - by_chance) - (judge[s] + people[s]) * (1 - seen)) ** 2 for s in (0, 1))
    other = (1 - seen) ** 2 * sum(cells[i, 1 - i] * (people[i] + judge[1 - i]) ** 2 for i in (0, 1))
    spread = same + other - (seen * by_chance - 2 * by_chance + seen) ** 2
    error = math.sqrt(max(spread, 0) / n) / (1 - by_chance) ** 2
    return Kappa(kappa, max(-1.0, kappa - Z * error), min(1.0, kappa + Z * error))


def labels(raw: pl.DataFrame, min_rating: float) -> pl.DataFrame:
    """interaction_id and good (Boolean) of the rows that people judged; of `raw` with feedback laid over it.

    A corrected answer was not good, whatever else was said. Then the expert's verdict counts, then the rating, which is
    good from `min_rating` on. Where people contradict each other and nobody has decided, there is no label.
    """
    good = (
        pl.when(is_corrected())
        .then(pl.lit(False))
        .when(pl.col("expert_verdict").is_not_null())
        .then(pl.col("expert_verdict") == "accept")
        .otherwise(pl.col("rating") >= min_rating)
    )
    found = raw.with_columns(good=good).filter(pl.col("good").is_not_null(), ~pl.col("conflicting"))
    return found.select("interaction_id", "good").sort("interaction_id")


def may_label(is_rating: pl.Expr, most_per_user: int) -> pl.Expr:
    """Whether a row (of raw_interactions or feedback) may give a label, so that no user makes or breaks a judge alone.

    Of one user's ratings, those of the first `most_per_user` answers by interaction_id may. What is no rating may, and
    what has no user.
    """
    user = pl.when(is_rating).then(same_user(pl.col("user_id")))
    return user.is_null() | (pl.col("interaction_id").rank("dense").over(user) <= most_per_user)


def verdicts(judge_scores: pl.LazyFrame, min_judge_mean: float) -> pl.DataFrame:
    """interaction_id, content_id and good (Boolean) of every answer that has all criteria: its mean is above that."""
    scored = judge_scores.filter(pl.col("status") == SCORED).group_by("interaction_id", "content_id")
    means = scored.agg(pl.col("score").mean().round(9), criteria=pl.col("criterion").n_unique()).collect()
    whole = means.filter(pl.col("criteria") == len(CRITERIA)).sort("interaction_id")
    return whole.select("interaction_id", "content_id", good=pl.col("score") > min_judge_mean)


def agreement(judge: pl.DataFrame, people: pl.DataFrame, rules: JudgeRules) -> Agreement:
    """How far the verdicts agree with the labels, and whether the judge may decide.

    One text counts once: where people differ about it, the majority counts, and a draw counts for nothing. Kappa says
    nothing while people have called nearly everything good (or bad), so agreement counts as measured from
    `rules.min_labelled` texts on with `rules.min_labelled_per_side` of each kind. Before that there is no proof against
    a judge, and `rules.unmeasured_may_decide` says whether it decides.
    """
    joined = judge.join(people, on="interaction_id", suffix="_by_people")
    share = joined.group_by("content_id").agg(pl.col("good").first(), said_good=pl.col("good_by_people").mean())
    table = share.filter(pl.col("said_good") != 0.5).with_columns(by_people=pl.col("said_good") > 0.5)
    judged, by_people = pl.col("good"), pl.col("by_people")
    cells = table.select(
        both=(judged & by_people).sum(),
        judge_only=(judged & ~by_people).sum(),
        people_only=(~judged & by_people).sum(),
        neither=(~judged & ~by_people).sum(),
    ).row(0)
    kappa = cohens_kappa(*cells)
    said_good, said_bad = cells[0] + cells[2], cells[1] + cells[3]
    return Agreement(table.height, *kappa, *_decision(kappa.kappa, said_good, said_bad, rules))


def _decision(kappa: float | None, good: int, bad: int, rules: JudgeRules) -> tuple[bool, str]:
    few = good + bad < rules.min_labelled or min(good, bad) < rules.min_labelled_per_side
    if few or kappa is None:
        decides = "decides" if rules.unmeasured_may_decide else "does not decide"
        return rules.unmeasured_may_decide, (
            f"agreement is not measured: people called {good} judged answers good and {bad} bad; it takes "
            f"{rules.min_labelled}, at least {rules.min_labelled_per_side} of each. Until then the judge {decides}"
        )
    if kappa < rules.min_kappa:
        return False, f"kappa {kappa:.2f} on {good + bad} labelled answers is below {rules.min_kappa:g}"
    return True, f"kappa {kappa:.2f} on {good + bad} labelled answers is at least {rules.min_kappa:g}"
