"""What the ingest tests share: one file through a landing day, and the count that must hold for any of them."""

from tempfile import TemporaryDirectory
from typing import Any

from ft_assets.ingest.landing import DayIngest, ingest_day
from ft_assets.ingest.rules import IngestRules
from ft_assets.lake import Lake

DAY = "2026-01-05"


def read_day(name: str, content: bytes, rules: IngestRules | None = None) -> DayIngest:
    """The day that holds this one file."""
    with TemporaryDirectory() as root:
        lake = Lake(root)
        lake.land(DAY, name, content)
        day = ingest_day(lake, DAY, rules=rules)
    assert adds_up(day)
    return day


def adds_up(day: DayIngest) -> bool:
    """True when every record that the reader gave is a row, feedback or a rejection, and the counts say the same."""
    counts = day.counts
    same_rows = counts["rows"] == day.rows.height == sum(counts["rows_by_format"].values())
    same_rejections = counts["rejected"] == len(day.rejections) == sum(counts["rejected_by_rule"].values())
    out = day.rows.height + day.feedback.height + len(day.rejections)
    same_feedback = counts["feedback"] == day.feedback.height
    return same_rows and same_rejections and same_feedback and counts["records"] + counts["expanded"] == out


def turns(day: DayIngest) -> list[list[tuple[str, str]]]:
    """Role and content of every row's turns."""
    return [[(turn["role"], turn["content"]) for turn in messages] for messages in day.rows["messages"].to_list()]


def rules_broken(day: DayIngest) -> list[tuple[str, str]]:
    """Place and rule of every rejection."""
    return [(rejection.place, rejection.rule) for rejection in day.rejections]


def without_place(day: DayIngest) -> list[dict[str, Any]]:
    """The rows without what only says where they stood."""
    return day.rows.drop("source", "source_file", "source_line").to_dicts()
