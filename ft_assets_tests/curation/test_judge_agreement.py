import numpy as np
import polars as pl
import pytest

from ft_assets.curation.judge_agreement import Kappa, agreement, cohens_kappa, labels, may_label, verdicts
from ft_assets.judge_prompt import CRITERIA
from ft_assets.judge_rules import JudgeRules

RULES = JudgeRules()


def decided(judge: list[bool], people: list[bool], rules: JudgeRules = RULES) -> tuple[bool, float | None, str]:
    names = [f"i{number}" for number in range(len(judge))]
    said = pl.DataFrame({"interaction_id": names, "content_id": names, "good": judge})
    found = agreement(said, pl.DataFrame({"interaction_id": names, "good": people}), rules)
    return found.may_decide, found.kappa, found.reason


def test_kappa_is_what_the_paper_defines() -> None:
    found = cohens_kappa(20, 5, 10, 15)  # the usual textbook table: 70 % seen, 50 % by chance
    assert found.kappa == pytest.approx(0.4)
    assert found.low is not None and found.high is not None
    assert (found.low, found.high) == pytest.approx((0.1510, 0.6490), abs=1e-3)


def test_the_interval_holds_the_true_kappa_19_times_of_20() -> None:
    draw = np.random.default_rng(7)
    shares = np.array([0.5, 0.15, 0.1, 0.25])
    by_chance = 0.65 * 0.6 + 0.35 * 0.4
    true = (0.75 - by_chance) / (1 - by_chance)
    intervals = [cohens_kappa(*cells) for cells in draw.multinomial(200, shares, size=1000).tolist()]
    held = np.mean([low <= true <= high for _, low, high in intervals if low is not None and high is not None])
    assert 0.93 < held < 0.97


def test_kappa_of_judges_that_always_say_the_same() -> None:
    assert cohens_kappa(0, 0, 0, 0) == Kappa(None, None, None)
    assert cohens_kappa(30, 0, 0, 0) == Kappa(None, None, None)
    assert cohens_kappa(30, 20, 0, 0).kappa == pytest.approx(0)
    assert cohens_kappa(0, 25, 25, 0).kappa == pytest.approx(-1)
    assert cohens_kappa(25, 0, 0, 25) == Kappa(1.0, 1.0, 1.0)


def test_a_judge_that_agrees_with_people_may_decide() -> None:
    people = [number % 3 > 0 for number in range(90)]
    may_decide, kappa, reason = decided(people[:80] + [not each for each in people[80:]], people)
    assert may_decide and kappa is not None and 0.7 < kappa < 0.8
    assert reason == f"kappa {kappa:.2f} on 90 labelled answers is at least 0.4"


@pytest.mark.parametrize("lie", ["praises everything", "condemns everything", "says the opposite", "draws lots"])
def test_a_judge_that_lies_may_not_decide(lie: str) -> None:
    draw = np.random.default_rng(3)
    people = [number % 3 > 0 for number in range(120)]
    said = {
        "praises everything": [True] * 120,
        "condemns everything": [False] * 120,
        "says the opposite": [not each for each in people],
        "draws lots": draw.random(120) < 0.7,
    }[lie]
    may_decide, kappa, reason = decided(list(map(bool, said)), people)
    assert not may_decide and kappa is not None and kappa < 0.2
    assert "below 0.4" in reason


def test_too_few_labels_or_labels_of_one_kind_prove_nothing_against_a_judge() -> None:
    for people in ([True, False] * 10, [True] * 200, [True] * 196 + [False] * 4):
        judge = [number % 2 == 0 for number in range(len(people))]
        may_decide, _, reason = decided(judge, people)
        assert may_decide and reason.startswith("agreement is not measured: people called")
        assert decided(judge, people, JudgeRules(unmeasured_may_decide=False))[0] is False


def test_a_text_counts_once_with_what_most_people_said() -> None:
    said = pl.DataFrame({"interaction_id": list("abcd"), "content_id": ["x", "x", "x", "y"], "good": [True] * 4})
    people = pl.DataFrame({"interaction_id": list("abcd"), "good": [True, True, False, False]})
    assert agreement(said, people, RULES).labelled == 2
    drawn = people.with_columns(good=pl.Series([True, False, None, False])).drop_nulls()
    assert agreement(said, drawn, RULES).labelled == 1


def test_what_counts_as_a_label() -> None:
    raw = pl.DataFrame(
        {
            "interaction_id": list("abcdefgh"),
            "rating": [4.0, 3.9, 5.0, 1.0, 5.0, 5.0, None, 5.0],
            "expert_verdict": [None, None, "reject", "accept", "accept", None, None, None],
            "corrected_output": [None, None, None, None, "better", "better", None, None],
            "conflicting": [False] * 7 + [True],
        },
        schema_overrides={"expert_verdict": pl.String, "corrected_output": pl.String},
    )
    expected = {"a": True, "b": False, "c": False, "d": True, "e": False, "f": False}
    assert dict(labels(raw, 4.0).iter_rows()) == expected


def test_no_user_gives_more_labels_than_allowed() -> None:
    rows = [("flood", f"i{number:04}", "rating") for number in range(1000)]
    rows += [(" FLOOD", "i0000", "rating"), ("flood", "i2000", "verdict"), (None, "i3000", "rating")]
    said = pl.DataFrame(rows, schema=["user_id", "interaction_id", "kind"], orient="row")
    kept = said.filter(may_label(pl.col("kind") == "rating", 20))
    assert kept.filter(pl.col("kind") == "rating", pl.col("user_id").is_not_null()).height == 21
    assert kept["interaction_id"].n_unique() == 22


def test_a_verdict_needs_every_criterion_and_a_mean_above_the_bound() -> None:
    rows = [(name, criterion, score) for name, score in (("a", 0.75), ("b", 1.0)) for criterion in CRITERIA]
    rows += [("c", "clarity", 1.0)]
    scores = pl.DataFrame(rows, schema=["interaction_id", "criterion", "score"], orient="row")
    scores = scores.with_columns(content_id="interaction_id", status=pl.lit("scored"))
    assert verdicts(scores.lazy(), 0.8).rows() == [("a", "a", False), ("b", "b", True)]
