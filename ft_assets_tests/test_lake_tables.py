import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from ft_assets.errors import BadInput, MissingInput, WriteConflict
from ft_assets.lake import Lake
from ft_assets.settings import PROJECT_ROOT

MESSAGE = pl.Struct({"role": pl.String, "content": pl.String, "tool_calls": pl.String})
SIGNAL = pl.Struct({"name": pl.String, "value": pl.Float64, "source": pl.String})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def rows(*days: str, value: int = 0) -> pl.DataFrame:
    return pl.DataFrame({"day": days, "value": [value] * len(days)}, schema={"day": pl.String, "value": pl.Int64})


def days_in(lake: Lake, table: str = "t") -> dict[str, list[int]]:
    found = lake.scan(table).collect().sort("day", "value")
    return {day: found.filter(pl.col("day") == day)["value"].to_list() for day in found["day"].unique().sort()}


def consecutive_days(count: int, first: date = date(2026, 1, 1)) -> list[str]:
    return [(first + timedelta(days=offset)).isoformat() for offset in range(count)]


def test_a_table_that_was_never_written_names_the_asset_to_materialize(lake: Lake) -> None:
    assert not lake.exists("curated_examples")
    assert lake.version("curated_examples") is None
    assert lake.fingerprint("curated_examples") == ""
    with pytest.raises(MissingInput, match="Materialize the asset curated_examples"):
        lake.scan("curated_examples")


def test_one_replace_over_thirty_days_writes_every_day_and_leaves_other_days_alone(lake: Lake) -> None:
    days = consecutive_days(30)
    assert lake.replace("t", rows("2025-12-31", "2026-02-01", value=7), {"day": ["2025-12-31", "2026-02-01"]}) == 0
    assert lake.replace("t", rows(*days, value=1), {"day": days}) == 1
    assert lake.replace("t", rows(*days, *days, value=2), {"day": days}) == lake.version("t") == 2
    assert days_in(lake) == {"2025-12-31": [7], **{day: [2, 2] for day in days}, "2026-02-01": [7]}


def test_named_partitions_without_rows_are_emptied(lake: Lake) -> None:
    days = consecutive_days(3)
    lake.replace("t", rows(*days, value=1), {"day": days})
    lake.replace("t", rows(days[0], value=2), {"day": days[:2]})
    assert days_in(lake) == {days[0]: [2], days[2]: [1]}
    lake.replace("t", rows(), {"day": days})
    assert days_in(lake) == {}
    assert lake.scan("t").collect_schema() == rows().schema


def test_an_empty_first_write_makes_a_table_with_its_columns(lake: Lake) -> None:
    assert lake.replace("t", rows(), {"day": ["2026-01-01"]}) == 0
    assert lake.exists("t")
    assert lake.scan("t", {"day": ["2026-01-01"]}).collect().schema == rows().schema
    lake.replace("t", rows("2026-01-01"), {"day": ["2026-01-01"]})
    assert days_in(lake) == {"2026-01-01": [0]}


def test_every_column_type_comes_back_as_it_was_also_when_all_null(lake: Lake) -> None:
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "day": pl.String,
        "text": pl.String,
        "time": pl.Datetime("us", "UTC"),
        "score": pl.Float64,
        "tokens": pl.Int64,
        "high_score": pl.Boolean,
        "messages": pl.List(MESSAGE),
        "signals": pl.List(SIGNAL),
        "tags": pl.List(pl.String),
    }
    full = {
        "day": "2026-01-01",
        "text": "ünï\u2028'\"\n",
        "time": datetime(2026, 1, 1, 12, 0, 0, 5, tzinfo=UTC),
        "score": 0.1,
        "tokens": 2**40,
        "high_score": True,
        "messages": [{"role": "user", "content": "hi", "tool_calls": None}],
        "signals": [{"name": "rating", "value": None, "source": "log"}],
        "tags": ["a", None],
    }
    blank = {"day": "2026-01-02", **dict.fromkeys(list(schema)[1:])}
    frame = pl.DataFrame([full, {**blank, "messages": [], "tags": []}, blank], schema=schema)
    for day in ("2026-01-02", "2026-01-01"):  # the all-null day makes the table
        lake.replace("t", frame.filter(pl.col("day") == day), {"day": [day]})
    found = lake.scan("t").collect().select(frame.columns)
    assert found.sort("day", "messages", descending=[False, True]).equals(
        frame.sort("day", "messages", descending=[False, True])
    )
    assert found.schema == frame.schema


def test_reading_some_days_does_not_open_the_files_of_others(lake: Lake) -> None:
    days = consecutive_days(3)
    lake.replace("t", rows(*days, value=1), {"day": days})
    table = Path(lake.url) / "tables" / "t"
    for file in table.glob(f"day={days[1]}/*.parquet"):
        file.unlink()
    assert lake.scan("t", {"day": [days[0], days[2]]}).select("value").collect()["value"].to_list() == [1, 1]
    assert lake.scan("t", {"day": days}).filter(pl.col("day") == days[2]).collect().height == 1
    with pytest.raises(FileNotFoundError):
        lake.scan("t").collect()


def test_no_days_are_no_rows(lake: Lake) -> None:
    lake.replace("t", rows("2026-01-01"), {"day": ["2026-01-01"]})
    assert lake.scan("t", {"day": []}).collect().equals(rows())
    assert lake.fingerprint("t", {"day": []}) == lake.fingerprint("t", {"day": ["2026-01-02"]})


def test_two_partition_columns_are_replaced_by_their_pair(lake: Lake) -> None:
    def rejection(stage: str, day: str, rule: str) -> pl.DataFrame:
        return pl.DataFrame({"stage": [stage], "day": [day], "rule": [rule]})

    for stage in ("ingest", "curation"):
        lake.replace("rejections", rejection(stage, "2026-01-01", "old"), {"stage": [stage], "day": ["2026-01-01"]})
    curation = {"stage": ["curation"], "day": ["2026-01-01"]}
    lake.replace("rejections", rejection("curation", "2026-01-01", "new"), curation)
    assert lake.scan("rejections", {"stage": ["ingest"]}).collect()["rule"].to_list() == ["old"]
    assert lake.scan("rejections", curation).collect()["rule"].to_list() == ["new"]
    with pytest.raises(BadInput, match=r"partitioned by \['stage', 'day'\]"):
        lake.replace("rejections", rejection("ingest", "2026-01-01", "x"), {"day": ["2026-01-01"]})


@pytest.mark.parametrize("value", ["it's", "a/b c", "50 %=x", "day') OR ('1'='1", "é\u00a0", ".."])
def test_any_name_is_safe_as_a_partition_value(lake: Lake, value: str) -> None:
    lake.replace("t", rows(value, "other", value=1), {"day": [value, "other"]})
    lake.replace("t", rows(value, value=2), {"day": [value]})
    assert days_in(lake) == {value: [2], "other": [1]}
    assert lake.scan("t", {"day": [value]}).collect()["value"].to_list() == [2]
    assert lake.fingerprint("t", {"day": [value]}) != lake.fingerprint("t", {"day": ["other"]})


@pytest.mark.parametrize(
    ("frame", "where", "said"),
    [
        (rows("2026-01-01", "2026-01-09"), {"day": ["2026-01-01"]}, "1 of 2 rows .* for example .'2026-01-09'."),
        (rows("2026-01-01").with_columns(day=pl.lit(None, pl.String)), {"day": ["2026-01-01"]}, "1 of 1 rows"),
        (rows("2026-01-01").drop("day"), {"day": ["2026-01-01"]}, "day of t is absent"),
        (rows("2026-01-01").with_columns(day=pl.lit(date(2026, 1, 1))), {"day": ["2026-01-01"]}, "day of t is Date"),
        (rows("2026-01-01"), {}, "names no partitions"),
        (rows("2026-01-01"), {"day": []}, "names no partitions"),
        (rows("2026-01-01"), {"day": "2026-01-01"}, "Give a list"),
        (rows("__HIVE_DEFAULT_PARTITION__"), {"day": ["__HIVE_DEFAULT_PARTITION__"]}, "Give a list"),
        (rows("2026-01-01").with_columns(n=pl.lit(1, pl.UInt32)), {"day": ["2026-01-01"]}, "n.*UInt32"),
        (rows("2026-01-01").with_columns(n=pl.lit(None)), {"day": ["2026-01-01"]}, "n.*Null.*all-null column"),
    ],
)
@pytest.mark.parametrize("table_exists", [False, True])
def test_a_frame_that_does_not_fit_is_refused_and_nothing_is_written(
    lake: Lake, frame: pl.DataFrame, where: dict[str, list[str]], said: str, table_exists: bool
) -> None:
    if table_exists:
        lake.replace("t", rows("2026-01-01", value=5), {"day": ["2026-01-01"]})
    with pytest.raises(BadInput, match=said):
        lake.replace("t", frame, where)
    assert lake.version("t") == (0 if table_exists else None)


def test_columns_may_be_added_and_never_change_or_vanish_silently(lake: Lake) -> None:
    first, second = {"day": ["2026-01-01"]}, {"day": ["2026-01-02"]}
    lake.replace("t", rows("2026-01-01", value=1), first)
    lake.replace("t", rows("2026-01-02", value=2).with_columns(note=pl.lit("new")), second)
    assert lake.scan("t").sort("day").collect()["note"].to_list() == [None, "new"]
    lake.replace("t", rows("2026-01-02", value=3).with_columns(note=pl.lit(None)), second)
    schema = dict(lake.scan("t").collect_schema())
    assert schema == {"day": pl.String, "value": pl.Int64, "note": pl.String}
    with pytest.raises(BadInput, match=r"missing \['note'\]"):
        lake.replace("t", rows("2026-01-01"), first)
    with pytest.raises(BadInput, match=r"value.*Float64.*Int64"):
        lake.replace("t", rows("2026-01-01").with_columns(value=pl.lit(1.5), note=pl.lit("x")), first)
    assert lake.version("t") == 2


def test_no_text_of_the_rows_gets_into_the_table_log_or_an_error(lake: Lake) -> None:
    frame = rows("2026-01-01").with_columns(text=pl.lit("a secret"))
    lake.replace("t", frame, {"day": ["2026-01-01"]})
    log = Path(lake.url) / "tables" / "t" / "_delta_log"
    assert not any("a secret" in file.read_text() for file in log.glob("*.json"))
    with pytest.raises(BadInput) as refused:
        lake.replace("t", frame, {"day": ["2026-01-02"]})
    assert "a secret" not in str(refused.value)


def test_the_fingerprint_moves_with_its_own_partitions_only(lake: Lake) -> None:
    lake.replace("t", rows("2026-01-01", "2026-01-02"), {"day": ["2026-01-01", "2026-01-02"]})
    first, whole = lake.fingerprint("t", {"day": ["2026-01-01"]}), lake.fingerprint("t")
    assert first == lake.fingerprint("t", {"day": ["2026-01-01"]})
    lake.replace("t", rows("2026-01-02", value=1), {"day": ["2026-01-02"]})
    assert lake.fingerprint("t", {"day": ["2026-01-01"]}) == first
    assert lake.fingerprint("t") != whole
    lake.replace("t", rows(), {"day": ["2026-01-01"]})
    assert lake.fingerprint("t", {"day": ["2026-01-01"]}) not in ("", first)
    with pytest.raises(BadInput, match="'value' is no partition column"):
        lake.fingerprint("t", {"value": ["1"]})


def test_a_reader_sees_the_old_rows_or_the_new_ones_while_a_writer_replaces_them(lake: Lake) -> None:
    days = consecutive_days(3)
    lake.replace("t", rows(*days, *days, value=0), {"day": days})
    done = threading.Event()
    seen: set[tuple[int, ...]] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(tuple(lake.scan("t", {"day": days}).collect()["value"].sort()))

    value = 0
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        while len(seen) < 8 and value < 500 and not any(reader.done() for reader in readers):
            value += 1
            lake.replace("t", rows(*days, *days, value=value), {"day": days})
        done.set()
    assert [reader.result() for reader in readers] == [None, None]
    assert len(seen) >= 8
    assert seen <= {(number,) * 6 for number in range(value + 1)}


def test_a_scan_stays_at_the_version_at_which_it_was_opened(lake: Lake) -> None:
    where = {"day": ["2026-01-01"]}
    lake.replace("t", rows("2026-01-01", value=1), where)
    opened = lake.scan("t", where)
    lake.replace("t", rows("2026-01-01", value=2), where)
    assert opened.collect()["value"].to_list() == [1]


@pytest.mark.slow
def test_eight_processes_that_write_disjoint_days_of_a_new_table_all_succeed(lake: Lake) -> None:
    script = (  # forks before either library starts a thread, so that eight processes pay for one import
        "import os, sys\n"
        "import deltalake, polars as pl\n"
        "from ft_assets.lake import Lake\n"
        "children = []\n"
        "for day in sys.argv[2:]:\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        for value in range(3):\n"
        "            Lake(sys.argv[1]).replace('t', pl.DataFrame({'day': [day], 'value': [value]}), {'day': [day]})\n"
        "        os._exit(0)\n"
        "    children.append(child)\n"
        "sys.exit(max(os.waitpid(child, 0)[1] for child in children) != 0)\n"
    )
    days = consecutive_days(8)
    command = [sys.executable, "-c", script, lake.url, *days]
    writers = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=60)
    assert (writers.returncode, writers.stderr) == (0, "")
    assert days_in(lake) == {day: [2] for day in days}


def test_writers_of_the_same_day_give_way_or_say_so_and_rows_never_mix(lake: Lake) -> None:
    where = {"day": ["2026-01-01"]}
    outcomes: list[str] = []

    def write(value: int) -> None:
        try:
            lake.replace("t", rows("2026-01-01", "2026-01-01", value=value), where)
            outcomes.append("written")
        except WriteConflict as error:
            outcomes.append(str(error))

    writers = [threading.Thread(target=write, args=(value,)) for value in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(outcomes) == 6
    assert "written" in outcomes
    assert all(outcome == "written" or "Run again" in outcome for outcome in outcomes)
    values = days_in(lake)["2026-01-01"]
    assert len(values) == 2
    assert len(set(values)) == 1


@pytest.mark.parametrize("name", ["../x", "a/b", "", "A", "x'y", "."])
def test_a_table_name_that_leads_elsewhere_is_refused(lake: Lake, name: str) -> None:
    with pytest.raises(BadInput, match="no table name"):
        lake.replace(name, rows("2026-01-01"), {"day": ["2026-01-01"]})
    with pytest.raises(BadInput, match="no table name"):
        lake.exists(name)
