import os
import threading
from pathlib import Path

import polars as pl
import pytest

from ft_assets.errors import BadConfiguration, BadInput, InputsMoved, MissingInput
from ft_assets.lake import Lake, LandingFile

DAY = "2026-01-01"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def landing(lake: Lake, day: str = DAY) -> Path:
    folder = Path(lake.url) / "landing" / day
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_day(lake: Lake, value: int, table: str = "t") -> None:
    lake.replace(table, pl.DataFrame({"day": [DAY], "value": [value]}), {"day": [DAY]})


def test_a_lake_nobody_wrote_to_is_empty(lake: Lake) -> None:
    assert lake.landing_days() == lake.odd_landing_folders() == lake.landing_files(DAY) == []
    assert lake.artifacts("snapshot") == []
    assert not Path(lake.url).exists()


def test_landing_folders_are_days_or_odd(lake: Lake) -> None:
    for name in ("2026-01-02", DAY, "2026-02-30", "20260101", "january", "_spool", ".trash"):
        landing(lake, name)
    (Path(lake.url) / "landing" / "2026-01-03").write_text("a file, not a folder")
    assert lake.landing_days() == [DAY, "2026-01-02"]
    assert lake.odd_landing_folders() == ["2026-02-30", "20260101", "january"]


def test_only_whole_direct_files_of_a_day_are_listed(lake: Lake) -> None:
    lake.land(DAY, "b.jsonl", b"22")
    lake.land(DAY, "a.jsonl.gz", b"\x1f\x8b1")
    for name in (".hidden", "_marker", "half.tmp"):
        (landing(lake) / name).write_text("x")
    (landing(lake) / "deeper").mkdir()
    (landing(lake) / "deeper" / "c.jsonl").write_text("x")
    os.mkfifo(landing(lake) / "pipe.jsonl")
    found = lake.landing_files(DAY)
    assert [(file.name, file.size) for file in found] == [("a.jsonl.gz", 3), ("b.jsonl", 2)]
    assert isinstance(found[0], LandingFile)
    assert found[0].day == DAY
    assert lake.read_landing(DAY, "a.jsonl.gz") == b"\x1f\x8b1"


def test_the_stamp_of_a_day_moves_with_every_change_of_its_files(lake: Lake) -> None:
    stamps = [lake.landing_stamp(DAY)]
    lake.land(DAY, "a.jsonl", b"1")
    stamps.append(lake.landing_stamp(DAY))
    with (landing(lake) / "a.jsonl").open("ab") as file:  # a copy that is still under way
        file.write(b"2")
    stamps.append(lake.landing_stamp(DAY))
    lake.land(DAY, "a.jsonl", b"34")
    stamps.append(lake.landing_stamp(DAY))
    (landing(lake) / "a.jsonl").rename(landing(lake) / "b.jsonl")
    stamps.append(lake.landing_stamp(DAY))
    assert len(set(stamps)) == 5
    (landing(lake) / "c.tmp").write_text("half a copy")
    assert lake.landing_stamp(DAY) == stamps[-1]


def test_a_landed_file_is_replaced_whole_and_leaves_nothing_beside_it(lake: Lake) -> None:
    contents = [bytes([65 + number]) * 200_000 for number in range(8)]
    seen: set[bytes] = set()
    done = threading.Event()
    lake.land(DAY, "a.jsonl", contents[0])

    def read() -> None:
        while not done.is_set():
            seen.add(lake.read_landing(DAY, "a.jsonl"))

    reader = threading.Thread(target=read)
    reader.start()
    writers = [threading.Thread(target=lake.land, args=(DAY, "a.jsonl", content)) for content in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    done.set()
    reader.join()
    assert seen <= set(contents)
    assert [path.name for path in landing(lake).iterdir()] == ["a.jsonl"]


@pytest.mark.parametrize("name", ["../a", "a/b", "..", ".", "", "a\\b", "a\0b"])
def test_a_landing_name_that_leads_elsewhere_is_refused(lake: Lake, name: str) -> None:
    with pytest.raises(BadInput, match="leads out"):
        lake.read_landing(DAY, name)
    with pytest.raises(BadInput, match="leads out"):
        lake.land(DAY, name, b"x")
    with pytest.raises(BadInput, match="leads out"):
        lake.work_dir("training", name)


@pytest.mark.parametrize("name", [".a", "_a", "a.tmp"])
def test_a_file_that_would_never_be_read_cannot_be_landed(lake: Lake, name: str) -> None:
    with pytest.raises(BadInput, match="never read"):
        lake.land(DAY, name, b"x")


@pytest.mark.parametrize("day", ["../2026-01-01", "2026-1-1", "2026-02-30", "", "2026-01-01/x", "20260101"])
def test_a_day_that_is_none_is_refused(lake: Lake, day: str) -> None:
    with pytest.raises(BadInput, match="no day"):
        lake.landing_files(day)
    with pytest.raises(BadInput, match="no day"):
        lake.land(day, "a.jsonl", b"x")


def test_a_link_in_landing_is_listed_and_refused_when_it_is_read(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    (landing(lake) / "a.jsonl").symlink_to(tmp_path / "outside")
    assert [file.name for file in lake.landing_files(DAY)] == ["a.jsonl"]
    with pytest.raises(BadInput, match="symbolic link"):
        lake.read_landing(DAY, "a.jsonl")
    with pytest.raises(MissingInput, match=r"b\.jsonl does not exist"):
        lake.read_landing(DAY, "b.jsonl")


def test_a_settled_step_commits_what_it_computed(lake: Lake) -> None:
    write_day(lake, 1)
    committed: list[int] = []
    result = lake.settled(
        {"t": {"day": [DAY]}, "absent": None}, lambda: lake.scan("t").collect()["value"][0], committed.append
    )
    assert result == 1
    assert committed == [1]


def test_a_settled_step_computes_again_when_an_input_moves(lake: Lake) -> None:
    write_day(lake, 1)
    read: list[int] = []
    committed: list[int] = []

    def compute() -> int:
        read.append(lake.scan("t").collect()["value"][0])
        if len(read) == 1:
            write_day(lake, 2)
        return read[-1]

    assert lake.settled({"t": {"day": [DAY]}}, compute, committed.append) == 2
    assert (read, committed) == ([1, 2], [2])


def test_a_settled_step_does_not_mind_other_days_and_other_tables(lake: Lake) -> None:
    write_day(lake, 1)
    computed: list[int] = []

    def compute() -> None:
        computed.append(1)
        lake.replace("t", pl.DataFrame({"day": ["2026-01-02"], "value": [9]}), {"day": ["2026-01-02"]})
        write_day(lake, 9, table="other")

    lake.settled({"t": {"day": [DAY]}}, compute, lambda _: None)
    assert computed == [1]


def test_inputs_that_never_stand_still_are_named_and_nothing_is_committed(lake: Lake) -> None:
    computed: list[int] = []
    committed: list[int] = []

    def compute() -> int:
        computed.append(1)
        write_day(lake, len(computed))
        return 1

    with pytest.raises(InputsMoved, match=r"^t changed while it was read, 3 times"):
        lake.settled({"t": None, "absent": None}, compute, committed.append)
    assert (len(computed), committed) == (3, [])


def test_work_directories_are_made_inside_the_lake(lake: Lake) -> None:
    directory = lake.work_dir("training", "abc")
    assert directory == Path(lake.url) / "work" / "training" / "abc"
    assert directory.is_dir()
    assert lake.work_dir("training", "abc") == directory


@pytest.mark.parametrize(
    "url", ["gs://bucket/x", "file:///x", "s3://", "s3:///x", "/tmp/a lake", "/data/env=prod", "s3://b/ü"]
)
def test_a_root_that_cannot_hold_a_lake_is_refused(url: str) -> None:
    with pytest.raises(BadConfiguration, match="Set FT_ASSETS_LAKE"):
        Lake(url)
