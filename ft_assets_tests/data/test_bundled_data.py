"""The bundled interactions and golden set are what their generator makes, and hold what the demo promises."""

import gzip
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "data"
FOLDERS = ("landing", "landing_second", "golden")


def contents(root: Path) -> dict[str, bytes]:
    """Every file as text bytes; gzip files unpacked, because their container depends on the zlib at hand."""
    files = (path for folder in FOLDERS for path in sorted((root / folder).rglob("*")) if path.is_file())
    return {
        path.relative_to(root).as_posix(): gzip.decompress(path.read_bytes())
        if path.suffix == ".gz"
        else path.read_bytes()
        for path in files
    }


def rows(folder: str) -> list[dict]:
    """The native rows of a batch; lines that are broken on purpose are left out."""
    found = []
    for name, content in contents(DATA).items():
        if not name.startswith(f"{folder}/") or not name.endswith((".jsonl", ".jsonl.gz")):
            continue
        for line in content.decode().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and "interaction_id" in row:
                found.append(row)
    return found


def test_the_generator_makes_exactly_what_is_shipped(tmp_path: Path) -> None:
    subprocess.run([sys.executable, DATA / "make_interactions.py", "--out", tmp_path], check=True, capture_output=True)
    assert contents(tmp_path) == contents(DATA)


def test_the_first_batch_lacks_the_task_that_the_second_brings() -> None:
    first = Counter(row["task_type"] for row in rows("landing"))
    second = Counter(row["task_type"] for row in rows("landing_second"))
    assert first["code_generation"] == 0
    assert second["code_generation"] >= 150


def test_the_logs_cover_five_roles_over_a_month() -> None:
    assert len({row["role"] for row in rows("landing")}) == 5
    assert len({path.name for path in (DATA / "landing").iterdir()}) >= 30


@pytest.mark.parametrize("batch", ["landing", "landing_second"])
def test_no_interaction_asks_a_golden_question(batch: str) -> None:
    golden = [json.loads(line) for line in (DATA / "golden" / "software-developer.jsonl").read_text().splitlines()]
    assert len({row["cluster_id"] for row in golden}) == len(golden) >= 200
    assert {row["task_type"] for row in golden} == {"debugging", "commit_message", "code_generation"}
    asked = {row["input_text"].strip() for row in rows(batch)}
    assert not asked & {row["messages"][0]["content"].strip() for row in golden}
