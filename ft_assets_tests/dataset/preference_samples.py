"""Curated answers with real ids, for the tests of preference pairs."""

import hashlib
from collections.abc import Sequence
from typing import Any

import polars as pl

from ft_assets.curation.identity import answer_id, prompt_and_example_id
from ft_assets.curation.schema import CURATED_COLUMNS
from ft_assets.curation.turns import Conversation, Turn

Row = dict[str, Any]
DAY = "2026-03-10"
LATER: dict[str, Any] = {
    "original_answer": pl.String,
    "faults": pl.List(pl.String),
    "conflicting": pl.Boolean,
}
SCHEMA = pl.Schema(CURATED_COLUMNS | LATER)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def signal(name: str, value: float, source: str = "user") -> Row:
    return {"name": name, "value": float(value), "source": source}


def answer(prompt: str, text: str, rating: float | None = None, system: str | None = None, **differs: Any) -> Row:
    """One row of `curated_examples`; what differs from a plain answer of DAY is an argument."""
    turns = [Turn("user", prompt), Turn("assistant", text, differs.pop("tool_calls", None))]
    conversation = Conversation.of([Turn("system", system), *turns] if system else turns)
    prompt_id, example_id = prompt_and_example_id(conversation)
    row = {
        "example_id": example_id,
        "interaction_ids": [f"log-{example_id[:8]}"],
        "day": DAY,
        "role": "qa-engineer",
        "task_type": "test_cases",
        "reasoning_mode": "standard",
        "source": "ide-plugin",
        "source_kind": "interaction",
        "prompt_id": prompt_id,
        "messages": [turn._asdict() for turn in conversation.turns()],
        "high_score": True,
        "signals": [] if rating is None else [signal("rating", rating)],
        "human_verified": False,
        "corrected": False,
        "tags": [],
        "answer_id": answer_id(conversation),
        "duplicate_group": example_id,
        "cluster_id": sha(prompt),
        "linked_clusters": [],
        "n_tokens": 12,
        "masked": [],
        "original_answer": None,
        "faults": [],
        "conflicting": False,
    }
    return row | differs


def corrected(prompt: str, text: str, original: str | None, **differs: Any) -> Row:
    """An answer that an expert wrote in the place of the original one."""
    signals = [signal("correction", 1.0, "expert")]
    return answer(prompt, text, corrected=True, original_answer=original, signals=signals, **differs)


def table(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA)


def said(pairs: pl.DataFrame) -> list[tuple[str, str]]:
    """The chosen and the rejected text of each pair, sorted."""
    texts = [[turns[0]["content"] for turns in pairs[side]] for side in ("chosen", "rejected")]
    return sorted(zip(*texts, strict=True))
