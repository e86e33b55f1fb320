from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ft_assets.dataset.golden import GoldenRow
from ft_assets.dataset.select import COLUMNS
from ft_assets.records import Message

Row = dict[str, Any]
MESSAGE = pl.Struct({"role": pl.String, "content": pl.String, "tool_calls": pl.String})
TYPES: dict[str, Any] = {
    **dict.fromkeys(COLUMNS, pl.String),
    "interaction_ids": pl.List(pl.String),
    "messages": pl.List(MESSAGE),
    "high_score": pl.Boolean,
    "quality_score": pl.Float64,
    "human_verified": pl.Boolean,
    "n_tokens": pl.Int64,
    **dict.fromkeys(("linked_clusters", "tags"), pl.List(pl.String)),
}


def turns(*contents: str) -> list[Row]:
    """User and assistant in turn."""
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text, "tool_calls": None} for i, text in enumerate(contents)]


@pytest.fixture
def row() -> Callable[..., Row]:
    """One curated row; whatever differs from a good qa example is an argument."""

    def make(example_id: str, **differs: Any) -> Row:
        return {
            "example_id": example_id,
            "interaction_ids": [f"log-{example_id}"],
            "day": "2026-01-05",
            "role": "qa-engineer",
            "task_type": "test_cases",
            "reasoning_mode": "standard",
            "domain": None,
            "source": "ide-plugin",
            "tags": [],
            "prompt_id": f"prompt-{example_id}",
            "answer_id": f"answer-{example_id}",
            "cluster_id": f"cluster-{example_id}",
            "linked_clusters": [],
            "duplicate_group": example_id,
            "messages": turns(f"Test {example_id}?", f"Given {example_id}"),
            "high_score": True,
            "quality_score": 0.9,
            "human_verified": False,
            "n_tokens": 12,
            "low_score_reason": None,
            **differs,
        }

    return make


@pytest.fixture
def curated() -> Callable[[Sequence[Row]], pl.DataFrame]:
    """The rows as the table `curated_examples`."""
    return lambda rows: pl.DataFrame(list(rows), schema=TYPES)


@pytest.fixture
def many(row: Callable[..., Row], curated: Callable[[Sequence[Row]], pl.DataFrame]) -> pl.DataFrame:
    """200 good rows of two tasks in 200 clusters over ten days."""
    tasks = ("test_cases", "bug_identification")
    return curated([row(f"e{i:03d}", day=f"2026-01-{i % 10 + 1:02d}", task_type=tasks[i % 2]) for i in range(200)])


@pytest.fixture
def golden_row() -> Callable[..., GoldenRow]:
    """One golden question and its answer."""

    def make(question: str, answer: str, name: str = "g1") -> GoldenRow:
        messages = [Message(role="user", content=question), Message(role="assistant", content=answer)]
        return GoldenRow(id=name, cluster_id=f"c-{name}", task_type="test_cases", slice="seen", messages=messages)

    return make


@pytest.fixture
def conversation() -> Callable[..., list[Row]]:
    """Messages from contents, the user first."""
    return turns


@pytest.fixture
def golden_file(tmp_path: Path) -> Callable[[str], Path]:
    """A golden file with this text."""

    def write(text: str) -> Path:
        path = tmp_path / "golden.jsonl"
        path.write_text(text, encoding="utf-8")
        return path

    return write
