from typing import Any

import pytest

from ft_assets.dataset.preferences import PreferenceRules, Preferences, pairs_of_days
from ft_assets_tests.dataset.preference_samples import DAY, answer, said, signal, table

ASKED = "Why does the import stop?"


def pairs_of(*rows: dict[str, Any], **knobs: Any) -> Preferences:
    return pairs_of_days(table(rows), [DAY], PreferenceRules(**knobs))


def judged(text: str, source: str = "record", **scores: float) -> dict[str, Any]:
    return answer(ASKED, text, signals=[signal(f"judge:{name}", score, source) for name, score in scores.items()])


def test_the_best_and_the_worst_of_a_hundred_answers_are_one_pair() -> None:
    rows = [answer(ASKED, f"answer {number}", 1 + number * 4 / 99) for number in range(100)]
    made = pairs_of(*rows)
    assert said(made.pairs) == [("answer 99", "answer 0")] and made.pairs["gap"].to_list() == [1.0]
    three = pairs_of(*rows, most_pairs_per_prompt=3).pairs
    assert three.height == 3 and three["gap"].min() > 0.95


def test_one_star_is_enough_and_less_is_not() -> None:
    assert pairs_of(answer(ASKED, "A", 5), answer(ASKED, "B", 4)).pairs["gap"].to_list() == [0.25]
    close = pairs_of(answer(ASKED, "A", 5), answer(ASKED, "B", 4.1))
    assert close.pairs.is_empty() and close.drops == {DAY: {"gap_too_small": 1}}
    assert pairs_of(answer(ASKED, "A", 5), answer(ASKED, "B", 4.1), min_gap=0.2).pairs.height == 1


def test_the_better_of_two_bad_answers_is_no_example() -> None:
    made = pairs_of(answer(ASKED, "A", 2), answer(ASKED, "B", 1))
    assert made.pairs.is_empty() and made.drops == {DAY: {"no_answer_may_be_chosen": 1}}
    assert pairs_of(answer(ASKED, "A", 2), answer(ASKED, "B", 1), least_chosen_score=0).pairs.height == 1


@pytest.mark.parametrize(
    "rows",
    [
        (answer(ASKED, "A", 5), judged("B", accuracy=0.1)),
        (judged("A", accuracy=0.9), judged("B", clarity=0.1)),
        (judged("A", accuracy=0.9, clarity=0.9), judged("B", accuracy=0.1)),
        (judged("A", "judge one", accuracy=0.9), judged("B", "judge two", accuracy=0.1)),
        (judged("A", accuracy=0.9), judged("B", accuracy=0.1) | {"source": "another log"}),
        (judged("A", "judge, not trusted", accuracy=0.9), judged("B", "judge, not trusted", accuracy=0.1)),
        (answer(ASKED, "A", 5), answer(ASKED, "B", signals=[signal("correction", 0.0, "expert")])),
        (answer(ASKED, "A", 5), answer(ASKED, "B")),
    ],
)
def test_scores_of_different_kinds_are_not_compared(rows: tuple[dict[str, Any], ...]) -> None:
    made = pairs_of(*rows)
    assert made.pairs.is_empty() and made.drops == {DAY: {}}


@pytest.mark.parametrize(
    "rows",
    [
        (judged("A", "judge one", accuracy=0.9, clarity=0.8), judged("B", "judge one", clarity=0.2, accuracy=0.1)),
        (judged("A", accuracy=0.9), judged("B", accuracy=0.1)),
        (
            answer(ASKED, "A", signals=[signal("expert_verdict", 1.0, "expert")]),
            answer(ASKED, "B", signals=[signal("expert_verdict", 0.0, "expert")]),
        ),
        # the judge that is not trusted loves the worse one
        (
            answer(ASKED, "A", signals=[signal("rating", 5), signal("judge:x", 0.1, "judge, not trusted")]),
            answer(ASKED, "B", signals=[signal("rating", 1), signal("judge:x", 0.9, "judge, not trusted")]),
        ),
    ],
)
def test_scores_of_the_same_kind_are_compared(rows: tuple[dict[str, Any], ...]) -> None:
    assert said(pairs_of(*rows).pairs) == [("A", "B")]


def test_signals_that_disagree_about_two_answers_make_no_pair_of_them() -> None:
    liked = answer(ASKED, "A", signals=[signal("rating", 5), signal("judge:x", 0.5, "j")])
    better = answer(ASKED, "B", signals=[signal("rating", 1), signal("judge:x", 0.6, "j")])
    made = pairs_of(liked, better)
    assert made.pairs.is_empty() and made.drops == {DAY: {"scores_disagree": 1}}
    assert said(pairs_of(liked, better, answer(ASKED, "C", 2)).pairs) == [("A", "C")]


def test_the_gap_is_the_mean_over_what_both_have() -> None:
    one = answer(ASKED, "A", signals=[signal("rating", 5), signal("judge:x", 0.9, "j")])
    other = answer(ASKED, "B", signals=[signal("rating", 3), signal("judge:x", 0.8, "j")])
    assert pairs_of(one, other).pairs["gap"].to_list() == [0.3]


def test_an_answer_that_an_expert_rejected_is_never_chosen() -> None:
    liked = answer(ASKED, "A", signals=[signal("rating", 5), signal("expert_verdict", 0.0, "expert")])
    assert pairs_of(liked, answer(ASKED, "B", 1)).drops == {DAY: {"no_answer_may_be_chosen": 1}}


def test_answers_with_faults_are_rejected_sides_only_and_those_in_doubt_are_neither() -> None:
    refusal = answer(ASKED, "I cannot help.", 5, faults=["refusal"])
    rows = (refusal, answer(ASKED, "B", 4), answer(ASKED, "C", 1, conflicting=True), answer(ASKED, "D", 2))
    assert said(pairs_of(*rows).pairs) == [("B", "D")]
    bad = answer(ASKED, "I cannot help.", 1, faults=["refusal"])
    assert said(pairs_of(bad, answer(ASKED, "B", 4)).pairs) == [("B", "I cannot help.")]
    doubt = pairs_of(answer(ASKED, "A", 5), answer(ASKED, "B", 1, conflicting=True))
    assert doubt.pairs.is_empty() and doubt.drops == {DAY: {"conflicting_votes": 1}}


@pytest.mark.parametrize(
    "differs",
    [{"system": "Answer briefly."}, {"role": "product-manager"}, {"reasoning_mode": "agent"}, {"role": None}],
)
def test_answers_under_another_system_turn_role_or_mode_are_not_compared(differs: dict[str, Any]) -> None:
    made = pairs_of(answer(ASKED, "A", 5), answer(ASKED, "B", 1, **differs))
    assert made.pairs.is_empty() and made.drops == {DAY: {}}


def test_a_prompt_that_is_asked_every_day_gets_a_new_pair_only_for_a_new_best_or_worst() -> None:
    days = [f"2026-03-{day:02d}" for day in range(1, 11)]
    ratings = (3, 4, 4, 5, 5, 4, 1, 5, 1, 4)
    rows = [answer(ASKED, day, rating, day=day) for day, rating in zip(days, ratings, strict=True)]
    made = pairs_of_days(table(rows), days).pairs.sort("day")
    assert made.select("day", "gap").rows() == [("2026-03-02", 0.25), ("2026-03-04", 0.5), ("2026-03-07", 1.0)]
