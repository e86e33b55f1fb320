"""From raw interactions to examples: compose the turns, normalise, mask, test the structure, score, drop duplicates."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from ft_assets.curation.compose import compose_turns
from ft_assets.curation.identity import cluster_id, example_id, prompt_id, pseudonym
from ft_assets.curation.normalise import normalise_text
from ft_assets.curation.pii import Masker, still_secret
from ft_assets.curation.rules import Candidate, CurationRules, first_broken_rule
from ft_assets.curation.schema import CURATED_SCHEMA
from ft_assets.curation.signals import Score, score_correction, score_signals
from ft_assets.records import Message, Rejection

MASKED_LABELS = ("role", "task_type", "domain", "source", "source_kind", "model_version", "difficulty")


@dataclass(frozen=True)
class Curated:
    """What curation made of some days.

    `counts_by_day`, for each day of the input: rows (= examples + rejected), examples, high_score, corrected, rejected,
    rejected_by_rule, low_score (by the kind of signal that failed), masked (replacements by kind).
    """

    examples: pl.DataFrame
    rejections: list[Rejection]
    counts_by_day: dict[str, dict[str, Any]]


@dataclass
class _Day:
    """The counts of a day while it is curated."""

    rows: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    low_score: Counter[str] = field(default_factory=Counter)
    masked: Counter[str] = field(default_factory=Counter)
    examples: int = 0
    high_score: int = 0
    corrected: int = 0

    def as_counts(self) -> dict[str, Any]:
        """The same with plain dictionaries, and the sum of the rejections."""
        counts = {**vars(self), "rejected": self.rejected.total(), "rejected_by_rule": dict(self.rejected)}
        return counts | {"low_score": dict(self.low_score), "masked": dict(self.masked)}


def curate(raw: pl.DataFrame, earlier: pl.DataFrame | None = None, rules: CurationRules | None = None) -> Curated:
    """The examples of the days in `raw` (RAW_SCHEMA), with CURATED_SCHEMA, and a rejection for every other row.

    `earlier` holds example_id and day of the examples that other days have already; its rows of the days in `raw` do
    not count, because those are made anew. An exact duplicate is rejected: the first row stays, and takes the
    interaction ids of its later copies of the same day. Many days at once give the same as one day after the other.
    """
    rules = rules or CurationRules()
    days = {day: _Day() for day in sorted(raw["day"].unique())}
    held = _held_by_other_days(earlier, days)
    kept: dict[str, dict[str, Any]] = {}
    rejections: list[Rejection] = []
    for row in raw.sort("day", "source_file", "source_line", maintain_order=True).iter_rows(named=True):
        day = days[row["day"]]
        day.rows += 1
        example, score = _example(row, rules)
        broken = first_broken_rule(Candidate(tuple(example["messages"]), example["task_type"]), rules)
        broken = broken or _duplicate(example, row, kept, held)
        if broken:
            rule, reason = broken
            place = f"{row['source_file']}:{row['source_line']}"
            rejections.append(Rejection(stage="curation", day=row["day"], place=place, rule=rule, reason=reason))
            day.rejected[rule] += 1
            continue
        kept[example["example_id"]] = {**example, "place": f"{row['source_file']}:{row['source_line']}"}
        day.examples += 1
        day.high_score += score.high_score
        day.corrected += example["corrected"]
        day.low_score.update(score.low_score_kinds)
        day.masked.update({each["kind"]: each["count"] for each in example["masked"]})
    return Curated(_frame(kept), rejections, {name: day.as_counts() for name, day in days.items()})


def _held_by_other_days(earlier: pl.DataFrame | None, days: Mapping[str, _Day]) -> dict[str, str]:
    if earlier is None:
        return {}
    pairs = earlier.select("example_id", "day").iter_rows()
    return {example: day for example, day in pairs if day not in days}


def _example(row: Mapping[str, Any], rules: CurationRules) -> tuple[dict[str, Any], Score]:
    """The columns of an example, masked, and its score. Whether it may stay is not decided here."""
    composed, corrected = compose_turns(row)
    score = score_correction() if corrected else score_signals(row, rules)
    masker = Masker()
    for turn in composed:
        masker.reserve(turn.content)
    messages = [_masked(turn, masker) for turn in composed]
    labels = {name: masker.mask(row[name]) if row[name] else None for name in MASKED_LABELS}
    example = labels | {
        "example_id": example_id(messages),
        "interaction_ids": [row["interaction_id"]],
        "day": row["day"],
        "timestamp": row["timestamp"],
        "user_id": _without_personal_data(row["user_id"]),
        "conversation_id": _without_personal_data(row["conversation_id"]),
        "reasoning_mode": row["reasoning_mode"],
        "prompt_id": prompt_id(messages),
        "messages": messages,
        "high_score": score.high_score,
        "quality_score": score.quality_score,
        "signals": [asdict(signal) | {"name": masker.mask(signal.name)} for signal in score.signals],
        "human_verified": score.human_verified,
        "corrected": corrected,
        "tags": [masker.mask(tag) for tag in row["tags"] or []],
        "cluster_id": cluster_id(messages, row["conversation_id"]),
        "low_score_reason": score.low_score_reason,
    }
    example["masked"] = [{"kind": kind, "count": count} for kind, count in sorted(masker.counts.items())]
    return example, score


def _masked(turn: Message, masker: Masker) -> Message:
    calls = masker.mask_json(turn.tool_calls) if turn.tool_calls else None
    return Message(role=turn.role, content=masker.mask(normalise_text(turn.content)), tool_calls=calls)


def _without_personal_data(name: str | None) -> str | None:
    """An id as it is, unless it is an e-mail address or the like: then a stable pseudonym."""
    return pseudonym(name) if name and still_secret(name) else name


def _duplicate(
    example: Mapping[str, Any], row: Mapping[str, Any], kept: dict[str, dict[str, Any]], held: Mapping[str, str]
) -> tuple[str, str] | None:
    """The rule and reason for an exact duplicate; the first one of the same day takes the interaction id."""
    first = kept.get(example["example_id"])
    if first is None:
        day = held.get(example["example_id"])
        return ("exact_duplicate", f"the same masked turns are an example of {day} already") if day else None
    if first["day"] == row["day"]:
        first["interaction_ids"].append(row["interaction_id"])
    return "exact_duplicate", f"the same masked turns stand at {first['place']} of {first['day']}"


def _frame(kept: Mapping[str, dict[str, Any]]) -> pl.DataFrame:
    rows = [
        {
            **{name: example[name] for name in CURATED_SCHEMA},
            "messages": [turn.model_dump() for turn in example["messages"]],
        }
        for example in kept.values()
    ]
    return pl.DataFrame(rows, schema=CURATED_SCHEMA)
