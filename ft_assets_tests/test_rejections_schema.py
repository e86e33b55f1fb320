from typing import Any

import polars as pl
import pytest

from ft_assets.errors import BadOutput
from ft_assets.records import Rejection
from ft_assets.rejections_schema import REJECTIONS
from ft_assets.validated import validated

DAY = "2026-01-05"


def frame(**changes: Any) -> pl.DataFrame:
    good = Rejection(stage="ingest", day=DAY, place="chat.jsonl:7", rule="not_json", reason="ends inside a text")
    return pl.DataFrame([good.model_dump() | changes], schema=REJECTIONS.columns)


@pytest.mark.parametrize("stage", ["ingest", "curation"])
def test_a_rejection_of_either_stage_passes(stage: str) -> None:
    assert validated(REJECTIONS, frame(stage=stage), [DAY]).height == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("stage", "training"),
        ("day", "2026-02-30"),
        ("place", "chat.jsonl"),
        ("place", ":7"),
        ("rule", "Not JSON"),
        ("reason", ""),
    ],
)
def test_a_rejection_that_breaks_a_rule_is_refused(column: str, value: object) -> None:
    with pytest.raises(BadOutput, match=rf"'{column} .*does not hold in 1 of 1 rows"):
        validated(REJECTIONS, frame(**{column: value}), [DAY, "2026-02-30"])


@pytest.mark.parametrize("column", sorted(REJECTIONS.required))
def test_a_rejection_has_all_its_values(column: str) -> None:
    with pytest.raises(BadOutput, match=f"'{column} is never null'"):
        validated(REJECTIONS, frame(**{column: None}), [DAY])
