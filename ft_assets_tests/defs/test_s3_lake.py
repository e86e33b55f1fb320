"""The same assets on a lake that lives on S3."""

import json
import random
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ft_assets.defs.conventions import SPECIALIZATIONS
from ft_assets.defs.dataset import train_eval_split
from ft_assets.defs.snapshot_checks import snapshot_checks
from ft_assets.lake import Lake
from ft_assets_tests.defs.test_data_wing import run_days

pytestmark = pytest.mark.service


@pytest.fixture
def lake(bucket: str, tmp_path: Path) -> Lake:
    return Lake(f"s3://{bucket}/prefix", tmp_path / "cache")


def answers_of(day: str, count: int) -> bytes:
    """Rated answers that have no words in a row in common."""
    draw = random.Random(day)
    words = [f"word{number}" for number in range(400)]
    rows = [
        {
            "id": f"{day}-{number}",
            "role": "qa-engineer",
            "input_text": " ".join(draw.sample(words, 15)),
            "output_text": " ".join(draw.sample(words, 15)),
            "rating": 5,
        }
        for number in range(count)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_days_and_a_snapshot_are_written_to_s3_in_two_runs(
    lake: Lake,
    instance: dg.DagsterInstance,
    resources: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = SPECIALIZATIONS["qa-engineer"]
    select = spec.select.model_copy(update={"task_types": ()})
    monkeypatch.setitem(SPECIALIZATIONS, "qa-engineer", spec.model_copy(update={"select": select}))
    for day in ("2026-03-01", "2026-03-02", "2026-03-03"):
        lake.land(day, "log.jsonl", answers_of(day, 60))
    assert run_days(instance, resources, "2026-03-01", "2026-03-03").success
    result = dg.materialize(
        [train_eval_split, snapshot_checks],
        partition_key="qa-engineer",
        instance=instance,
        resources=resources,
    )
    made = result.asset_materializations_for_node("train_eval_split")[0]
    snapshot = lake.artifact("snapshot", str(made.metadata["digest"].value))
    rows = sum(
        len((snapshot.path / f"{side}.jsonl").read_text().splitlines()) for side in ("train", "validation", "eval")
    )
    assert rows == 180
    assert lake.scan("curated_examples", {"day": ["2026-03-02"]}).collect().height == 60
