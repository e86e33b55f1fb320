from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ft_assets.errors import BadInput, MissingInput
from ft_assets.lake import Lake

DAY, NEXT_DAY = "2026-01-05", "2026-01-06"
OLD, NEW = "a" * 64, "b" * 64


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), tmp_path / "cache")


def test_a_segment_is_there_for_the_state_it_was_made_from_only(lake: Lake) -> None:
    assert lake.segment("near", DAY, OLD) is None
    lake.put_segment("near", DAY, OLD, b"old")
    lake.put_segment("near", NEXT_DAY, OLD, b"next")
    path = lake.put_segment("near", DAY, NEW, b"new")
    assert path.read_bytes() == b"new"
    assert lake.segment("near", DAY, NEW) == path
    assert lake.segment("near", DAY, OLD) is None
    assert lake.segment("near", NEXT_DAY, OLD) is not None


def test_the_fingerprints_of_a_table_name_its_days(lake: Lake) -> None:
    assert lake.fingerprints("t") == {}
    frame = pl.DataFrame({"day": [DAY, NEXT_DAY], "value": [1, 2]})
    lake.replace("t", frame, {"day": [DAY, NEXT_DAY]})
    first = lake.fingerprints("t")
    assert first == {day: lake.fingerprint("t", {"day": [day]}) for day in (DAY, NEXT_DAY)}
    lake.replace("t", frame[:1], {"day": [DAY]})
    assert lake.fingerprints("t")[NEXT_DAY] == first[NEXT_DAY]
    assert lake.fingerprints("t")[DAY] != first[DAY]


def test_a_file_is_read_from_the_lake_and_from_nowhere_else(lake: Lake) -> None:
    folder = Path(lake.url) / "golden"
    folder.mkdir(parents=True)
    (folder / "line.jsonl").write_bytes(b"{}")
    assert lake.read_file("golden/line.jsonl") == b"{}"
    with pytest.raises(MissingInput):
        lake.read_file("golden/other.jsonl")
    with pytest.raises(BadInput, match="leads out"):
        lake.read_file("../secret")


@pytest.mark.service
def test_a_segment_on_s3_is_fetched_once_and_replaced_everywhere(bucket: str, s3: Any, tmp_path: Path) -> None:
    url = f"s3://{bucket}/lake"
    Lake(url, tmp_path / "one").put_segment("near", DAY, OLD, b"old")
    other = Lake(url, tmp_path / "other")
    path = other.segment("near", DAY, OLD)
    assert path is not None
    assert path.read_bytes() == b"old"
    other.put_segment("near", DAY, NEW, b"new")
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == [f"lake/index/near/{DAY}/{NEW}"]
    fresh = Lake(url, tmp_path / "third")
    assert fresh.segment("near", DAY, OLD) is None
    assert fresh.read_file(f"index/near/{DAY}/{NEW}") == b"new"
