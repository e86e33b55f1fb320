from datetime import UTC, datetime
from typing import Any

import polars as pl

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


def test_feedback_wins_over_what_came_with_the_record_and_touches_nothing_else() -> None:
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
        (2.0, "reject", "Better.", '{"solved": false}'),
        (5.0, "accept", None, None),
    ]
    assert changed.schema == rows.schema
    assert with_feedback(rows, feedback()).equals(rows)


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
