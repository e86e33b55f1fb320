"""From ratings, judge scores and verdicts to one answer: is this example a good one, and if not, why not."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ft_assets.curation.rules import CurationRules


@dataclass(frozen=True)
class Signal:
    """One piece of evidence: its raw value on its own scale, and who gave it."""

    name: str
    value: float
    source: str  # user, record (a judge's score that came with the record), expert


@dataclass(frozen=True)
class Score:
    """What the signals say together. `quality_score` is their mean in 0..1; None without any."""

    high_score: bool
    quality_score: float | None
    signals: list[Signal]
    low_score_reason: str | None
    human_verified: bool
    low_score_kinds: tuple[str, ...] = ()  # the same reason without its numbers, to count by


def score_correction() -> Score:
    """The score of an answer that an expert wrote: signals about the answer it replaces do not apply to it."""
    return Score(True, 1.0, [Signal("correction", 1.0, "expert")], None, human_verified=True)


def score_signals(row: Mapping[str, Any], rules: CurationRules) -> Score:
    """The score by SPEC 13: every signal that is present must pass, and at least one must be present.

    `row` holds rating (1..5), judge (a list of {criterion, score 0..1}) and expert_verdict (accept, reject or null).
    """
    signals: list[Signal] = []
    normalised: list[float] = []
    failed: dict[str, str] = {}
    if row["rating"] is not None:
        signals.append(Signal("rating", row["rating"], "user"))
        normalised.append((row["rating"] - 1) / 4)
        if row["rating"] < rules.min_rating:
            failed["rating"] = f"rating {row['rating']:g} of 5"
    if row["judge"]:
        signals += [Signal(f"judge:{each['criterion']}", each["score"], "record") for each in row["judge"]]
        mean = round(fmean(each["score"] for each in row["judge"]), 9)  # three times 0.8 must not be above 0.8
        normalised.append(mean)
        if mean <= rules.min_judge_mean:
            failed["judge"] = f"judge mean {mean:.4g}"
    verdict = row["expert_verdict"]
    if verdict is not None:
        signals.append(Signal("expert_verdict", float(verdict == "accept"), "expert"))
        normalised.append(float(verdict == "accept"))
        if verdict == "reject":
            failed["expert"] = "expert rejected"
    if not signals:
        return Score(False, None, [], "no signal", human_verified=False, low_score_kinds=("no signal",))
    quality = round(fmean(normalised), 9)
    reason = "; ".join(failed.values()) or None
    return Score(not failed, quality, signals, reason, verdict == "accept", tuple(failed))
