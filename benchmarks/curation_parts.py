"""Parts of the curation benchmark that run inside one process; curation.py starts a fresh one for each measurement.

    python benchmarks/curation_parts.py stages|reading|validation LAKE

The lake holds landing days alone. Prints CPU seconds of all threads as JSON. `stages` counts its process from the
start, imports and loading of compiled code included, as the job `curate` is counted; the others load everything before.
"""

import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from ft_assets.curation.checked_schema import CURATED_EXAMPLES
from ft_assets.curation.curate import Curated, curate
from ft_assets.curation.masking import secrets_left
from ft_assets.curation.near_duplicates import Segment
from ft_assets.curation.rules import CurationRules
from ft_assets.curation.tokens import TokenCounter
from ft_assets.ingest.checked_schema import FEEDBACK, RAW_INTERACTIONS
from ft_assets.ingest.landing import DayIngest, ingest_day
from ft_assets.lake import Lake
from ft_assets.rejections_schema import REJECTION_SCHEMA, REJECTIONS
from ft_assets.settings import read_settings
from ft_assets.validated import validated

BATCH_ROWS = 100_000  # as the assets do
WARM_UP_ROWS = 200

Seconds = dict[str, float]


class InnerCuration:
    """Files to frames by the project's own functions in the assets' order and batches, without tables and Dagster."""

    def __init__(self, lake: Lake):
        self.seconds: Seconds = {}
        self._lake = lake
        self._counter = TokenCounter(read_settings().tokenizer)
        self._known = pl.DataFrame(schema={"interaction_id": pl.String, "day": pl.String})
        self._segments: dict[str, Segment] = {}

    def batch(self, days: Sequence[str]) -> Curated:
        """Ingests and curates these days, validates what came of it, and looks for secrets that are left."""
        with self._stage("ingest"):
            ingested = [self._ingest(day) for day in days]
            raw = pl.concat([each.rows for each in ingested])
        with self._stage("curate"):
            curated = curate(raw, CurationRules(), self._segments, count_tokens=self._counter.count)
            self._segments |= curated.segments
        with self._stage("validate"):
            validated(RAW_INTERACTIONS, raw, days)
            validated(CURATED_EXAMPLES, curated.examples, days)
            validated(FEEDBACK, pl.concat([each.feedback for each in ingested]), days)
            problems = [problem.model_dump() for each in ingested for problem in each.rejections]
            validated(REJECTIONS, pl.DataFrame(problems, schema=REJECTION_SCHEMA), days)
            validated(REJECTIONS, curated.rejections, days)
        with self._stage("look for secrets"):
            if left := secrets_left(curated.examples):
                print(f"{len(left)} examples still hold a secret", file=sys.stderr)
        return curated

    def _ingest(self, day: str) -> DayIngest:
        ingested = ingest_day(self._lake, day, self._known)
        self._known = pl.concat([self._known, ingested.rows.select("interaction_id", "day")])
        return ingested

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0) + time.process_time() - started


def stages(lake: Lake) -> Seconds:
    """Everything, batch by batch, with the seconds of each stage and of the whole process."""
    curation = InnerCuration(lake)
    for batch in batches(lake, lake.landing_days()):
        curation.batch(batch)
    return curation.seconds | {"total": time.process_time()}


def batches(lake: Lake, days: Sequence[str]) -> Iterator[list[str]]:
    """The days in groups of at most BATCH_ROWS lines."""
    batch: list[str] = []
    rows = 0
    for day in days:
        lines = sum(lake.read_landing(day, file.name).count(b"\n") for file in lake.landing_files(day))
        if batch and rows + lines > BATCH_ROWS:
            yield batch
            batch, rows = [], 0
        batch.append(day)
        rows += lines
    yield batch


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
    """Both on the examples of a batch; Great Expectations gets the rules that it can express: not those on lists."""
    from plain_validation import rules, validate  # noqa: PLC0415 - its import is not measured

    days = next(batches(lake, lake.landing_days()))
    examples = InnerCuration(lake).batch(days).examples
    flat = [name for name, kind in examples.schema.items() if not kind.is_nested()]
    filled = [name for name in flat if name in CURATED_EXAMPLES.required]
    digests = ("example_id", "prompt_id", "answer_id", "duplicate_group", "cluster_id")
    expected = rules(days, filled, digests, {"quality_score": (0.0, 1.0), "n_tokens": (0.0, 1e9)})
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
    print(json.dumps({"stages": stages, "reading": reading, "validation": validation}[part](Lake(str(folder)))))
