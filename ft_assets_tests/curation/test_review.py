from typing import Any

import polars as pl
import pytest

from ft_assets.curation.review import REASONS, ReviewRules, review_queue, with_texts
from ft_assets.curation.rules import CurationRules
from ft_assets.curation.schema import CURATED_SCHEMA

BARS = CurationRules()
OLD = {"day": "2026-01-01"}  # its cluster is not new beside NEWEST
NEWEST = "2026-03-01"


def row(name: str, rating: float | None = 5.0, judge: float | None = None, **more: Any) -> dict[str, Any]:
    signals = [{"name": "rating", "value": float(rating), "source": "user"}] if rating is not None else []
    signals += [{"name": "judge:clarity", "value": judge, "source": "judge"}] if judge is not None else []
    known = [value for value in ((rating - 1) / 4 if rating else None, judge) if value is not None]
    turns = [("user", f"Question {name}"), ("assistant", f"Answer {name}")]
    return {
        "example_id": name,
        "interaction_ids": [f"log-{name}", f"copy-{name}"],
        "user_id": f"user-{name}",
        "cluster_id": f"cluster-{name}",
        "messages": [{"role": role, "content": text, "tool_calls": None} for role, text in turns],
        "quality_score": sum(known) / len(known) if known else None,
        "signals": signals,
        "human_verified": False,
        "corrected": False,
        "conflicting": False,
        **OLD,
        **more,
    }


def table(*rows: dict[str, Any]) -> pl.LazyFrame:
    anchor = row("anchor", day=NEWEST, cluster_id="cluster-anchor", human_verified=True)
    return pl.DataFrame([*rows, anchor], schema={**CURATED_SCHEMA, "conflicting": pl.Boolean}).lazy()


def listed(*rows: dict[str, Any], **rules: Any) -> dict[str, list[str]]:
    queue = review_queue(table(*rows), ReviewRules(**rules), BARS)
    assert queue["priority"].to_list() == list(range(1, queue.height + 1))
    return dict(queue.select("example_id", "reasons").iter_rows())


@pytest.mark.parametrize(
    ("values", "reasons"),
    [
        (row("a"), []),
        (row("a", conflicting=True), ["conflicting votes"]),
        (row("a", rating=5, judge=0.7), ["rating against judge"]),
        (row("a", rating=5, judge=0.4), ["rating against judge", "judge far from people"]),
        (row("a", rating=1, judge=0.95), ["rating against judge", "judge far from people"]),
        (row("a", rating=4, judge=None), ["borderline score"]),
        (row("a", rating=None, judge=0.79), ["borderline score"]),
        (row("a", rating=None, judge=None), []),
        (row("a", day="2026-02-23"), ["new cluster"]),
        (row("a", day="2026-02-22"), []),
        (row("a", rating=4, human_verified=True), []),
        (row("a", rating=4, corrected=True), []),
        (row("a", signals=[{"name": "expert_verdict", "value": 0.0, "source": "expert"}], quality_score=0.75), []),
        (row("a", human_verified=True, conflicting=True), ["conflicting votes"]),
    ],
)
def test_a_row_is_listed_for_what_makes_it_worth_a_look(values: dict[str, Any], reasons: list[str]) -> None:
    assert listed(values) == ({"a": reasons} if reasons else {})


def test_scores_of_a_judge_that_is_not_trusted_are_worth_a_look_and_move_no_bar() -> None:
    signals = [
        {"name": "rating", "value": 4.0, "source": "user"},
        {"name": "judge:clarity", "value": 0.1, "source": "judge, not trusted"},
    ]
    assert listed(row("a", signals=signals, quality_score=0.75)) == {
        "a": ["rating against judge", "judge far from people", "borderline score"]
    }


def test_only_the_first_row_of_a_new_cluster_is_listed_and_a_cluster_that_has_older_rows_is_not_new() -> None:
    rows = [row(name, cluster_id="c", day=f"2026-02-2{day}") for name, day in (("b", 5), ("a", 6), ("c", 6))]
    assert listed(*rows, most_per_cluster=9) == {"b": ["new cluster"]}
    assert listed(*rows, row("z", cluster_id="c")) == {}


def test_reasons_take_turns_so_that_a_flood_of_one_does_not_hide_the_others() -> None:
    flood = [row(f"f{n:03d}", conflicting=True) for n in range(100)]
    others = [row("against", judge=0.7), row("edge", rating=4), row("new", day=NEWEST)]
    assert list(listed(*flood, *others, size=6)) == ["f000", "against", "edge", "new", "f001", "f002"]


def test_the_strongest_case_of_a_reason_goes_first() -> None:
    apart = [row("mild", judge=0.6), row("wild", judge=0.51)]
    assert list(listed(*apart)) == ["wild", "mild"]
    near = [row("near", rating=None, judge=0.79), row("at", rating=None, judge=0.8)]
    assert list(listed(*near)) == ["at", "near"]


def test_few_rows_are_of_one_cluster_or_user_and_rows_of_nobody_are_not_one_users() -> None:
    same = [row(f"a{n}", conflicting=True, user_id=(" U", "u")[n % 2]) for n in range(9)]
    nobody = [row(f"b{n}", conflicting=True, user_id=None) for n in range(9)]
    cluster = [row(f"c{n}", conflicting=True, cluster_id="one") for n in range(9)]
    found = "".join(name[0] for name in listed(*same, *nobody, *cluster))
    assert {name: found.count(name) for name in "abc"} == {"a": 5, "b": 9, "c": 1}


def test_the_same_table_gives_the_same_queue_whatever_its_order() -> None:
    rows = [row(f"r{n:02d}", judge=n % 10 / 10, day=f"2026-02-{n % 28 + 1:02d}") for n in range(60)]
    first = review_queue(table(*rows), ReviewRules(size=30), BARS)
    for seed in (1, 2):
        shuffled = table(*rows).collect().sample(fraction=1, shuffle=True, seed=seed).lazy()
        assert review_queue(shuffled, ReviewRules(size=30), BARS).equals(first)
    assert set(first["reasons"].explode()) <= set(REASONS)


def test_a_table_from_before_votes_could_conflict_or_without_rows_gives_a_queue() -> None:
    assert review_queue(table(row("a", rating=4)).drop("conflicting"), ReviewRules(), BARS).height == 1
    assert review_queue(table().filter(pl.lit(False)), ReviewRules(), BARS).height == 0


def test_a_person_reads_the_question_the_answer_and_which_answer_it_is() -> None:
    turns = [
        {"role": "system", "content": "Be kind.", "tool_calls": None},
        {"role": "user", "content": "Weather?", "tool_calls": None},
        {"role": "assistant", "content": "", "tool_calls": '[{"name": "look"}]'},
    ]
    rows = table(row("a", rating=4), row("b", conflicting=True, messages=turns))
    told = with_texts(review_queue(rows, ReviewRules(), BARS), rows)
    assert told.select("interaction_id", "question", "answer").rows() == [
        ("log-b", "system: Be kind.\n\nuser: Weather?", '[{"name": "look"}]'),
        ("log-a", "Question a", "Answer a"),
    ]
