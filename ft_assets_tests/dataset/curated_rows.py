"""Rows of `curated_examples` for tests: each good, and alone in its cluster."""

from typing import Any

from ft_assets_tests.dataset.conftest import TYPES, turns


def curated_row(
    line: str, name: str, day: str, task_type: str = "test_cases", said: tuple[str, str] | None = None
) -> dict[str, Any]:
    """A row of the line's role; `said` is its question and its answer."""
    question, answer = said or (f"Test {name}?", f"Given {name}, when it runs, then it ends.")
    return {
        **dict.fromkeys(TYPES),
        "example_id": name,
        "interaction_ids": [f"log-{name}"],
        "day": day,
        "role": line,
        "task_type": task_type,
        "reasoning_mode": "standard",
        "source": "ide-plugin",
        "tags": [],
        "prompt_id": f"prompt-{name}",
        "answer_id": f"answer-{name}",
        "cluster_id": f"cluster-{name}",
        "linked_clusters": [],
        "duplicate_group": name,
        "messages": turns(question, answer),
        "high_score": True,
        "quality_score": 0.9,
        "human_verified": False,
        "n_tokens": 12,
    }
