import dataclasses
import traceback
from typing import Any

import polars as pl
import pytest

from ft_assets.errors import BadInput, BadOutput, NotRerunnable
from ft_assets.validated import CheckedTable, Rule, a_day, between, filled, validated

DAY = "2026-01-05"
NOTES = CheckedTable(
    name="notes",
    columns=pl.Schema({"place": pl.String, "day": pl.String, "text": pl.String, "score": pl.Float64}),
    required=frozenset(("place", "day")),
    rules={"day": [a_day("day")], "text": [filled("text")], "score": [between("score", 0, 1)]},
    row_key=pl.col("place"),
    made_in="ft_assets/notes",
)


def notes(*scores: float | None, day: str = DAY, text: str = "a private remark") -> pl.DataFrame:
    rows = [{"place": f"notes.txt:{n}", "day": day, "text": text, "score": score} for n, score in enumerate(scores, 1)]
    return pl.DataFrame(rows, schema=NOTES.columns)


def refusal(frame: pl.DataFrame, table: CheckedTable = NOTES) -> str:
    with pytest.raises(BadOutput) as refused:
        validated(table, frame, [DAY])
    return str(refused.value)


def test_the_refusal_names_table_column_rule_count_three_rows_and_the_remedy() -> None:
    said = refusal(notes(2, 0.5, 3, 4, 5))
    assert said.startswith("notes would not be what its readers rely on, so nothing was written")
    assert "'score is from 0 to 1' does not hold in 4 of 5 rows, such as notes.txt:1, notes.txt:3, notes.txt:4." in said
    assert "ft_assets/notes" in said
    assert issubclass(BadOutput, NotRerunnable)


def test_no_text_of_a_row_reaches_the_error_or_its_traceback() -> None:
    with pytest.raises(BadOutput) as refused:
        validated(NOTES, notes(2), [DAY])
    assert "private" not in "".join(traceback.format_exception(refused.value))
    assert refused.value.__cause__ is None and refused.value.__context__ is None


def test_every_broken_rule_is_named_at_once() -> None:
    said = refusal(notes(2, day="2026-01-5", text=" "))
    assert all(column in said for column in ("'day is a day", "'day is one of the 1 days", "'text is not", "'score is"))


def test_columns_that_are_missing_unknown_or_of_another_type_are_named_before_the_values() -> None:
    said = refusal(notes(2).drop("text").with_columns(score=pl.lit(2), mood=pl.lit("fine")))
    assert "the column text is missing" in said
    assert "the column mood is not one of its columns" in said
    assert "the column score is Int32, not Float64" in said
    assert "does not hold" not in said


def test_null_is_allowed_only_where_the_table_does_not_require_a_value() -> None:
    assert validated(NOTES, notes(None), [DAY]).height == 1
    nameless = notes(0.5).with_columns(place=pl.lit(None, pl.String))
    assert "'place is never null' does not hold in 1 of 1 rows, such as row 0." in refusal(nameless)


def test_the_days_are_those_of_this_write() -> None:
    assert validated(NOTES, notes(1), ["2026-01-06", DAY]).height == 1
    with pytest.raises(BadOutput, match="'day is one of the 1 days being written'"):
        validated(NOTES, notes(1), ["2026-01-06"])


def test_a_rule_that_cannot_be_computed_refuses_instead_of_passing() -> None:
    broken = dataclasses.replace(NOTES, rules={"text": [Rule("is a number", pl.col("text").cast(pl.Int64) > 0)]})
    said = refusal(notes(1), broken)
    assert "whether 'text is a number' holds could not be computed" in said
    assert "private" not in said


@pytest.mark.parametrize("switch", [{"validation_enabled": False}, {"validation_depth": "SCHEMA_ONLY"}], ids=str)
def test_pandera_s_own_switches_cannot_turn_the_checks_off(switch: dict[str, Any]) -> None:
    from pandera.config import config_context

    with config_context(**switch):  # what PANDERA_VALIDATION_ENABLED and PANDERA_VALIDATION_DEPTH set
        assert "'score is" in refusal(notes(2))


def test_a_lazy_frame_is_refused_because_its_values_would_not_be_looked_at() -> None:
    with pytest.raises(BadInput, match="LazyFrame"):
        validated(NOTES, notes(2).lazy(), [DAY])  # type: ignore[arg-type]


def test_a_rule_for_a_column_that_the_table_does_not_have_is_refused() -> None:
    misspelt = dataclasses.replace(NOTES, rules={"scores": [between("scores", 0, 1)]})
    with pytest.raises(BadInput, match="scores"):
        validated(misspelt, notes(1), [DAY])
