"""What people said later about an answer, laid over what was logged with it."""

import hashlib

import polars as pl


def with_feedback(raw: pl.DataFrame, feedback: pl.DataFrame) -> pl.DataFrame:
    """The raw rows with the feedback that names them in rating, expert_verdict, corrected_output and outcome.

    The latest word of each user counts (by timestamp, else by arrival), and wins over what came with the record.
    Ratings of several users are averaged; of verdicts, corrections and outcomes the latest of all stands.
    """
    wanted = feedback.filter(pl.col("interaction_id").is_in(raw["interaction_id"].implode()))
    if not wanted.height:
        return raw
    latest_last = wanted.sort(pl.coalesce("timestamp", _arrival()), "day", "source_file", "source_line")
    per_user = latest_last.group_by("interaction_id", "kind", "user_id", maintain_order=True).agg(
        pl.col("value").last()
    )
    said = (
        per_user.group_by("interaction_id", maintain_order=True)
        .agg(
            new_rating=_of("rating").cast(pl.Float64).mean(),
            new_verdict=_of("verdict").last(),
            new_correction=_of("correction").last(),
            new_outcome=_of("outcome").last(),
        )
        .lazy()
    )
    named = {
        "rating": "new_rating",
        "expert_verdict": "new_verdict",
        "corrected_output": "new_correction",
        "outcome": "new_outcome",
    }
    joined = raw.lazy().join(said, on="interaction_id", how="left", maintain_order="left")
    changed = [pl.coalesce(new, old).alias(old) for old, new in named.items()]
    return joined.with_columns(changed).select(raw.columns).collect()


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


def _arrival() -> pl.Expr:
    return pl.col("day").str.to_datetime("%Y-%m-%d", time_zone="UTC", time_unit="us")
