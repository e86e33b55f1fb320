"""Preference pairs: a prompt with an answer that is preferred and one that is not.

Three places say so. A correction is preferred to what it corrects. A record that compared two answers, such as a line
of a preference file, became two interactions (`preference_comparisons`). And of several answers to one prompt, scores
of the same kind tell the better one (`preference_scores`).

Two prompts are the same when all their turns are, to the letter (`prompt_id`): DPO compares two answers to one text,
and an answer that is good under another system turn may be bad under this one. `prompt_key`, by which curation groups
prompts into clusters, knows neither system turns nor case. Ratings are compared within one role and reasoning mode
only, because these decide which system prompt a line puts before both.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from ft_assets.dataset.call_texts import as_said
from ft_assets.dataset.preference_comparisons import SIDE, compared
from ft_assets.dataset.preference_schema import CORRECTION, MESSAGE, ORIGINS, PREFERENCE_SCHEMA
from ft_assets.dataset.preference_scores import CONFLICTING, FAULTY, SAME_ANSWERS, PreferenceRules, rated
from ft_assets.dataset.texts import comparable
from ft_assets.errors import BadInput
from ft_assets.example_ids import ID_DIGITS

__all__ = ["PreferenceRules", "Preferences", "days_in_reach", "pairs_of_days", "same_answers"]

NO_ORIGINAL, ALREADY = "no_original_answer", "pair_is_there_already"
READ = (
    "example_id", "day", "prompt_id", "answer_id", "role", "reasoning_mode", "source", "source_kind",
    "interaction_ids", "signals", "corrected",
)  # fmt: skip
USED = (
    "example_id", "prompt_id", "cluster_id", "interaction_ids", "messages", "original_answer",
    "role", "task_type", "reasoning_mode", "source", "user_id",
)  # fmt: skip
LATER_COLUMNS = ("original_answer", "faults", "conflicting")  # not in tables of earlier versions


@dataclass(frozen=True)
class Preferences:
    """Pairs (PREFERENCE_SCHEMA), and what made none: day to reason to how many.

    Counted are corrections, comparisons and, of ratings, prompts whose answers can be compared.
    """

    pairs: pl.DataFrame
    drops: dict[str, dict[str, int]]


def pairs_of_days(
    curated: pl.LazyFrame | pl.DataFrame,
    days: Sequence[str],
    rules: PreferenceRules | None = None,
    copies: pl.DataFrame | None = None,
    published: pl.DataFrame | None = None,
) -> Preferences:
    """The pairs whose later answer is of these days, from the rows of these days and their look-back in `curated`.

    `copies` (interaction_id, example_id, day) are interactions whose text is an example of another day.
    `published` (pair_id, day) are pairs of other days: a pair belongs to the first day it exists.
    Many days at once give the same as one day after the other. An answer with faults is never chosen; one that votes
    contradict each other about is on neither side.

    Raises:
        BadInput: `curated` was written before originals, faults and conflicts were kept; curate these days again.
    """
    rules = rules or PreferenceRules()
    _refuse_older(curated.lazy())
    if copies is not None:
        copies = copies.filter(pl.col("interaction_id").str.contains(SIDE))
    rows = _rows_in_reach(curated.lazy(), days, rules, copies)
    wanted = [date.fromisoformat(day) for day in sorted(set(days))]
    candidates = pl.concat(
        [_corrected(rows, wanted), compared(rows, wanted, rules, copies), rated(_rateable(rows), wanted, rules)]
    )
    pairs = _written(curated.lazy(), days_in_reach(days, rules.lookback_days), candidates.filter(_fits()))
    same = same_answers(pairs["chosen"], pairs["rejected"])
    different = pairs.filter(~same).with_row_index("place")
    first = _on_first_day(different, published)
    lost = [
        candidates.filter(~_fits()).select(pl.col("day").dt.to_string(), "dropped_for"),
        pairs.filter(same).select("day", dropped_for=pl.lit(SAME_ANSWERS)),
        different.join(first, on="place", how="anti").select("day", dropped_for=pl.lit(ALREADY)),
    ]
    return Preferences(first.drop("place"), _counts(pl.concat(lost), days))


def days_in_reach(days: Collection[str], lookback_days: int) -> list[str]:
    """These days and those before them that an answer of their pairs may be of, sorted."""
    reached = {date.fromisoformat(day) - timedelta(days=back) for day in days for back in range(lookback_days + 1)}
    return [day.isoformat() for day in sorted(reached)]


def same_answers(one: pl.Series, other: pl.Series) -> pl.Series:
    """Whether two columns of messages say the same, but for case, spacing and Unicode form, and make the same calls."""
    return _comparable_turns(one) == _comparable_turns(other)


def _comparable_turns(messages: pl.Series) -> pl.Series:
    turn = pl.element().struct
    calls_alone = as_said(messages.list.eval(turn.with_fields(content=pl.lit(""))))
    texts = [each.list.eval(turn.field("content").fill_null("")).list.join("\n") for each in (messages, calls_alone)]
    plain = comparable(texts[0]).str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    return plain + "\x1f" + texts[1]


def _refuse_older(curated: pl.LazyFrame) -> None:
    if missing := [name for name in LATER_COLUMNS if name not in curated.collect_schema()]:
        raise BadInput(
            f"curated_examples was written by an earlier version: the columns {', '.join(missing)} are missing, so "
            "nothing says which answers may be preferred. Run the job `recurate` over all days, then run again."
        )


def _rows_in_reach(
    curated: pl.LazyFrame, days: Sequence[str], rules: PreferenceRules, copies: pl.DataFrame | None
) -> pl.DataFrame:
    """READ columns of what may be a side of a pair, `day` as a date.

    These are the corrections and the sides of comparisons of the days, and all answers in reach to those prompts of the
    days that were answered several times.
    """
    reach = curated.filter(pl.col("day").is_in(days_in_reach(days, rules.lookback_days)))
    today = pl.col("day").is_in(list(days))
    answered = reach.group_by("prompt_id").agg(several=pl.len() > 1, today=today.any()).collect()
    asked = answered.filter(pl.col("several") & pl.col("today"))["prompt_id"].implode()
    copied = (copies["example_id"] if copies is not None else pl.Series(dtype=pl.String)).implode()
    is_side = pl.col("interaction_ids").list.eval(pl.element().str.contains(SIDE)).list.any()
    by_itself = today & (pl.col("corrected") | is_side)
    return (
        reach.filter(by_itself | pl.col("prompt_id").is_in(asked) | pl.col("example_id").is_in(copied))
        .select(
            *READ,
            faulty=pl.col("faults").list.len().fill_null(0) > 0,
            conflicting=pl.col("conflicting").fill_null(False),
            has_original=pl.col("original_answer").str.contains(r"\S").fill_null(False),
        )
        .collect()
        .with_columns(pl.col("day").str.to_date("%Y-%m-%d"))
        .sort("day", "example_id")
        .unique("example_id", keep="first", maintain_order=True)
    )


def _corrected(rows: pl.DataFrame, days: Sequence[date]) -> pl.DataFrame:
    """A candidate for each corrected answer of the days."""
    reasons = [
        pl.when(~pl.col("has_original")).then(pl.lit(NO_ORIGINAL)),
        pl.when("conflicting").then(pl.lit(CONFLICTING)),
        pl.when("faulty").then(pl.lit(FAULTY)),
    ]
    return rows.filter(pl.col("corrected") & pl.col("day").is_in(list(days))).select(
        "day",
        origin=pl.lit(CORRECTION),
        chosen_id="example_id",
        rejected_id=pl.lit(None, dtype=pl.String),
        gap=pl.lit(None, dtype=pl.Float64),
        dropped_for=pl.coalesce(reasons),
    )


def _rateable(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with `asked`, equal where scores of two answers may be compared."""
    key = pl.concat_str("prompt_id", pl.col("role").fill_null(""), "reasoning_mode", separator="\x1f")
    return rows.with_columns(asked=key)


def _fits() -> pl.Expr:
    return pl.col("dropped_for").is_null()


def _written(curated: pl.LazyFrame, reach: Sequence[str], candidates: pl.DataFrame) -> pl.DataFrame:
    """The candidates as PREFERENCE_SCHEMA, with the texts of their examples."""
    ids = pl.concat([candidates["chosen_id"], candidates["rejected_id"]]).drop_nulls().unique()
    used = (
        curated.filter(pl.col("day").is_in(list(reach)) & pl.col("example_id").is_in(ids.implode()))
        .select("day", *USED)
        .collect()
        .sort("day")
        .unique("example_id", keep="first", maintain_order=True)
        .drop("day")
    )
    rejected = used.select("example_id", theirs="messages", their_ids="interaction_ids")
    original = pl.concat_list(
        pl.struct(role=pl.lit("assistant"), content=pl.col("original_answer"), tool_calls=pl.lit(None, dtype=pl.String))
    )
    is_correction = pl.col("origin") == CORRECTION
    joined = candidates.join(used, left_on="chosen_id", right_on="example_id").join(
        rejected, left_on="rejected_id", right_on="example_id", how="left"
    )
    pairs = joined.with_columns(
        pl.col("day").dt.to_string(),
        example_ids=pl.concat_list("chosen_id", "rejected_id").list.drop_nulls(),
        interaction_ids=pl.concat_list("interaction_ids", pl.col("their_ids").fill_null([])).list.unique(
            maintain_order=True
        ),
        prompt=pl.col("messages").list.slice(0, pl.col("messages").list.len() - 1),
        chosen=pl.col("messages").list.tail(1),
        rejected=pl.when(is_correction).then(original).otherwise(pl.col("theirs").list.tail(1)).cast(pl.List(MESSAGE)),
    )
    return pairs.with_columns(pair_id=_pair_ids(pairs)).select(list(PREFERENCE_SCHEMA))


def _pair_ids(pairs: pl.DataFrame) -> pl.Series:
    """Of the prompt (by its own id), the chosen and the rejected answer, to the letter."""
    answers = [pl.col(side).list.first().struct for side in ("chosen", "rejected")]
    sides = [answer.field(part).fill_null("") for answer in answers for part in ("content", "tool_calls")]
    texts = pairs.select(pl.concat_str("prompt_id", *sides, separator="\x1f")).to_series()
    return pl.Series([hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS] for text in texts], dtype=pl.String)


def _on_first_day(pairs: pl.DataFrame, published: pl.DataFrame | None) -> pl.DataFrame:
    """Each pair once, on its first day, by the first of ORIGINS; none that another, earlier day holds."""
    rank = pl.col("origin").replace_strict(list(ORIGINS), range(len(ORIGINS)), return_dtype=pl.Int64)
    first = pairs.sort("day", "pair_id", rank).unique("pair_id", keep="first", maintain_order=True)
    if published is None or not published.height:
        return first
    earliest = published.group_by("pair_id").agg(held_on=pl.col("day").min())
    held = first.join(earliest, on="pair_id").filter(pl.col("held_on") < pl.col("day"))
    return first.join(held, on="pair_id", how="anti", maintain_order="left")


def _counts(lost: pl.DataFrame, days: Sequence[str]) -> dict[str, dict[str, int]]:
    counts = {day: Counter[str]() for day in sorted(set(days))}
    for day, reason, number in lost.group_by("day", "dropped_for").len().sort("day", "dropped_for").iter_rows():
        counts[day][reason] += number
    return {day: dict(reasons) for day, reasons in counts.items()}
