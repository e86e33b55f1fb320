"""From raw interactions to examples: what each row is by itself (`prepare`), and what it is beside all the others."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from ft_assets.curation.duplicates import COPIES, clustered, without_exact_duplicates
from ft_assets.curation.feedback import with_feedback
from ft_assets.curation.judge_signals import with_judge
from ft_assets.curation.prepare import prepare
from ft_assets.curation.rules import CurationRules, refuse_invalid
from ft_assets.curation.schema import CURATED_SCHEMA
from ft_assets.curation.segment import Segment
from ft_assets.curation.signals import kinds_of
from ft_assets.rejections_schema import REJECTION_SCHEMA


@dataclass(frozen=True)
class Curated:
    """What curation made of some days.

    `counts_by_day`, for each day of the input: rows (= examples + rejected), examples, high_score, corrected, rejected,
    rejected_by_rule, low_score (by the kind of signal that failed), masked (replacements by kind).
    `segments`: what the index of duplicates keeps of each day, once its examples are in the table.
    """

    examples: pl.DataFrame
    rejections: pl.DataFrame
    counts_by_day: dict[str, dict[str, Any]]
    segments: dict[str, Segment]
    copies: pl.DataFrame


def curate(
    raw: pl.DataFrame,
    rules: CurationRules | None = None,
    history: Mapping[str, Segment] | None = None,
    published: pl.DataFrame | None = None,
    feedback: pl.DataFrame | None = None,
    count_tokens: Callable[[pl.Series], pl.Series] | None = None,
    judged: tuple[pl.DataFrame, pl.DataFrame] | None = None,
) -> Curated:
    """The examples of the days in `raw` (RAW_SCHEMA), with CURATED_SCHEMA, and a rejection for every other row.

    `history` holds the segments of published days; a day's own segment does not count, because the day is made anew.
    `published` are the rows that these days have in the table now: they keep their clusters, groups and token counts.
    `feedback` is everything that was said later, `judged` the days' rows of judge_scores and of judge_agreement.
    `count_tokens` counts each text's tokens; without it they are null.
    A day is compared with all other published days, whenever those were made, and then takes their place in `history`:
    many days at once give the same as one day after the other.

    Raises:
        BadInput: a validator of the rules refuses a day.
    """
    rules = rules or CurationRules()
    days = raw["day"].unique().sort().to_list()
    raw = raw if raw["day"].is_sorted() else raw.sort("day", maintain_order=True)
    raw = with_feedback(raw, feedback, rules.min_rating)
    raw = with_judge(raw, *(judged or (pl.DataFrame(), pl.DataFrame())))
    prepared = prepare(raw, rules)
    segments: dict[str, Segment] = {}
    examples, rejections = [pl.DataFrame(schema=CURATED_SCHEMA)], [prepared.rejections]
    elsewhere = [pl.DataFrame(schema=COPIES)]
    candidates = prepared.candidates.partition_by("day", as_dict=True, maintain_order=True)
    for day in days:
        others = {name: segment for name, segment in {**(history or {}), **segments}.items() if name != day}
        rows = candidates.get((day,), prepared.candidates.clear())
        unique, copies, copied = without_exact_duplicates(rows, others)
        elsewhere.append(copied)
        its_examples, segments[day] = clustered(unique, others, _published(published, day))
        examples.append(_counted(its_examples, published, count_tokens).select(list(CURATED_SCHEMA)))
        rejections.append(copies.select(list(REJECTION_SCHEMA)))
    made = pl.concat(examples), pl.concat(rejections).sort("day", maintain_order=True)
    counts = counts_by_day(raw, *made)
    refuse_invalid(counts, rules)
    return Curated(*made, counts, segments, pl.concat(elsewhere))


def counts_by_day(raw: pl.DataFrame, examples: pl.DataFrame, rejections: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """The counts of `Curated` for each day of `raw`."""
    rows = dict(raw.group_by("day").len().iter_rows())
    kinds = examples.select("day", kind=kinds_of(pl.col("low_score_reason"))).explode("kind").drop_nulls()
    masked = examples.select("day", "masked").explode("masked").drop_nulls().unnest("masked")
    sums = dict.fromkeys(rows, (0, 0, 0)) | {
        day: tuple(values)
        for day, *values in examples.group_by("day")
        .agg(pl.len(), pl.col("high_score").sum(), pl.col("corrected").sum())
        .iter_rows()
    }
    by_rule, by_kind, by_mask = (
        _tallies(frame) for frame in (rejections.select("day", "rule"), kinds, masked.select("day", "kind", "count"))
    )
    return {
        day: {
            "rows": rows[day],
            "examples": sums[day][0],
            "high_score": sums[day][1],
            "corrected": sums[day][2],
            "rejected": by_rule[day].total(),
            "rejected_by_rule": dict(by_rule[day]),
            "low_score": dict(by_kind[day]),
            "masked": dict(by_mask[day]),
        }
        for day in sorted(rows)
    }


def _tallies(frame: pl.DataFrame) -> dict[str, Counter[str]]:
    """Day to name to number, from day and name, and a count where there is one."""
    day, name, *count = frame.columns
    number = pl.col(count[0]).sum() if count else pl.len()
    tallies: dict[str, Counter[str]] = {}
    for its_day, its_name, times in frame.group_by(day, name).agg(number.alias("n")).sort(day, name).iter_rows():
        tallies.setdefault(its_day, Counter())[its_name] = times
    return _OrEmpty(tallies)


class _OrEmpty(dict[str, Counter[str]]):
    def __missing__(self, _: str) -> Counter[str]:
        return Counter()


def _published(published: pl.DataFrame | None, day: str) -> pl.DataFrame | None:
    return None if published is None else published.filter(pl.col("day") == day)


def _counted(
    examples: pl.DataFrame, published: pl.DataFrame | None, count_tokens: Callable[[pl.Series], pl.Series] | None
) -> pl.DataFrame:
    """The examples with n_tokens: the number that a published row has already, a new count for a new row."""
    known = pl.Series("n_tokens", [None] * examples.height, dtype=pl.Int64)
    if published is not None and published.height:
        known = examples.join(
            published.select("example_id", "n_tokens").unique("example_id"),
            on="example_id",
            how="left",
            maintain_order="left",
        )["n_tokens"]
    new = known.is_null().arg_true()
    if count_tokens is None or not len(new):
        return examples.with_columns(known)
    contents = pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\n")
    texts = examples[new].select(contents)["messages"]
    return examples.with_columns(known.scatter(new, count_tokens(texts)))
