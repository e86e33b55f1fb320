"""Real rated interactions and public task sets, as they are, through ingest and curation."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest

import ft_assets
from ft_assets.curation.curate import Curated, curate
from ft_assets.curation.pii import still_secret
from ft_assets.ingest.landing import DayIngest, ingest_day
from ft_assets.lake import Lake
from ft_assets_tests.ingest.reading import adds_up

DATA = Path(ft_assets.__file__).parents[2] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the folder with real data is not there")

DAY = "2026-01-05"
CLOSED = [
    "classification_paws",
    "classification_tool_relevance",
    "qa_commonsense",
    "qa_cosmos",
    "qa_qasc",
    "qa_quartz",
    "qa_ropes",
]
FREE = ["code_instructions", "code_summarization", "gsm8k_io", "preferences"]


@cache
def through(name: str) -> tuple[DayIngest, Curated]:
    with TemporaryDirectory() as root:
        lake = Lake(root)
        lake.land(DAY, f"{name}.jsonl", (DATA / f"{name}.jsonl").read_bytes())
        ingested = ingest_day(lake, DAY, {})
    return ingested, curate(ingested.rows)


def line_count(name: str) -> int:
    return sum(1 for line in (DATA / f"{name}.jsonl").open("rb") if line.strip())


def assert_nothing_disappears(ingested: DayIngest, curated: Curated) -> None:
    assert adds_up(ingested)
    counts = curated.counts_by_day[DAY]
    assert counts["rows"] == ingested.rows.height == curated.examples.height + len(curated.rejections)
    merged = curated.examples["interaction_ids"].explode()
    duplicates = counts["rejected_by_rule"].get("exact_duplicate", 0)
    assert merged.n_unique() == len(merged) == curated.examples.height + duplicates


def assert_no_secret(curated: Curated) -> None:
    texts = [turn["content"] for turns in curated.examples["messages"] for turn in turns]
    assert [text for text in texts if still_secret(text)] == []


def test_rated_interactions_split_into_good_low_and_rejected() -> None:
    ingested, curated = through("interactions")
    assert ingested.rows.height == line_count("interactions") == 2250
    assert_nothing_disappears(ingested, curated)
    assert_no_secret(curated)
    counts = curated.counts_by_day[DAY]
    assert set(counts["rejected_by_rule"]) == {"answer_too_short", "exact_duplicate"}
    assert counts["high_score"] > 900
    assert set(counts["low_score"]) <= {"rating", "judge", "fault"}
    assert counts["masked"]["EMAIL"] >= 7
    assert counts["masked"]["PHONE"] >= 4


def test_short_answers_of_closed_tasks_survive_with_a_passing_signal() -> None:
    _, curated = through("interactions")
    length = pl.col("messages").list.last().struct.field("content").str.len_chars()
    short = curated.examples.filter(pl.col("high_score") & (length < 50))
    assert short.filter(pl.col("task_type") == "api_call").height > 50
    assert set(short["task_type"]) <= {"api_call", "math", "qa", "code", "classification", "extraction", "translation"}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_answers_without_a_signal_are_kept_as_examples_and_are_not_high_score(name: str) -> None:
    ingested, curated = through(name)
    assert ingested.rows.height == line_count(name)
    assert_nothing_disappears(ingested, curated)
    assert curated.examples.height >= 0.98 * ingested.rows.height
    task = "classification" if name.startswith("classification") else "question_answering"
    assert curated.examples["task_type"].unique().to_list() == [task]
    assert curated.examples["high_score"].any() is False
    assert curated.examples["low_score_reason"].unique().to_list() == ["no signal"]
    assert_no_secret(curated)


@pytest.mark.parametrize("name", CLOSED[:3])
def test_closed_answers_with_a_passing_signal_are_high_score(name: str) -> None:
    ingested, _ = through(name)
    curated = curate(ingested.rows.with_columns(rating=pl.lit(5.0)))
    assert curated.examples["high_score"].all()
    assert curated.examples.height >= 0.98 * ingested.rows.height


@pytest.mark.parametrize("name", FREE)
def test_the_other_task_sets_are_kept_or_rejected_with_a_reason(name: str) -> None:
    ingested, curated = through(name)
    assert ingested.counts["records"] == line_count(name)
    assert ingested.counts["expanded"] == (line_count(name) if name == "preferences" else 0)
    assert set(ingested.counts["rejected_by_rule"]) <= {"duplicate_interaction"}
    assert_nothing_disappears(ingested, curated)
    assert_no_secret(curated)
    assert set(curated.counts_by_day[DAY]["rejected_by_rule"]) <= {"answer_too_short", "exact_duplicate"}


def test_task_sets_in_formats_that_nobody_knows_are_rejected_line_by_line() -> None:
    ingested, curated = through("mbpp_tasks")
    assert ingested.counts["rejected_by_rule"] == {"unknown_format": line_count("mbpp_tasks")}
    assert curated.examples.height == 0
