"""Where the curation benchmark works: a folder with a lake, a Dagster instance and the plain side's output."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from generated_interactions import day_names, write_days
from measured_run import Cost, measured

from ft_assets.compute import ALLOCATOR
from ft_assets.lake import Lake

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DAYS = day_names(30)


def _launch(first: str, last: str) -> list[str]:
    """What `dg` is told to curate these days."""
    return ["launch", "--target-path", str(ROOT), "--job", "curate", "--partition-range", f"{first}...{last}"]


@dataclass(frozen=True)
class Workplace:
    """A temporary lake with generated landing days, and a Dagster instance beside it."""

    folder: Path

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    def generate(self, rows: int) -> None:
        """Replaces everything by `rows` generated interactions."""
        shutil.rmtree(self.lake, ignore_errors=True)
        write_days(self.lake, rows, DAYS)

    def reset(self) -> None:
        """Leaves only what landed: no tables, no index, an instance without runs."""
        for path in self.lake.iterdir():
            if path.name not in ("landing", "truth.parquet"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in ("instance", "plain", "cache"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "instance").mkdir()
        shutil.copy(ROOT / "dagster.yaml", self.folder / "instance")
        made = "import dagster; dagster.DagsterInstance.get()"  # its databases: once per installation, so not measured
        subprocess.run([sys.executable, "-c", made], env=self._environment(), check=True)

    def curate(self, first: str, last: str) -> Cost:
        """The job `curate` over these days as one run. Not from the repository: its .env names another instance."""
        program = shutil.which("dg", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        if program is None:
            sys.exit("`dg` is not installed: install the extra `ui` into the environment of this Python.")
        cost = measured([program, *_launch(first, last)], self.folder, self._environment(), self.folder / "launch.log")
        if not (self.folder / "instance" / "storage").exists():
            sys.exit(f"The run was not recorded in {self.folder / 'instance'}, so another Dagster instance was used.")
        return cost

    def share(self, first: str, last: str) -> dict[str, Any]:
        """What part of that run is the project's own functions: see curation_share.py, whose figures these are."""
        return self._figures("curation_share.py", *_launch(first, last))

    def plain(self, *options: str) -> tuple[Cost, dict[str, Any]]:
        """The plain pipeline over all days, and what it says of itself."""
        command = [
            sys.executable,
            str(HERE / "plain_pipeline.py"),
            str(self.lake),
            str(self.folder / "plain"),
            *options,
        ]
        log = self.folder / "plain.log"
        cost = measured(command, self.folder, self._environment(), log)
        return cost, json.loads(log.read_text().splitlines()[-1])

    def inner(self, part: str) -> dict[str, Any]:
        """A part of curation_parts.py in a process of its own; the figures that it prints."""
        return self._figures("curation_parts.py", part, str(self.lake))

    def _figures(self, script: str, *arguments: str) -> dict[str, Any]:
        command = [sys.executable, str(HERE / script), *arguments]
        env = self._environment() | ALLOCATOR
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures

    def _environment(self) -> dict[str, str]:
        own = {
            "FT_ASSETS_LAKE": str(self.lake),
            "FT_ASSETS_CACHE": str(self.folder / "cache"),
            "FT_ASSETS_START_DATE": DAYS[0],
            "DAGSTER_HOME": str(self.folder / "instance"),
            "VIRTUAL_ENV": str(Path(sys.executable).parent.parent),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        ours = ("FT_ASSETS_", "DAGSTER_", "_RJEM_")  # the last one was set by this process's own import of Polars
        return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | own


def counts_of(place: Workplace) -> dict[str, int]:
    """What came in and what came out, from the tables of the lake."""
    lake = Lake(str(place.lake))
    records = pl.read_parquet(place.lake / "truth.parquet").height
    curated = lake.scan("curated_examples")
    near = {"near_duplicates": (pl.col("duplicate_group") != pl.col("example_id")).sum()}
    columns = curated.collect_schema().names()
    counts = curated.select(
        curated=pl.len(), high_score=pl.col("high_score").sum(), **(near if "duplicate_group" in columns else {})
    )
    found = {"near_duplicates": 0} | counts.collect().row(0, named=True)
    raw, rejected = (lake.scan(name).select(pl.len()).collect().item() for name in ("raw_interactions", "rejections"))
    return {"records": records, "raw": raw, "rejected": rejected, **found}


def planted_secrets_left(place: Workplace) -> dict[str, tuple[int, int]]:
    """How many of the planted secrets stand in each side's examples still, and how many those examples had."""
    truth = pl.scan_parquet(place.lake / "truth.parquet").select("interaction_id", "secret").drop_nulls()
    ours = Lake(str(place.lake)).scan("curated_examples").select("messages", pl.col("interaction_ids").list.first())
    plain = pl.scan_parquet(place.folder / "plain" / "curated").select("messages", interaction_ids="interaction_id")
    return {name: _left(frame, truth) for name, frame in (("ours", ours), ("plain", plain))}


def _left(examples: pl.LazyFrame, truth: pl.LazyFrame) -> tuple[int, int]:
    text = pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\n")
    joined = examples.join(truth, left_on="interaction_ids", right_on="interaction_id").with_columns(text=text)
    still = pl.col("text").str.contains(pl.col("secret"), literal=True)
    left, of = joined.select(still.sum(), pl.len().alias("of")).collect(engine="streaming").row(0)
    return left, of
