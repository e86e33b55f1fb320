"""What curation costs, and what the same work costs as people write it with pandas, datasketch and `re`.

    python benchmarks/curation.py [--rows 100000 1000000] [--repeat 3] [--parts end_to_end days ...] [--json FILE]

Everything is generated (generated_interactions.py: about 1 KB a row, thirty days) in a temporary folder with a lake and
a Dagster instance of its own. Needs the extras `ui` and `bench`. Figures are CPU seconds, user and system, of a command
and all its descendants, medians of `--repeat` runs that alternate between the two sides; wall time depends on what else
the machine does and is not judged. The parts:

end_to_end     `dg launch --job curate` over the thirty days as one run, through the real assets with their checks,
               against plain_pipeline.py, which does the same work list; also how cost and memory grow with the rows
days           the thirty days of a million rows, one run per day in order: the thirtieth against the second
overhead       what Dagster and the lake add to the project's own functions, both clocked in one run: curation_share.py
reading        landing files to typed rows, against the plain pipeline's reading; `pandas.read_json`, which only
               parses, is printed beside
validation     pandera on the curated frame, against Great Expectations with equivalent rules
masking        see masking.py
near_duplicates  see near_duplicates.py

Left out on both sides: Python's and numba's compiling, which happens once per machine (a small run comes first, and its
cost is printed). Not the same on both sides: ours also accepts a dozen other formats, keeps its tables as Delta with
atomic commits and provenance, its index on disk, and can be killed at any moment; the plain side keeps its index in
memory and starts from nothing every time. Of the two, ours is charged with Dagster's start.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from measured_run import Cost
from workplace import DAYS, HERE, Workplace, counts_of, planted_secrets_left

WARM_UP_ROWS = 1_000
ROWS_OF_DAYS = 1_000_000
TIMES_FASTER = {100_000: 7.0, 1_000_000: 12.0}  # the bars of the issue
MOST_GB = 5.0
MOST_GROWTH = 11.0  # cost(1 M) / cost(100 k)
MOST_LAST_DAY = 2.0  # times the second day
MOST_OVERHEAD = 0.2


@dataclass
class Report:
    """Everything measured, and a line per claim."""

    data: dict[str, Any] = field(default_factory=dict)
    verdicts: list[str] = field(default_factory=list)

    def judge(self, claim: str, value: float, bar: float, at_least: bool = False) -> None:
        """Keeps and prints whether a figure reaches its bar."""
        passed = value >= bar if at_least else value <= bar
        self.verdicts.append(f"| {claim} | {value:.2f} | {'>=' if at_least else '<='} {bar:g} | {_word(passed)} |")
        self.data.setdefault("bars", []).append({"claim": claim, "value": value, "bar": bar, "passed": passed})
        print(
            f"    {claim}: {value:.2f} ({'at least' if at_least else 'at most'} {bar:g}): {_word(passed)}", flush=True
        )


# ---- end to end ------------------------------------------------------------------------------------------------------
def end_to_end(place: Workplace, asked: argparse.Namespace, report: Report) -> None:
    """Both pipelines at each size."""
    medians = {}
    for rows in asked.rows:
        print(f"\n## End to end, {rows:,} rows in {len(DAYS)} days\n", flush=True)
        place.generate(rows)
        ours, plain, stages = [], [], []
        for _ in range(asked.repeat):  # in turn, so that a slow phase of the machine meets both
            place.reset()
            ours.append(place.curate(DAYS[0], DAYS[-1]))
            cost, said = place.plain()
            plain.append(cost)
            stages.append(said)
            print(f"    ours {ours[-1].cpu_seconds:.1f} CPU-s, plain {cost.cpu_seconds:.1f} CPU-s", flush=True)
        report.data[f"end_to_end_{rows}"] = {
            "ours": [asdict(cost) for cost in ours],
            "plain": [asdict(cost) for cost in plain],
            "plain_stages": stages,
            "rows": counts_of(place) | {"plain": stages[-1]["rows"]},
            "planted": planted_secrets_left(place),
        }
        medians[rows] = print_end_to_end(rows, ours, plain, report)
        if rows in TIMES_FASTER:
            judge_size(rows, medians[rows], max(cost.peak_gb for cost in ours), report)
    if {100_000, 1_000_000} <= medians.keys():
        report.judge("cost(1 M) / cost(100 k)", medians[1_000_000][0] / medians[100_000][0], MOST_GROWTH)


def judge_size(rows: int, seconds: tuple[float, float], peak_gb: float, report: Report) -> None:
    report.judge(f"times cheaper than plain at {rows:,} rows", seconds[1] / seconds[0], TIMES_FASTER[rows], True)
    if rows == max(TIMES_FASTER):
        report.judge("peak memory at 1 M rows, GB", peak_gb, MOST_GB)


def print_end_to_end(rows: int, ours: list[Cost], plain: list[Cost], report: Report) -> tuple[float, float]:
    """The table of one size; the medians of both sides."""
    data = report.data[f"end_to_end_{rows}"]
    mine, theirs = median_of(ours, "cpu_seconds"), median_of(plain, "cpu_seconds")
    stages = data["plain_stages"][-1]["cpu_seconds"]
    bare = theirs - stages.get("checks", 0) - stages.get("validation", 0)
    print("\n| | this pipeline | plain | plain without checks and validation |\n|---|---:|---:|---:|")
    print(f"| CPU-seconds, median of {len(ours)} | {mine:.1f} | {theirs:.1f} | {bare:.1f} |")
    print(f"| CPU-µs per row | {1e6 * mine / rows:.0f} | {1e6 * theirs / rows:.0f} | {1e6 * bare / rows:.0f} |")
    print(f"| times this pipeline | 1 | {theirs / mine:.1f} | {bare / mine:.1f} |")
    wall = median_of(ours, "wall_seconds"), median_of(plain, "wall_seconds")
    print(f"| wall seconds (depends on the machine) | {wall[0]:.1f} | {wall[1]:.1f} | |")
    peak = median_of(ours, "peak_gb"), median_of(plain, "peak_gb")
    print(f"| peak memory of all processes, GB | {peak[0]:.2f} | {peak[1]:.2f} | |")
    counts = data["rows"]
    print(f"| records in | {counts['records']:,} | {counts['plain']['records']:,} | |")
    for name in ("raw", "curated", "rejected", "high_score", "near_duplicates"):
        print(f"| {name.replace('_', ' ')} | {counts[name]:,} | {counts['plain'][name]:,} | |")
    left = [f"{left:,} of {planted:,}" for left, planted in data["planted"].values()]
    print(f"| planted secrets that are left | {left[0]} | {left[1]} | |")
    print("\nPlain, CPU-seconds by stage: " + ", ".join(f"{name} {taken:.1f}" for name, taken in stages.items()) + "\n")
    return mine, theirs


# ---- day by day ------------------------------------------------------------------------------------------------------
def days(place: Workplace, asked: argparse.Namespace, report: Report) -> None:
    """Each day as a run of its own, as a schedule would make them."""
    rows = min(ROWS_OF_DAYS, max(asked.rows))
    print(f"\n## Thirty days of {rows // len(DAYS):,} rows, one run each\n", flush=True)
    place.generate(rows)
    place.reset()
    costs = []
    for day in DAYS:
        costs.append(place.curate(day, day))
        print(f"    {day}: {costs[-1].cpu_seconds:.1f} CPU-s, {costs[-1].peak_gb:.2f} GB", flush=True)
    report.data["days"] = {"rows": rows, "costs": [asdict(cost) for cost in costs]}
    second, last = (median_of(part, "cpu_seconds") for part in (costs[1:4], costs[-3:]))  # one run alone is noisy
    print(
        f"    the second alone {costs[1].cpu_seconds:.1f} CPU-s, the thirtieth alone {costs[-1].cpu_seconds:.1f} CPU-s"
    )
    report.judge("the thirtieth day, times the second (medians of 28-30 and 2-4)", last / second, MOST_LAST_DAY)


# ---- parts that run inside one process -------------------------------------------------------------------------------
def overhead(place: Workplace, asked: argparse.Namespace, report: Report) -> None:
    """Which part of the whole run is not the project's own functions."""
    rows = max(asked.rows)
    print(f"\n## What Dagster and the lake add, {rows:,} rows\n", flush=True)
    place.generate(rows)
    runs = []
    for _ in range(asked.repeat):
        place.reset()
        runs.append(place.share(DAYS[0], DAYS[-1]))
        print(f"    {runs[-1]['whole']:.1f} CPU-s, of which added {runs[-1]['share']:.1%}", flush=True)
    report.data["overhead"] = {"rows": rows, "runs": runs}
    middle = sorted(runs, key=lambda run: run["share"])[len(runs) // 2]
    for side in ("functions", "added"):
        print(f"    {side}: {', '.join(f'{name} {taken:.1f}' for name, taken in middle[side].items())} CPU-s")
    report.judge("what Dagster and the lake add, share of the stage's CPU", middle["share"], MOST_OVERHEAD)


def against_a_peer(part: str, ours: str, peer: str, bar: float) -> Callable[..., None]:
    """A part that curation_parts.py measures in one process, both sides in turn."""

    def run(place: Workplace, asked: argparse.Namespace, report: Report) -> None:
        rows = min(100_000, max(asked.rows))
        print(f"\n## {part.capitalize()}, {rows:,} rows: {ours} against {peer}\n", flush=True)
        place.generate(rows)
        place.reset()
        taken = [place.inner(part) for _ in range(asked.repeat)]
        report.data[part] = {"rows": rows, "runs": taken}
        mine, theirs = (statistics.median(each[side] for each in taken) for side in ("ours", "peer"))
        rows = taken[0].get("rows", rows)
        both = f"{ours} {mine:.2f} CPU-s, {1e6 * mine / rows:.1f} µs a row; {peer} {1e6 * theirs / rows:.1f} µs a row"
        print(f"    {both}, {rows:,} rows")
        others = {name: value for name, value in taken[0].items() if name not in ("ours", "peer", "rows")}
        print("".join(f"    {name}: {1e6 * value / rows:.1f} µs a row\n" for name, value in others.items()), end="")
        report.judge(f"{part}: times cheaper than {peer}", theirs / mine, bar, at_least=True)

    return run


def script(name: str) -> Callable[..., None]:
    """A part that is a benchmark of its own."""

    def run(place: Workplace, asked: argparse.Namespace, report: Report) -> None:
        print(f"\n## {name}.py\n", flush=True)
        done = subprocess.run([sys.executable, str(HERE / f"{name}.py")], capture_output=True, text=True, check=False)
        print(done.stdout + (done.stderr if done.returncode else ""), flush=True)
        report.data[name] = {"exit_code": done.returncode, "output": done.stdout}
        report.judge(f"{name}.py ended well (exit code)", done.returncode, 0)

    return run


PARTS: dict[str, Callable[[Workplace, argparse.Namespace, Report], None]] = {
    "end_to_end": end_to_end,
    "days": days,
    "overhead": overhead,
    "reading": against_a_peer("reading", "ingest_day", "pandas", 1.0),
    "validation": against_a_peer("validation", "pandera", "Great Expectations", 1.0),
    "masking": script("masking"),
    "near_duplicates": script("near_duplicates"),
}


def median_of(costs: Sequence[Cost], name: str) -> float:
    """The median of one figure."""
    return statistics.median(getattr(cost, name) for cost in costs)


def machine() -> str:
    """The processor and the versions that the figures depend on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line[:10] == "model name"
        ]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, Polars {pl.__version__}"


def _word(passed: bool) -> str:
    return "pass" if passed else "FAIL"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--json", type=Path, help="a file for every single figure")
    asked = parser.parse_args()
    report = Report({"machine": machine(), "arguments": {name: str(value) for name, value in vars(asked).items()}})
    print(f"Machine: {report.data['machine']}")
    with tempfile.TemporaryDirectory(prefix="curation-benchmark-") as name:
        place = Workplace(Path(name))
        place.generate(WARM_UP_ROWS)
        place.reset()
        warm_up = place.curate(DAYS[0], DAYS[-1])
        report.data["warm_up"] = asdict(warm_up)
        print(
            f"A first run over {WARM_UP_ROWS:,} rows, compiling included: {warm_up.cpu_seconds:.1f} CPU-s", flush=True
        )
        for part in asked.parts:
            PARTS[part](place, asked, report)
            if asked.json:
                asked.json.write_text(json.dumps(report.data, indent=1))
    print("\n| claim | measured | bar | |\n|---|---:|---:|---|")
    print("\n".join(report.verdicts))
    if asked.json:
        asked.json.write_text(json.dumps(report.data, indent=1))
    sys.exit(any("FAIL" in line for line in report.verdicts))


if __name__ == "__main__":
    main()
