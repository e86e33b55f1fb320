import shutil
from pathlib import Path

import polars as pl

from ft_assets.lake import Lake


def rows(value: int) -> pl.DataFrame:
    return pl.DataFrame({"day": ["2026-01-05"], "value": [value]})


def values(lake: Lake) -> list[int]:
    return lake.scan("t").collect()["value"].to_list()


def test_what_another_process_commits_is_seen_at_the_next_look(tmp_path: Path) -> None:
    mine, other = Lake(str(tmp_path)), Lake(str(tmp_path))
    assert not mine.exists("t")
    for value in range(3):
        other.replace("t", rows(value), {"day": ["2026-01-05"]})
        assert (mine.version("t"), values(mine)) == (value, [value])
        assert mine.fingerprint("t") == other.fingerprint("t") != ""


def test_a_look_stays_at_its_version_when_somebody_commits(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.replace("t", rows(1), {"day": ["2026-01-05"]})
    before = lake.scan("t")
    lake.replace("t", rows(2), {"day": ["2026-01-05"]})
    assert before.collect()["value"].to_list() == [1]
    assert values(lake) == [2]


def test_a_table_that_was_removed_and_made_anew_is_seen(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.replace("t", rows(1), {"day": ["2026-01-05"]})
    assert values(lake) == [1]
    shutil.move(tmp_path / "tables" / "t", tmp_path / "aside")
    assert not lake.exists("t")
    Lake(str(tmp_path)).replace("t", rows(2), {"day": ["2026-01-05"]})
    assert values(lake) == [2]


def test_a_table_is_opened_once_for_many_looks(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.replace("t", rows(1), {"day": ["2026-01-05"]})
    first = lake.tables.seen("t")
    assert first is lake.tables.seen("t") is not lake.tables.open("t")
