"""A real lake with real landing files, and a real instance, both in a temporary directory."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ft_assets.lake import Lake
from ft_assets.state import State
from ft_assets.tracking import Tracking
from ft_assets_tests.defs.evaluated_lines import EvaluatedLines
from ft_assets_tests.evaluation.chat_server import ChatServer, chat_server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), tmp_path / "cache")


@pytest.fixture
def resources(lake: Lake, tmp_path: Path) -> dict[str, Any]:
    return {
        "lake": lake,
        "state": State(f"sqlite:///{tmp_path}/state.db"),
        "tracking": Tracking(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "spool"),
    }


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(
        str(tmp_path / "dagster"), overrides={"telemetry": {"enabled": False}}
    ) as instance:
        yield instance


@pytest.fixture
def land(lake: Lake) -> Callable[..., None]:
    """Lands rated answers of one role on one day."""

    def put(day: str, count: int, role: str = "software-developer", start: int = 0, name: str = "log.jsonl") -> None:
        rows = [
            {
                "interaction_id": f"{role}-{day}-{number}",
                "role": role,
                "task_type": "debugging",
                "input_text": f"{role} asks on {day} why request number {number} of the {number % 17} queue fails",
                "output_text": f"Worker {number} lost its lease on queue {number % 17}; restart it and look again.",
                "user_feedback": 5,
                "source": "test",
            }
            for number in range(start, start + count)
        ]
        lake.land(day, name, "".join(json.dumps(row) + "\n" for row in rows).encode())

    return put


@pytest.fixture
def lines(tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> EvaluatedLines:
    """Model lines as their assets leave them before an evaluation."""
    return EvaluatedLines(tmp_path, instance, monkeypatch)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    """A server of chat completions; `answering` says what its models answer."""
    with chat_server() as server:
        yield server
