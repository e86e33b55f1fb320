from typing import Any

import polars as pl

from ft_assets.curation.judge_schema import CRITERIA, JUDGE_AGREEMENT_SCHEMA, JUDGE_SCORES_SCHEMA
from ft_assets.curation.judge_signals import with_judge
from ft_assets.ingest.schema import RAW_SCHEMA

DAY = "2026-01-05"
RECORD = [{"criterion": "relevance", "score": 0.3}]


def raw(*names: str) -> pl.DataFrame:
    return pl.DataFrame([{"interaction_id": name, "day": DAY, "judge": RECORD} for name in names], schema=RAW_SCHEMA)


def scores(name: str, status: str = "scored", criteria: tuple[str, ...] = CRITERIA, **more: Any) -> pl.DataFrame:
    rows = [
        {
            "interaction_id": name,
            "day": DAY,
            "criterion": criterion,
            "score": 0.75 if status == "scored" else None,
            "status": status,
            "judge_model": "j",
            "prompt_version": "v",
            **more,
        }
        for criterion in criteria
    ]
    return pl.DataFrame(rows, schema=JUDGE_SCORES_SCHEMA)


def agreement(may_decide: bool) -> pl.DataFrame:
    row = {"day": DAY, "judge_model": "j", "prompt_version": "v", "may_decide": may_decide}
    return pl.DataFrame([row], schema=JUDGE_AGREEMENT_SCHEMA)


def test_the_judge_asset_wins_over_what_came_with_the_record() -> None:
    rows = with_judge(raw("a", "b"), scores("a"), agreement(True))
    assert rows.columns == [*RAW_SCHEMA, "judge_source", "judge_trusted"]
    assert rows.select(RAW_SCHEMA.names()).schema == RAW_SCHEMA
    assert [each["score"] for each in rows["judge"][0]] == [0.75] * 5
    assert [each["criterion"] for each in rows["judge"][0]] == list(CRITERIA)
    assert rows["judge"].to_list()[1] == RECORD
    assert rows.select("judge_source", "judge_trusted").rows() == [("j", True), (None, None)]


def test_failures_and_parts_of_scores_change_nothing() -> None:
    judged = pl.concat([scores("a", "failed", failure="timeout"), scores("b", criteria=CRITERIA[:4])])
    rows = with_judge(raw("a", "b"), judged, agreement(True))
    assert rows["judge"].to_list() == [RECORD, RECORD] and rows["judge_source"].null_count() == 2


def test_a_judge_is_trusted_only_where_agreement_says_so() -> None:
    assert with_judge(raw("a"), scores("a"), agreement(False))["judge_trusted"].to_list() == [False]
    assert with_judge(raw("a"), scores("a"), agreement(True).clear())["judge_trusted"].to_list() == [False]
    other = agreement(True).with_columns(prompt_version=pl.lit("older"))
    assert with_judge(raw("a"), scores("a"), other)["judge_trusted"].to_list() == [False]


def test_without_any_score_the_rows_stay_as_they_came() -> None:
    rows = with_judge(raw("a"), scores("a").clear(), agreement(True).clear())
    assert rows.drop("judge_source", "judge_trusted").equals(raw("a"))
    assert rows.schema["judge_source"] == pl.String and rows.schema["judge_trusted"] == pl.Boolean
