from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from ft_assets.curation.feedback import feedback_stamps, with_feedback
from ft_assets.ingest.schema import FEEDBACK_SCHEMA, RAW_SCHEMA


def raw(*ids: str, **more: Any) -> pl.DataFrame:
    rows = [{"interaction_id": name, "day": "2026-01-05", **more} for name in ids]
    return pl.DataFrame(rows, schema={name: RAW_SCHEMA[name] for name in RAW_SCHEMA})


def said(
    name: str, kind: str, value: str, day: str = "2026-01-09", user: str | None = "u", line: int = 1, **more: Any
) -> dict[str, Any]:
    return {
        "interaction_id": name,
        "kind": kind,
        "value": value,
        "day": day,
        "user_id": user,
        "source_file": "f",
        "source_line": line,
        **more,
    }


def feedback(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=FEEDBACK_SCHEMA)


def test_feedback_is_laid_over_what_came_with_the_record_and_touches_nothing_else() -> None:
    rows = raw("a", "b", rating=5.0, expert_verdict="accept")
    changed = with_feedback(
        rows,
        feedback(
            said("a", "rating", "2"),
            said("a", "verdict", "reject"),
            said("a", "correction", "Better."),
            said("a", "outcome", '{"solved": false}'),
            said("unknown", "rating", "1"),
        ),
    )
    assert changed.select("rating", "expert_verdict", "corrected_output", "outcome").rows() == [
        (3.5, "reject", "Better.", '{"solved": false}'),  # two votes; of the others the later word
        (5.0, "accept", None, None),
    ]
    assert changed.schema == {**rows.schema, "conflicting": pl.Boolean}
    for nothing in (feedback(), None):
        assert with_feedback(rows, nothing).equals(rows.with_columns(conflicting=pl.lit(False)))


def test_the_latest_word_of_each_user_counts_and_several_users_are_averaged() -> None:
    early, late = datetime(2026, 1, 6, tzinfo=UTC), datetime(2026, 1, 7, tzinfo=UTC)
    changed = with_feedback(
        raw("a"),
        feedback(
            said("a", "rating", "1", timestamp=late, line=1),
            said("a", "rating", "5", timestamp=early, line=2),
            said("a", "rating", "4", user="other", line=3),
            said("a", "verdict", "accept", day="2026-01-08"),
            said("a", "verdict", "reject", day="2026-01-10", user="boss"),
        ),
    )
    assert changed.select("rating", "expert_verdict").row(0) == (2.5, "reject")


def told(row: dict[str, Any], *rows: dict[str, Any]) -> tuple[float | None, bool]:
    """Rating and `conflicting` of answer "a", which came with `row` in its record."""
    return with_feedback(raw("a", **row), feedback(*rows)).select("rating", "conflicting").row(0)


def test_a_rating_in_the_record_is_its_users_vote_and_another_users_does_not_erase_it() -> None:
    mine = {"rating": 5.0, "user_id": "u"}
    assert told(mine, said("a", "rating", "4")) == (4.0, False)
    assert told(mine, said("a", "rating", "4", user="other")) == (4.5, False)
    assert told(mine, said("a", "rating", "4", user=" U ")) == (4.0, False)
    assert told({"rating": 5.0}, said("a", "rating", "3", user=None)) == (3.0, False)


def test_a_thousand_votes_of_one_user_are_one_and_so_are_those_without_a_name() -> None:
    ballots = [said("a", "rating", "5", user=("Stuffer", "stuffer ", "STUFFER")[n % 3], line=n) for n in range(1000)]
    unsigned = [said("a", "rating", "5", user=None, line=n) for n in range(1000)]
    honest = said("a", "rating", "1", user="honest")
    assert told({}, *ballots) == (5.0, False)
    assert told({}, honest, *ballots) == (3.0, True)
    assert told({}, honest, *unsigned) == (3.0, True)
    assert told({}, honest, *ballots, *unsigned) == ((1 + 5 + 5) / 3, True)


def test_ten_thousand_accounts_outvote_one_user_and_are_seen() -> None:
    """The mean is theirs: nothing here tells an account from a person. But one vote against them holds the answer back
    until an expert looks, and an expert outranks any number of them."""
    bots = [said("a", "rating", "5", user=f"bot {n}", line=n) for n in range(10_000)]
    rating, conflicting = told({"rating": 1.0, "user_id": "u"}, *bots)
    assert conflicting and rating is not None and rating > 4.9
    later = said("a", "verdict", "reject", user="expert", day="2026-02-01")
    assert told({"rating": 1.0, "user_id": "u"}, *bots, later) == (1.0, False)


@pytest.mark.parametrize(
    ("votes", "conflicting"),
    [(["5", "4"], False), (["5", "3.5"], False), (["5", "3"], True), (["3", "1"], False), (["4", "2", "3"], True)],
)
def test_votes_conflict_when_some_pass_some_fail_and_they_are_two_stars_apart(
    votes: list[str], conflicting: bool
) -> None:
    assert (
        told({}, *(said("a", "rating", vote, user=f"u{n}", line=n) for n, vote in enumerate(votes)))[1] is conflicting
    )


def test_the_bar_is_the_installations_own() -> None:
    votes = feedback(said("a", "rating", "5", user="x"), said("a", "rating", "3", user="y"))
    assert with_feedback(raw("a"), votes, min_rating=3.0)["conflicting"].to_list() == [False]


QUARREL = (said("a", "rating", "5", user="x"), said("a", "rating", "1", user="y"))


@pytest.mark.parametrize(
    ("more", "rating", "conflicting"),
    [
        ([], 3.0, True),
        ([said("a", "verdict", "accept", "2026-01-30", "expert")], 5.0, False),
        ([said("a", "verdict", "reject", "2026-01-30", "expert")], 1.0, False),
        ([said("a", "correction", "Better.", "2026-01-30", "expert")], 3.0, False),
        ([said("a", "verdict", "accept", "2026-01-07", "expert")], 3.0, True),  # before anybody voted
        (  # who voted before cannot reopen it by voting again, whatever the vote is now
            [said("a", "verdict", "accept", "2026-01-30", "expert"), said("a", "rating", "2", "2026-02-05", "y")],
            5.0,
            False,
        ),
    ],
)
def test_an_expert_who_speaks_after_the_conflict_began_decides_it(
    more: list[dict[str, Any]], rating: float, conflicting: bool
) -> None:
    assert told({}, *QUARREL, *more) == (rating, conflicting)


def test_a_verdict_against_ratings_that_agree_is_no_conflict() -> None:
    assert told({"rating": 5.0, "user_id": "u"}, said("a", "verdict", "reject", user="expert")) == (5.0, False)


@pytest.mark.parametrize(
    ("verdicts", "last", "conflicting"),
    [
        (["x accept", "y accept"], "accept", False),
        (["x accept", "y reject"], "reject", True),
        (["x accept", "x reject"], "reject", False),
        (["x accept", "y reject", "z accept"], "accept", False),
        (["x accept", "y reject", "x accept"], "accept", False),  # asked again, having seen the other's
        (["x accept", "y reject", "z accept", "y reject"], "reject", True),
    ],
)
def test_two_experts_who_differ_are_a_conflict_until_the_next_verdict(
    verdicts: list[str], last: str, conflicting: bool
) -> None:
    words = [
        said("a", "verdict", verdict.split()[1], f"2026-02-{day:02d}", verdict.split()[0])
        for day, verdict in enumerate(verdicts, start=1)
    ]
    changed = with_feedback(raw("a", "b"), feedback(*words))
    assert changed.select("expert_verdict", "conflicting").rows() == [(last, conflicting), (None, False)]


def test_a_record_and_its_own_user_cannot_quarrel_and_another_expert_can() -> None:
    mine = raw("a", expert_verdict="accept", user_id="u")
    for user, conflicting in (("u", False), ("expert", True)):
        assert with_feedback(mine, feedback(said("a", "verdict", "reject", user=user)))["conflicting"][0] is conflicting


def test_what_has_no_time_was_said_at_the_end_of_its_day() -> None:
    votes = [said("a", "rating", stars, user=stars, timestamp=datetime(2026, 1, 9, 15, tzinfo=UTC)) for stars in "15"]
    assert told({}, *votes, said("a", "verdict", "accept", user="expert", day="2026-01-09")) == (5.0, False)


def test_the_stamp_of_a_day_moves_with_every_word_about_its_answers_and_only_then() -> None:
    days = pl.DataFrame({"interaction_id": ["a", "b"], "day": ["2026-01-05", "2026-01-06"]})
    first = feedback_stamps(feedback(said("a", "rating", "2"), said("b", "rating", "3")), days)
    again = feedback_stamps(
        feedback(said("b", "rating", "3"), said("a", "rating", "2"), said("x", "rating", "1")), days
    )
    more = feedback_stamps(feedback(said("a", "rating", "2"), said("b", "rating", "4")), days)
    assert first == again
    assert sorted(first) == ["2026-01-05", "2026-01-06"]
    assert more["2026-01-05"] == first["2026-01-05"]
    assert more["2026-01-06"] != first["2026-01-06"]
    assert feedback_stamps(feedback(), days) == {}
