"""A backfill that is killed at any moment and run again gives what one that was never killed gives."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from ft_assets.lake import Lake

pytestmark = pytest.mark.service
DAYS = [f"2026-03-{day:02d}" for day in range(1, 13)]
BACKFILL = """
import sys
from ft_assets.defs.curation import Curation
from ft_assets.defs.sources import ingest_batch
from ft_assets.lake import Lake

lake, days = Lake(sys.argv[1]), sys.argv[2:]
for day in days:
    ingest_batch(lake, [day])
curation = Curation(lake)
print("curating", flush=True)
for day in days:
    curation.curate_batch([day])
print("done", flush=True)
"""


def land(lake: Lake) -> None:
    draw = random.Random(3)
    words = [f"word{number}" for number in range(200)]
    texts: list[str] = []
    for day in DAYS:
        rows = []
        for number in range(60):
            text = draw.choice(texts) if texts and draw.random() < 0.3 else " ".join(draw.choices(words, k=90))
            text = f"{text} edited {number}" if draw.random() < 0.5 else text
            texts.append(text)
            rows.append({"id": f"{day}-{number}", "input_text": f"say {text}", "output_text": text, "rating": 5})
        lake.land(day, "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())


def started(root: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", BACKFILL, str(root), *DAYS]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


def content(root: Path) -> dict[str, pl.DataFrame]:
    lake = Lake(str(root))
    keys = {"raw_interactions": ["interaction_id"], "curated_examples": ["example_id"], "rejections": ["day", "place"]}
    return {table: lake.scan(table).collect().sort(key) for table, key in keys.items()}


def test_a_killed_backfill_loses_nothing_and_shows_nothing_half_written(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    for root in (whole, torn):
        land(Lake(str(root)))
    assert started(whole).wait() == 0
    expected = content(whole)
    assert expected["curated_examples"].filter(pl.col("duplicate_group") != pl.col("example_id")).height > 20
    draw = random.Random(5)
    for _ in range(3):
        process = started(torn)
        assert process.stdout is not None
        assert process.stdout.readline() == "curating\n"
        time.sleep(draw.uniform(0.05, 0.8))
        process.send_signal(signal.SIGKILL)
        process.wait()
        lake = Lake(str(torn))
        if lake.exists("curated_examples"):
            seen = lake.scan("curated_examples").collect()
            per_day = dict(expected["curated_examples"].group_by("day").len().rows())
            assert all(per_day[day] == rows for day, rows in seen.group_by("day").len().rows())
    assert started(torn).wait() == 0
    found = content(torn)
    for table, frame in expected.items():
        assert found[table].equals(frame), table
