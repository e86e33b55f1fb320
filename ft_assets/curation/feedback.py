"""What people said later about an answer, laid over what was logged with it: one vote a user, conflicts by name."""

import hashlib
from collections.abc import Iterable

import polars as pl

from ft_assets.user_names import same_user

CONFLICT_STARS = 2.0  # between the extremes of votes of which some pass and some fail: 3 against 4 is no quarrel
_KINDS = {"rating": "rating", "expert_verdict": "verdict", "corrected_output": "correction", "outcome": "outcome"}


def with_feedback(raw: pl.DataFrame, feedback: pl.DataFrame | None, min_rating: float = 4.0) -> pl.DataFrame:
    """The raw rows with what was said about them in rating, expert_verdict, corrected_output and outcome, and a column
    `conflicting`: the votes contradict each other, and nobody has decided yet.

    What came with a record is the first word of the record's user. The latest word of each user counts (by timestamp,
    else by the end of the day it arrived), and all words without a user are one user's. Ratings are averaged over
    users; of verdicts, corrections and outcomes the latest of all stands.

    Ratings conflict when some reach `min_rating`, some do not, and the extremes are CONFLICT_STARS apart. A verdict
    that came after the conflict began decides it: votes on its other side do not count then. A verdict against ratings
    that agree is no conflict; both are signals. Verdicts conflict when two experts differ; the next verdict decides,
    whoever gives it. A correction decides everything, because the votes are about the answer that it replaces.
    A vote is as old as its user's first word, so that repeating it cannot reopen what was decided.
    """
    wanted = None
    if feedback is not None and feedback.height:
        wanted = feedback.filter(pl.col("interaction_id").is_in(raw["interaction_id"].implode()))
    if wanted is None or not wanted.height:
        return raw.with_columns(conflicting=pl.lit(False))
    words = _words(raw, wanted)
    latest = words.group_by("interaction_id").agg(
        new_verdict=_of("verdict").last(),
        decided_at=pl.col("place").filter(pl.col("kind") == "verdict").last(),
        new_correction=_of("correction").last(),
        new_outcome=_of("outcome").last(),
    )
    quarrels = _quarrels(words)
    votes = _ratings(words, min_rating, latest.filter(~pl.col("interaction_id").is_in(quarrels)))
    said = latest.join(votes, on="interaction_id", how="left")
    joined = raw.join(said, on="interaction_id", how="left", maintain_order="left")
    disputed = pl.col("undecided").fill_null(False) | pl.col("interaction_id").is_in(quarrels)
    return joined.with_columns(
        rating=pl.coalesce("new_rating", "rating"),
        expert_verdict=pl.coalesce("new_verdict", "expert_verdict"),
        corrected_output=pl.coalesce("new_correction", "corrected_output"),
        outcome=pl.coalesce("new_outcome", "outcome"),
        conflicting=disputed & pl.col("new_correction").is_null(),
    ).select(*raw.columns, "conflicting")


def _words(raw: pl.DataFrame, wanted: pl.DataFrame) -> pl.DataFrame:
    """interaction_id, kind, voter, value and place of all that was said about these answers, the first word first."""
    named = raw.join(wanted, on="interaction_id", how="semi")
    own = [
        named.select("interaction_id", "user_id", kind=pl.lit(kind), value=pl.col(column).cast(pl.String))
        for column, kind in _KINDS.items()
    ]
    own[2] = own[2].filter(pl.col("value").str.contains(r"\S"))
    moment = pl.coalesce("timestamp", _end_of_arrival())
    later = wanted.sort(moment, "day", "source_file", "source_line", maintain_order=True)
    words = pl.concat([*own, later.select("interaction_id", "user_id", "kind", "value")]).drop_nulls("value")
    voter = same_user(pl.col("user_id")).fill_null("")
    return words.select("interaction_id", "kind", "value", voter=voter, place=pl.int_range(pl.len()))


def _ratings(words: pl.DataFrame, min_rating: float, decisions: pl.DataFrame) -> pl.DataFrame:
    """The mean rating of each answer over the votes that count, and whether they are an undecided conflict.

    `decisions` holds the verdicts that may decide: new_verdict and decided_at.
    """
    votes = (
        words.filter(pl.col("kind") == "rating")
        .group_by("interaction_id", "voter")
        .agg(stars=pl.col("value").last().cast(pl.Float64), since=pl.col("place").first())
        .sort("since")
        .join(decisions, on="interaction_id", how="left", maintain_order="left")
    )
    stars, answer = pl.col("stars"), "interaction_id"
    lowest, highest = stars.cum_min().over(answer), stars.cum_max().over(answer)
    apart = (lowest < min_rating) & (highest >= min_rating) & (highest - lowest >= CONFLICT_STARS)
    votes = votes.with_columns(begun=pl.col("since").filter(apart).min().over(answer))
    decided = (pl.col("decided_at") > pl.col("begun")).fill_null(False)
    agrees = (stars >= min_rating) == (pl.col("new_verdict") == "accept")
    return votes.group_by(answer, maintain_order=True).agg(
        new_rating=stars.filter(~decided | agrees).mean(), undecided=(pl.col("begun").is_not_null() & ~decided).any()
    )


def _quarrels(words: pl.DataFrame) -> list[str]:
    """The answers about which two experts differ and no later verdict has decided."""
    verdicts = words.filter(pl.col("kind") == "verdict")
    contested = verdicts.filter(pl.col("value").n_unique().over("interaction_id") > 1)
    by_answer = contested.group_by("interaction_id", maintain_order=True).agg("voter", "value")
    return [answer for answer, voters, values in by_answer.iter_rows() if _differ(zip(voters, values, strict=True))]


def _differ(verdicts: Iterable[tuple[str, str]]) -> bool:
    """Whether the verdicts, the first one first, end in a contradiction between two experts."""
    standing: dict[str, str] = {}
    for voter, verdict in verdicts:
        if len(set(standing.values())) > 1:
            standing = {}
        standing[voter] = verdict
    return len(set(standing.values())) > 1


def feedback_stamps(feedback: pl.DataFrame, days: pl.DataFrame) -> dict[str, str]:
    """Day of the answers to a digest of all that was said about them; days nobody said anything about are absent.

    `days` holds interaction_id and day of the answers. Feedback for answers that never came is in no day.
    """
    said = (
        feedback.drop("day")
        .join(days, on="interaction_id")
        .sort("interaction_id", "source_file", "source_line", "kind")
    )
    lines = said.select("day", line=pl.concat_str(pl.exclude("day").cast(pl.String).fill_null(""), separator="\x1f"))
    by_day = lines.group_by("day").agg(pl.col("line").sort().str.join("\x1e"))
    return {day: hashlib.sha256(text.encode()).hexdigest() for day, text in by_day.iter_rows()}


def _of(kind: str) -> pl.Expr:
    return pl.col("value").filter(pl.col("kind") == kind)


def _end_of_arrival() -> pl.Expr:
    """What has no timestamp was said on the day it arrived at the latest, so after what is known of that day."""
    return pl.col("day").str.to_datetime("%Y-%m-%d", time_zone="UTC", time_unit="us").dt.offset_by("1d")
