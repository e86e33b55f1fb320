"""The data card: a funnel that adds up, and a page that tells somebody who does not know the data what they are."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ft_assets.dataset.card import card, write_card
from ft_assets.dataset.card_facts import Subject, facts_of, faults_of_line
from ft_assets.dataset.card_funnel import Landed, funnel_of
from ft_assets.dataset.card_rows import preferences_by_side, snapshot_rows
from ft_assets.dataset.card_words import label, share, table
from ft_assets.dataset.select import Selector
from ft_assets.dataset.snapshot import build_snapshot
from ft_assets.dataset.split import SplitFractions
from ft_assets.dataset.summary import SnapshotSummary

Row = dict[str, Any]
QA = Selector(roles=("qa-engineer",), task_types=("test_cases", "bug_identification", "test_planning"))
ABOUT = {
    "user_id": pl.String,
    "source_kind": pl.String,
    "model_version": pl.String,
    "corrected": pl.Boolean,
    "signals": pl.List(pl.Struct({"name": pl.String, "value": pl.Float64, "source": pl.String})),
    "masked": pl.List(pl.Struct({"kind": pl.String, "count": pl.Int64})),
    "faults": pl.List(pl.String),
    "conflicting": pl.Boolean,
}


@pytest.fixture
def mixed(row: Callable[..., Row], curated: Callable[[Sequence[Row]], pl.DataFrame]) -> pl.DataFrame:
    """60 good rows of two tasks, 5 low ones of which 2 have faults, 4 of another role, and a copy merged into one."""
    tasks = ("test_cases", "bug_identification")
    good = [
        row(f"e{i:02d}", day=f"2026-01-{i % 9 + 1:02d}", task_type=tasks[i % 2], human_verified=i % 3 == 0)
        for i in range(60)
    ]
    good[7]["interaction_ids"] = ["log-e07", "log-e07-again"]
    low = [row(f"low{i}", high_score=False, low_score_reason="rating 2 of 5") for i in range(5)]
    others = [row(f"pm{i}", role="product-manager") for i in range(4)]
    rows = [*good, *low, *others]
    about = {
        "user_id": [f"u{i % 3}" if i else None for i in range(len(rows))],
        "source_kind": ["interaction"] * len(rows),
        "model_version": ["m-1"] * len(rows),
        "corrected": [i % 10 == 0 for i in range(len(rows))],
        "signals": [[{"name": "rating", "value": 4.0 + i % 2, "source": "user"}] for i in range(len(rows))],
        "masked": [[{"kind": "EMAIL", "count": 2}] if i < 3 else [] for i in range(len(rows))],
        "faults": [["refusal"] if name in ("low0", "low1") else [] for name in (each["example_id"] for each in rows)],
        "conflicting": [name == "low2" for name in (each["example_id"] for each in rows)],
    }
    return curated(rows).with_columns(pl.Series(name, about[name], dtype=kind) for name, kind in ABOUT.items())


@pytest.fixture
def rejections() -> pl.DataFrame:
    """Three unreadable records, and the copy that was merged."""
    stages = [("ingest", "not_json")] * 3 + [("curation", "exact_duplicate")]
    return pl.DataFrame(stages, schema=["stage", "rule"], orient="row")


LANDED = Landed(interactions=70, feedback=5)


@pytest.fixture
def made(mixed: pl.DataFrame, tmp_path: Path) -> tuple[Path, SnapshotSummary]:
    """The snapshot of `mixed` and its counts."""
    directory = tmp_path / "snapshot"
    return directory, build_snapshot(mixed, QA, "key", SplitFractions(), [], None, directory)


@pytest.fixture
def subject(mixed: pl.DataFrame, rejections: pl.DataFrame, made: tuple[Path, SnapshotSummary]) -> Subject:
    summary = made[1]
    funnel = funnel_of(summary, QA, mixed, rejections, LANDED)
    faults = faults_of_line(mixed, QA)
    return Subject("qa-engineer", "Writes test cases.", "f" * 64, summary, QA, funnel, ("too few",), faults=faults)


def page(subject: Subject, rows: pl.DataFrame, last: pl.DataFrame | None = None) -> str:
    return card(subject, facts_of(subject, rows, last), {})


def test_the_funnel_leads_from_every_record_to_the_rows_and_adds_up(subject: Subject):
    assert subject.funnel.problems == []
    assert [(step.name, step.count) for step in subject.funnel.steps] == [
        ("records in the landing files", 78),
        ("logged answers", 70),
        ("curated examples, all lines", 69),
        ("examples of this line", 65),
        ("rows of the snapshot", sum(subject.summary.rows_by_side.values())),
    ]
    assert subject.funnel.steps[0].taken == {"not_json": 3, "feedback about answers": 5}
    assert subject.funnel.steps[3].taken["rating too low"] == 5


def test_a_copy_that_curation_merged_is_taken_away_once(subject: Subject):
    assert subject.summary.drops["duplicate"] == 1
    assert "duplicate" not in subject.funnel.steps[3].taken
    assert subject.funnel.steps[1].taken == {"exact_duplicate": 1}


def test_tables_that_moved_since_are_said_not_to_add_up(
    mixed: pl.DataFrame, rejections: pl.DataFrame, made: tuple[Path, SnapshotSummary], subject: Subject
):
    later = funnel_of(made[1], QA, mixed.head(40), rejections, LANDED)
    assert any("the tables moved since" in problem for problem in later.problems)
    rows = snapshot_rows(made[0], mixed)
    assert "**It does not add up.**" in page(replace(subject, funnel=later), rows)


def test_an_example_of_two_days_counts_with_the_day_it_was_chosen_from(
    mixed: pl.DataFrame, made: tuple[Path, SnapshotSummary]
):
    twin = mixed.filter(pl.col("example_id") == "e05").with_columns(
        day=pl.lit("2025-12-31"), interaction_ids=pl.lit(["elsewhere"]), high_score=pl.lit(False)
    )
    rows = snapshot_rows(made[0], pl.concat([twin, mixed]))
    assert rows.filter(pl.col("example_id") == "e05")["day"].to_list() == ["2026-01-06"]
    assert rows.height == sum(made[1].rows_by_side.values())


def test_rows_that_left_the_tables_are_kept_and_told(
    mixed: pl.DataFrame, made: tuple[Path, SnapshotSummary], subject: Subject
):
    rows = snapshot_rows(made[0], mixed.filter(~pl.col("example_id").is_in(["e01", "e02"])))
    assert rows.filter(~pl.col("known"))["example_id"].to_list() == ["e01", "e02"]
    assert "**2 rows are not in the tables any more**" in page(subject, rows)


def test_a_table_from_before_the_columns_were_there_still_gives_a_card(
    mixed: pl.DataFrame, made: tuple[Path, SnapshotSummary], subject: Subject
):
    older = mixed.drop(*ABOUT, "n_tokens", "quality_score")
    assert faults_of_line(older, QA) is None
    text = page(replace(subject, faults=None), snapshot_rows(made[0], older))
    assert "were not looked for in these days" in text
    assert "No row has a score" in text


def test_the_card_names_gaps_faults_and_what_it_cannot_show(
    mixed: pl.DataFrame, made: tuple[Path, SnapshotSummary], subject: Subject
):
    text = page(subject, snapshot_rows(made[0], mixed))
    assert "fewer than 20 train rows: test_planning 0" in text
    assert "| refusal (the answer refuses) | 2 | 0 |" in text and "| conflicting votes | 1 | 0 |" in text
    assert "- too few" in text
    assert "3 users asked" in text and "1 row does not say who" in text
    assert "| EMAIL | 6 | 3 |" in text
    assert "There is no earlier snapshot to compare with." in text


def test_the_card_says_what_changed(mixed: pl.DataFrame, made: tuple[Path, SnapshotSummary], subject: Subject):
    rows = snapshot_rows(made[0], mixed)
    before = subject.summary.model_copy(update={"rows_by_side": {"train": 10, "validation": 1, "eval": 2}})
    last = rows.head(13).with_columns(answer_characters=pl.lit(500))
    text = page(replace(subject, last="a" * 64, last_summary=before), rows, last)
    assert f"{rows.height - 13} rows are new and 0 are gone" in text
    assert f"| train rows | 10 | {subject.summary.rows_by_side['train']} | +" in text
    assert "| characters of an answer | 500 |" in text and "| 1 | yes |" in text


def test_no_text_and_no_user_of_any_row_is_in_the_card(
    mixed: pl.DataFrame, made: tuple[Path, SnapshotSummary], subject: Subject
):
    secret = mixed.with_columns(user_id=pl.lit("jane.doe"))
    text = page(subject, snapshot_rows(made[0], secret))
    assert "jane" not in text and "Given e0" not in text and "Test e0" not in text


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "a | b", "[click](http://x.example)", "www.x.example", "`code`", "*bold*", "# head"],
)
def test_names_that_came_with_the_data_cannot_break_the_page(name: str):
    assert not [sign for sign in ("<", ">", "|", "[", "]", "`", "*", "://", "www.") if sign in label(name)]
    assert not label(name).startswith("#")


def test_a_long_name_is_cut_and_lines_become_one():
    assert len(label("x" * 10_000)) == 60
    assert label("one\ntwo") == "one two"


def test_numbers_read_well():
    assert [share(value) for value in (0, 0.0004, 0.021, 0.5, 1)] == ["0 %", "under 0.1 %", "2.1 %", "50 %", "100 %"]
    assert table(["a", "b"], [("x", 12_345), ("y", 0.5)]).splitlines() == [
        "| a | b |",
        "| --- | ---: |",
        "| x | 12,345 |",
        "| y | 0.5 |",
    ]


def test_preference_pairs_are_counted_by_side(tmp_path: Path):
    assert preferences_by_side(tmp_path) is None
    (tmp_path / "preferences.jsonl").write_text("")
    assert preferences_by_side(tmp_path) == {"train": 0, "validation": 0, "eval": 0}
    lines = [{"side": "train", "chosen": [{"content": "a"}]}, {"side": "train"}, {"side": "eval", "gap": 1.5}]
    (tmp_path / "preferences.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert preferences_by_side(tmp_path) == {"train": 2, "validation": 0, "eval": 1}


@pytest.mark.slow
@pytest.mark.parametrize("days", [1, 9, 300])
def test_the_card_with_its_pictures_is_the_same_every_time_and_small(
    mixed: pl.DataFrame, made: tuple[Path, SnapshotSummary], subject: Subject, tmp_path: Path, days: int
):
    day = pl.date(2026, 1, 1) + pl.duration(days=pl.int_range(pl.len()) * days // pl.len())
    rows = snapshot_rows(made[0], mixed).with_columns(day=day.cast(pl.String))
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        text = write_card(tmp_path / name, subject, rows, rows.head(30))
        assert text.count("](data:image/png;base64,") == 5
        found.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert found[0] == found[1]
    assert all(len(content) < 60_000 for content in found[0].values())
    assert set(found[0]) == {"card.md", "facts.json"} | {
        f"{name}.png" for name in ("funnel", "days", "coverage", "tokens", "scores")
    }


@pytest.mark.service
def test_a_snapshot_without_anything_to_draw_has_a_card(
    mixed: pl.DataFrame, made: tuple[Path, SnapshotSummary], subject: Subject, tmp_path: Path
):
    (tmp_path / "card").mkdir()
    bare = snapshot_rows(made[0], mixed.drop(*ABOUT, "n_tokens", "quality_score").clear())
    text = write_card(tmp_path / "card", subject, bare, None)
    assert sorted(path.stem for path in (tmp_path / "card").glob("*.png")) == ["coverage", "funnel"]
    assert "60 rows are not in the tables any more" in text.replace(str(bare.height), "60")
