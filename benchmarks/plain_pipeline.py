"""The same work as the job `curate`, as people write it: pandas, datasketch and `re`.

    python benchmarks/plain_pipeline.py LAKE OUT [--no-checks] [--no-validation]

Reads LAKE/landing/<day>/*.jsonl day by day and writes OUT/raw, OUT/curated and OUT/rejections as one Parquet file per
day. Per day: JSON lines to typed columns, reasons for what cannot be read, one spelling of every text (NFC), structure
rules, the high-score rule, faults of answers, masking, exact duplicates by SHA-256, near-duplicates of prompt and
answer over all days so far, clusters with conversations and equal prompts, token counts; then the two checks that the
job has, too (no secret is left, every record is accounted for) and validation of the output with Great Expectations.

It is plain, not slow on purpose: columns where pandas has them, compiled patterns, `MinHash.generator`, the batch and
fast form of the tokenizer, JSON by the line because that is cheaper than `pandas.read_json`. It keeps its index in
memory, cannot resume, and knows fewer formats. Prints its stages as JSON: CPU seconds, rows, peak memory.
"""

import argparse
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd  # noqa: TID253 - what this pipeline is made of
from plain_curation import COLUMNS, PlainCuration
from plain_masking import holds_secret
from plain_reading import Rejection, read_day, type_day

TOKENIZER = Path(__file__).resolve().parent.parent / "data" / "tiny_base" / "tokenizer.json"
STARTED = "import"


class Stages:
    """CPU seconds by stage, of all threads of this process."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter({STARTED: time.process_time()})

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.seconds[name] += time.process_time() - started


def run(lake: Path, out: Path, check: bool, validate: bool) -> dict[str, Any]:
    """Curates every landing day, oldest first; what it cost and what came out."""
    stage, counts = Stages(), Counter[str]()
    curation = PlainCuration(TOKENIZER, stage)
    known_ids: set[str] = set()
    for name in ("raw", "curated", "rejections"):
        (out / name).mkdir(parents=True)
    days = sorted(path.name for path in (lake / "landing").iterdir())
    for day in days:
        with stage("read"):
            frame, unread = read_day(lake / "landing", day)
        with stage("type"):
            raw, unusable = type_day(frame, known_ids)
        with stage("write"):
            raw.to_parquet(out / "raw" / f"{day}.parquet", compression="zstd", index=False)
        curated, dropped = curation.day(raw)
        with stage("write"):
            write_rejections(out / "rejections" / f"{day}.parquet", [*unread, *unusable, *dropped])
            curated.to_parquet(out / "curated" / f"{day}.parquet", compression="zstd", index=False)
        counts.update(records=len(frame) + len(unread), raw=len(raw), curated=len(curated))
        counts.update(high_score=int(curated["high_score"].sum()), rejected=len(unread) + len(unusable) + len(dropped))
        counts.update(near_duplicates=int((curated["duplicate_group"] != curated["example_id"]).sum()))
        if check:
            with stage("checks"):
                check_day(curated, len(frame) + len(unread), len(unread) + len(unusable) + len(dropped))
    if validate:
        with stage("validation"):
            validate_output(out / "curated", days)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_gb = peak / (1024**3 if sys.platform == "darwin" else 1024**2)
    return {"cpu_seconds": stage.seconds, "total": time.process_time(), "rows": counts, "peak_gb": peak_gb}


def write_rejections(path: Path, rejections: list[Rejection]) -> None:
    """The day's rejections as a table."""
    pd.DataFrame(rejections, columns=["stage", "day", "place", "rule", "reason"]).to_parquet(path, index=False)


def check_day(curated: pd.DataFrame, records: int, rejected: int) -> None:
    """The two claims that the job's blocking checks make, too."""
    texts = [turn["content"] for turns in curated["messages"] for turn in turns]
    left = sum(holds_secret(text) for text in texts)
    if left or records != len(curated) + rejected:
        print(f"{left} texts still hold a secret; {records} records, {len(curated)} rows, {rejected} rejected")


def validate_output(folder: Path, days: list[str]) -> None:
    """Great Expectations on the whole output, once, without the texts."""
    from plain_validation import rules, validate  # noqa: PLC0415 - its import costs two CPU-seconds

    frame = pd.read_parquet(folder, columns=[name for name in COLUMNS if name not in ("messages", "faults")])
    filled = ("example_id", "interaction_id", "day", "high_score", "cluster_id", "n_tokens")
    ranges = {"quality_score": (0.0, 1.0), "n_tokens": (1.0, 1e6), "rating": (1.0, 5.0)}
    for failure in validate(frame, rules(days, filled, ("example_id", "prompt_id", "cluster_id"), ranges)):
        print(f"validation: {failure}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lake", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--no-checks", action="store_true")
    parser.add_argument("--no-validation", action="store_true")
    asked = parser.parse_args()
    print(json.dumps(run(asked.lake, asked.out, not asked.no_checks, not asked.no_validation)))


if __name__ == "__main__":
    main()
