"""The review queue from the table to people and back through landing, three weeks later, on a real lake."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from ft_assets.defs.curation import Curation
from ft_assets.defs.review import preview, review_queue
from ft_assets.defs.sources import ingest_batch
from ft_assets.ingest.landing import ingest_day
from ft_assets.lake import Lake

DAY, VOTED, BACK = "2026-03-01", "2026-03-02", "2026-03-23"
NAMES = ("alpha", "beta", "gamma", "delta")
IDS = {"alpha": "007", "beta": "=beta", "gamma": "log-gamma", "delta": "550e8400-e29b-41d4-a716-446655440000"}


def put(lake: Lake, day: str, *rows: dict[str, Any]) -> None:
    lake.land(day, "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    ingest_batch(lake, [day])


@pytest.fixture
def quarrel(lake: Lake) -> Lake:
    """Four answers that one user gave five stars and another one star."""
    answers = [
        {
            "interaction_id": IDS[name],
            "input_text": f"- How do I drain the {name} queue of the billing service, and who owns it?",
            "output_text": f"- Stop the {name} consumer.\n- Then replay its {name} log into the {name} table, twice.",
            "user_feedback": 5,
            "user_id": f"asker of {name}",
        }
        for name in NAMES
    ]
    put(lake, DAY, *answers)
    put(lake, VOTED, *({"interaction_id": IDS[name], "rating": 1, "user_id": "grumbler"} for name in NAMES))
    Curation(lake).curate_batch([DAY])
    return lake


def made(resources: dict[str, Any]) -> tuple[Path, dict[str, dg.MetadataValue]]:
    result = dg.materialize([review_queue], resources=resources)
    (materialization,) = result.asset_materializations_for_node("review_queue")
    return Path(str(materialization.metadata["path"].value)), dict(materialization.metadata)


def examples(lake: Lake) -> dict[str, dict[str, Any]]:
    rows = lake.scan("curated_examples").collect().to_dicts()
    return {name: row for row in rows for name in NAMES if IDS[name] == row["interaction_ids"][0]}


FILLED: dict[str, dict[str, str]] = {
    "alpha": {"verdict": "accept", "reviewer": "Ada"},
    "beta": {"verdict": "reject", "reviewer": "Ada", "note": "wrong order"},
    "gamma": {
        "corrected_output": "- Ask the owner of gamma first,\n- then drain it from the runbook.",
        "reviewer": "Bo",
    },
}


def as_jsonl(path: Path) -> bytes:
    rows = [json.loads(line) for line in (path / "review.jsonl").read_text().splitlines()]
    return "".join(json.dumps(row | _filled(row["interaction_id"])) + "\n" for row in rows).encode()


def as_spreadsheet(path: Path, mark: str, end: str, encoding: str, quoting: Any) -> bytes:
    """The CSV file as a spreadsheet saves it: its own marks, line ends and quotation marks."""
    content = (path / "review.csv").read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=mark, lineterminator=end, quoting=quoting)
    writer.writeheader()
    writer.writerows(row | _filled(row["interaction_id"].removeprefix("'")) for row in rows)
    return out.getvalue().encode(encoding)


def _filled(interaction_id: str) -> dict[str, str]:
    return next((filled for name, filled in FILLED.items() if IDS[name] == interaction_id), {})


SAVED_AS: dict[str, Any] = {
    "review.jsonl": as_jsonl,
    "review.csv": lambda path: as_spreadsheet(path, ",", "\r\n", "utf-8-sig", csv.QUOTE_MINIMAL),
    "calc.csv": lambda path: as_spreadsheet(path, ",", "\n", "utf-8", csv.QUOTE_ALL),
    "excel in German.csv": lambda path: as_spreadsheet(path, ";", "\r\n", "utf-8-sig", csv.QUOTE_MINIMAL),
}


def test_what_people_filled_in_comes_back_weeks_later_and_decides(quarrel: Lake, resources: dict[str, Any]) -> None:
    assert all("conflicting votes" in row["low_score_reason"] for row in examples(quarrel).values())
    path, metadata = made(resources)
    assert metadata["rows_by_reason"].value == {"conflicting votes": 4, "new cluster": 4}
    assert "| 1 | conflicting votes, new cluster |" in str(metadata["first_rows"].value)
    assert {each.name for each in path.iterdir()} == {"review.jsonl", "review.csv", "manifest.json"}
    told = []
    for name, save in SAVED_AS.items():
        shutil.rmtree(Path(quarrel.url) / "landing" / BACK, ignore_errors=True)
        quarrel.land(BACK, name, save(path))
        day = ingest_day(quarrel, BACK)
        assert day.counts["rejected_by_rule"] == {"not_reviewed": 1}
        told.append(set(day.feedback.select("interaction_id", "kind", "value", "user_id").rows()))
    assert told == [
        {
            (IDS["alpha"], "verdict", "accept", "Ada"),
            (IDS["beta"], "verdict", "reject", "Ada"),
            (IDS["gamma"], "correction", FILLED["gamma"]["corrected_output"], "Bo"),
        }
    ] * len(SAVED_AS)
    ingest_batch(quarrel, [BACK])
    Curation(quarrel).curate_batch([DAY])
    rows = examples(quarrel)
    outcome = {
        name: (row["high_score"], row["human_verified"], row["corrected"], row["conflicting"])
        for name, row in rows.items()
    }
    assert outcome == {
        "alpha": (True, True, False, False),
        "beta": (False, False, False, False),
        "gamma": (True, True, True, False),
        "delta": (False, False, False, True),
    }
    assert "expert rejected" in rows["beta"]["low_score_reason"]
    assert rows["gamma"]["messages"][-1]["content"] == FILLED["gamma"]["corrected_output"]
    _, metadata = made(resources)
    assert metadata["dagster/row_count"].value == 1, "what was decided is not asked again"


def test_the_preview_shows_text_as_nothing_but_text() -> None:
    hostile = {
        "priority": 1,
        "reasons": ["new cluster"],
        "task_type": None,
        "answer": "x",
        "question": "<img src=x>|a`\n#",
    }
    shown = preview(pl.DataFrame([hostile], schema_overrides={"task_type": pl.String})).splitlines()
    assert len(shown) == 3 and "<img" not in shown[2] and shown[2].count("|") == 6
