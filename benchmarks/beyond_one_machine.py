"""The per-day part of curation on another engine: Daft, in one process or on Ray, over the Delta tables of a lake.

    python -m venv ENGINE
    ENGINE/bin/pip install . daft==0.7.26 ray==2.60.0 pyiceberg pyarrow
    DO_NOT_TRACK=true ENGINE/bin/python benchmarks/beyond_one_machine.py LAKE [native|ray] 2> engine.log

The engine is no dependency of the project: it has an environment of its own, without constraints.txt (Daft wants an
older tqdm; its Delta writer imports pyiceberg). LAKE is a lake that holds raw_interactions and curated_examples, such
as the one that `make demo` leaves.

A day is the unit of work, as in Dagster: the engine hands out days, each worker reads its partition of the Delta table
and calls the function that the asset calls, and the engine writes what comes back as a Delta table of its own. Then the
same function runs here, without the engine, and both results are compared in every row and column.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import daft
import polars as pl
import pyarrow as pa

from ft_assets.curation.feedback import with_feedback
from ft_assets.curation.judge_signals import with_judge
from ft_assets.curation.prepare import prepare
from ft_assets.curation.rules import CurationRules
from ft_assets.lake import Lake
from ft_assets.rules_file import read_rules
from ft_assets.settings import read_settings

ORDER = ["day", "place"]
JUDGED = ("judge_scores", "judge_agreement")


def candidates(url: str, day: str) -> pl.DataFrame:
    """What the rows of one day are by themselves: turns normalised and masked, rules applied, scores, ids."""
    lake = Lake(url)
    raw = lake.scan("raw_interactions", {"day": [day]}).collect()
    raw = with_feedback(raw, lake.scan("feedback").collect() if lake.exists("feedback") else None)
    raw = with_judge(
        raw, *(lake.scan(t, {"day": [day]}).collect() if lake.exists(t) else pl.DataFrame() for t in JUDGED)
    )
    return prepare(raw, read_rules(read_settings().rules, "curation", CurationRules)).candidates


def as_arrow(rows: pl.DataFrame) -> pa.StructArray:
    """One struct per row, with the string type that engines know (Polars' own is newer than some of them)."""
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest()).to_struct_array().combine_chunks()


def on_the_engine(url: str, days: list[str], out: Path, runner: str) -> None:
    """Writes the candidates of these days as the Delta table `out`, partitioned by day."""
    if runner == "ray":
        daft.set_runner_ray()
    rows_of_a_day = pa.large_list(as_arrow(candidates(url, days[0]).clear()).type)

    @daft.func.batch(return_dtype=daft.DataType.from_arrow_type(rows_of_a_day), batch_size=1)
    def curate_days(days: daft.Series) -> Any:
        lists = [as_arrow(candidates(url, day)) for day in days.to_pylist()]
        ends = pa.array([0, *pl.Series([len(rows) for rows in lists]).cum_sum()], pa.int64())
        return pa.LargeListArray.from_arrays(ends, pa.concat_arrays(lists))

    frame = daft.from_pydict({"unit": days})
    if runner == "ray":
        frame = frame.into_partitions(len(days))  # a task for each day
    rows = frame.select(curate_days(frame["unit"]).alias("row")).explode("row")
    rows.select(daft.col("row").unnest()).write_deltalake(str(out), partition_cols=["day"])


def read_by_the_engine(url: str, table: str) -> str:
    """Whether Daft itself reads a table of the lake: its number of rows, or why not."""
    try:
        rows = daft.read_deltalake(f"{url}/tables/{table}").to_arrow().num_rows
    except Exception as error:  # whatever the engine raises is the finding
        return f"no: {str(error).splitlines()[-1].split('Exception: ')[-1]}"
    return f"yes, {rows:,} rows"


def main(url: str, runner: str = "native") -> None:
    lake = Lake(url)
    days = sorted(lake.fingerprints("raw_interactions"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "candidates"
        started = time.time()
        on_the_engine(url, days, out, runner)
        print(f"daft, {runner}: {len(days)} days in {time.time() - started:.1f} s")
        theirs = pl.read_delta(str(out)).sort(ORDER)
    wall, cpu = time.time(), time.process_time()
    ours = pl.concat([candidates(url, day) for day in days]).sort(ORDER)
    cpu = (time.process_time() - cpu) / max(1, lake.scan("raw_interactions").select(pl.len()).collect().item())
    print(f"this process: {time.time() - wall:.1f} s, {cpu * 1e6:.0f} CPU-us a row")
    same = theirs.select(ours.columns).cast(dict(ours.schema)).equals(ours)
    print(f"candidates: {theirs.height:,} from the engine, {ours.height:,} here; every row and column equal: {same}")
    published = set(lake.scan("curated_examples").select("example_id").collect()["example_id"])
    same = set(theirs["example_id"]) == published
    print(f"curated_examples holds {len(published):,} ids; the engine found exactly these: {same}")
    for table in ("raw_interactions", "curated_examples"):
        print(f"Daft reads {table} by itself: {read_by_the_engine(url, table)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
