from typing import Any

import polars as pl
import pytest

from ft_assets.curation.rules import CurationRules
from ft_assets.curation.signals import kinds_of, scored
from ft_assets.ingest.schema import RAW_COLUMNS

RULES = CurationRules()


def row(
    rating: float | None = None,
    judge: list[float] | None = None,
    verdict: str | None = None,
    corrected: str | None = None,
    trusted: bool | None = None,
    faults: tuple[str, ...] = (),
    conflicting: bool = False,
) -> dict[str, Any]:
    scores = [{"criterion": f"c{number}", "score": score} for number, score in enumerate(judge or [])]
    return {
        "rating": rating,
        "judge": scores,
        "expert_verdict": verdict,
        "corrected_output": corrected,
        "judge_source": None if trusted is None else "a-judge",
        "judge_trusted": trusted,
        "faults": list(faults),
        "conflicting": conflicting,
    }


ADDED: dict[str, Any] = {
    "judge_source": pl.String,
    "judge_trusted": pl.Boolean,
    "faults": pl.List(pl.String),
    "conflicting": pl.Boolean,
}


def score(values: dict[str, Any], rules: CurationRules = RULES) -> dict[str, Any]:
    frame = pl.DataFrame([values], schema={name: (RAW_COLUMNS | ADDED)[name] for name in values})
    (judged,) = scored(frame, rules).to_dicts()
    return judged


@pytest.mark.parametrize(
    ("signals", "high_score", "reason"),
    [
        (row(rating=4), True, None),
        (row(rating=3.5), False, "rating 3.5 of 5"),
        (row(rating=2), False, "rating 2 of 5"),
        (row(judge=[0.9, 0.8]), True, None),
        (row(judge=[0.8, 0.8, 0.8]), False, "judge mean 0.8"),  # above 0.8, and three times 0.8 is not
        (row(judge=[0.61]), False, "judge mean 0.61"),
        (row(verdict="accept"), True, None),
        (row(verdict="reject"), False, "expert rejected"),
        (row(), False, "no signal"),
        (row(rating=5, judge=[0.3]), False, "judge mean 0.3"),
        (row(rating=1, judge=[0.95]), False, "rating 1 of 5"),
        (row(rating=5, judge=[0.95], verdict="reject"), False, "expert rejected"),
        (row(rating=1, judge=[0.1], verdict="reject"), False, "rating 1 of 5; judge mean 0.1; expert rejected"),
        (row(rating=5, judge=[0.95], verdict="accept"), True, None),
        (row(judge=[0.95], trusted=True), True, None),
        (row(judge=[0.1], trusted=True), False, "judge mean 0.1"),
        (row(judge=[0.95], trusted=False), False, "no signal"),
        (row(rating=5, judge=[0.1], trusted=False), True, None),
        (row(rating=5, faults=("refusal", "truncated")), False, "fault refusal, truncated"),
        (row(faults=("refusal",), verdict="accept"), True, None),  # an expert has seen it
        (row(rating=4.5, conflicting=True), False, "conflicting votes"),
        (row(verdict="accept", conflicting=True), False, "conflicting votes"),
        (row(corrected="Better.", faults=("truncated",)), True, None),
    ],
)
def test_every_present_signal_must_pass_and_one_must_be_present(
    signals: dict[str, Any], high_score: bool, reason: str | None
) -> None:
    judged = score(signals)
    assert (judged["high_score"], judged["low_score_reason"]) == (high_score, reason)


def test_raw_values_stay_beside_their_normalised_mean() -> None:
    judged = score(row(rating=4, judge=[1.0, 0.9], verdict="accept"))
    assert [tuple(signal.values()) for signal in judged["signals"]] == [
        ("rating", 4, "user"),
        ("judge:c0", 1.0, "record"),
        ("judge:c1", 0.9, "record"),
        ("expert_verdict", 1.0, "expert"),
    ]
    assert judged["quality_score"] == pytest.approx((0.75 + 0.95 + 1) / 3)
    assert score(row())["quality_score"] is None


def test_the_scores_of_a_judge_say_whether_it_may_decide_and_count_only_then() -> None:
    sources = {trusted: score(row(rating=5, judge=[0.1], trusted=trusted)) for trusted in (None, True, False)}
    assert [judged["signals"][1]["source"] for judged in sources.values()] == [
        "record",
        "judge a-judge",
        "judge, not trusted",
    ]
    assert sources[False]["quality_score"] == 1.0


def test_a_correction_passes_whatever_was_said_about_the_answer_it_replaces() -> None:
    judged = score(row(rating=1, judge=[0.1], verdict="reject", corrected="Better."))
    assert judged == {
        "high_score": True,
        "quality_score": 1.0,
        "signals": [{"name": "correction", "value": 1.0, "source": "expert"}],
        "human_verified": True,
        "corrected": True,
        "low_score_reason": None,
    }


def test_only_an_experts_approval_or_correction_is_human_verified() -> None:
    assert score(row(verdict="accept"))["human_verified"]
    assert not score(row(rating=5))["human_verified"]
    assert not score(row(verdict="reject"))["human_verified"]
    assert not score(row(verdict="accept", conflicting=True))["human_verified"]


def test_thresholds_are_the_rules_own() -> None:
    strict = CurationRules(min_rating=4.5, min_judge_mean=0.9)
    assert score(row(rating=4), strict)["low_score_reason"] == "rating 4 of 5"
    assert score(row(judge=[0.9]), strict)["low_score_reason"] == "judge mean 0.9"


def test_reasons_can_be_counted_by_their_kind() -> None:
    reasons = pl.Series(["rating 2.5 of 5; judge mean 0.3; expert rejected", "no signal", None])
    assert reasons.to_frame("why").select(kinds_of(pl.col("why")))["why"].to_list() == [
        ["rating", "judge", "expert"],
        ["no signal"],
        None,
    ]
