"""A model line and curated rows of which it is known how many stand on the train side."""

from itertools import count as counting
from pathlib import Path
from typing import Any

import polars as pl

from ft_assets.dataset.select import Selector
from ft_assets.dataset.snapshot import build_snapshot
from ft_assets.dataset.split import SplitFractions, side_of
from ft_assets.lake import Lake
from ft_assets.specializations.specialization import Specialization, Trigger
from ft_assets_tests.dataset.conftest import TYPES
from ft_assets_tests.dataset.curated_rows import curated_row

LINE, KEY, DAY = "qa-engineer", "ft_assets", "2026-03-01"


def a_line(**trigger: Any) -> Specialization:
    """The line, with these knobs of its trigger."""
    return Specialization(
        name=LINE,
        description="Made for tests.",
        select=Selector(roles=(LINE,)),
        base_model="tiny-base",
        trigger=Trigger(**trigger),
    )


def train_rows(count: int, first: int = 0, day: str = DAY) -> list[dict[str, Any]]:
    """Rows that stand on the train side, from the `first`-th one on."""
    names = (f"case-{number:05d}" for number in counting())
    on_train = (name for name in names if side_of(f"cluster-{name}", KEY) == "train")
    return [
        curated_row(LINE, name, day)
        for place, name in zip(range(first + count), on_train, strict=False)
        if place >= first
    ]


def curate(lake: Lake, rows: list[dict[str, Any]], day: str = DAY) -> None:
    """Makes these rows the day's curated examples."""
    lake.replace("curated_examples", pl.DataFrame(rows, schema=TYPES), {"day": [day]})


def snapshot_of(lake: Lake, folder: Path) -> str:
    """The digest of a snapshot of what is curated now."""
    choice = Selector(roles=(LINE,))
    curated = lake.scan("curated_examples")
    build_snapshot(curated, choice, KEY, SplitFractions(), [], None, folder, specialization=LINE)
    return lake.put_artifact("snapshot", folder).digest
