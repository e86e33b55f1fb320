"""Parts of the curation benchmark that run inside one process; curation.py starts a fresh one for each measurement.

    python benchmarks/curation_parts.py reading|validation LAKE

The lake holds landing days alone. Prints CPU seconds of all threads as JSON. Everything is loaded before.
"""

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from ft_assets.curation.checked_schema import CURATED_EXAMPLES
from ft_assets.curation.curate import curate
from ft_assets.curation.rules import CurationRules
from ft_assets.curation.tokens import TokenCounter
from ft_assets.ingest.landing import ingest_day
from ft_assets.lake import Lake
from ft_assets.settings import read_settings
from ft_assets.validated import validated

WARM_UP_ROWS = 200

Seconds = dict[str, float]


def reading(lake: Lake) -> Seconds:
    """Landing files to typed rows and rejections, as both pipelines do it; and `pandas.read_json` alone."""
    import pandas as pd
    from plain_reading import read_day, type_day  # noqa: PLC0415

    days, folder = lake.landing_days(), Path(lake.url) / "landing"
    ingest_day(lake, days[0])
    ours = seconds_of(lambda: [ingest_day(lake, day) for day in days])
    peer = seconds_of(lambda: [type_day(read_day(folder, day)[0], set()) for day in days])
    whole = [_whole_lines(lake, day) for day in days]
    parsing = seconds_of(lambda: [pd.read_json(io.BytesIO(lines), lines=True, dtype=False) for lines in whole])
    return {"ours": ours, "peer": peer, "pandas.read_json alone": parsing}


def _whole_lines(lake: Lake, day: str) -> bytes:
    """Without the broken ones, at which pandas stops."""
    content = b"".join(lake.read_landing(day, file.name) for file in lake.landing_files(day))
    return b"\n".join(line for line in content.split(b"\n") if _is_whole(line))


def _is_whole(line: bytes) -> bool:
    try:
        json.dumps(json.loads(line), ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


def validation(lake: Lake) -> Seconds:
    """Both on the same examples; Great Expectations gets the rules that it can express: not those on lists."""
    from plain_validation import rules, validate  # noqa: PLC0415 - its import is not measured

    days = lake.landing_days()
    raw = pl.concat([ingest_day(lake, day).rows for day in days])
    examples = curate(raw, CurationRules(), {}, count_tokens=TokenCounter(read_settings().tokenizer).count).examples
    flat = [name for name, kind in examples.schema.items() if not kind.is_nested()]
    filled = [name for name in flat if name in CURATED_EXAMPLES.required]
    ids = ("example_id", "prompt_id", "answer_id", "duplicate_group", "cluster_id")
    expected = rules(days, filled, ids, {"quality_score": (0.0, 1.0), "n_tokens": (0.0, 1e9)})
    frame = examples.select(flat).to_pandas()
    validated(CURATED_EXAMPLES, examples.head(WARM_UP_ROWS), days)
    validate(frame.head(WARM_UP_ROWS), expected)
    ours = seconds_of(lambda: validated(CURATED_EXAMPLES, examples, days))
    peer = seconds_of(lambda: validate(frame, expected))
    return {"ours": ours, "peer": peer, "rows": examples.height}


def seconds_of(work: Callable[[], object]) -> float:
    """CPU seconds of all threads."""
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    part, folder = sys.argv[1], Path(sys.argv[2])
    print(json.dumps({"reading": reading, "validation": validation}[part](Lake(str(folder)))))
