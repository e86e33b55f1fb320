"""An installation in which one user's texts are everywhere that texts can be: made by the project's own functions."""

import csv
import gzip
import io
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from ft_assets.curation.curate import curate
from ft_assets.curation.judge_schema import JUDGE_CACHE_SCHEMA, JUDGE_SCORES_SCHEMA
from ft_assets.curation.review_files import write_review_files
from ft_assets.dataset.export import write_rows
from ft_assets.dataset.preferences import pairs_of_days
from ft_assets.dataset.rows import read_side
from ft_assets.dataset.select import Selector
from ft_assets.dataset.snapshot import build_snapshot
from ft_assets.dataset.split import SplitFractions
from ft_assets.erasure.forget import Forgotten, Places, forget
from ft_assets.forgotten_users import forgotten_users
from ft_assets.ingest.landing import DayIngest, ingest_day
from ft_assets.lake import Artifact, Lake
from ft_assets.rejections_schema import REJECTION_SCHEMA
from ft_assets.state import State
from ft_assets.training.received import write_received
from ft_assets.training.stage_data import SideRows, TrainingRows

SECRET, LINE, BASE = "a secret of this house", "qa-engineer", "b" * 64
USER, MARKER = "Ada.Forgotten", "zwiebelquarz"
FIRST, SECOND = "2026-03-01", "2026-03-02"


class World:
    """The lake, the state and the Dagster home below one folder."""

    def __init__(self, folder: Path, lake: Lake | None = None):
        self.folder = folder
        self.lake = lake or Lake(str(folder / "lake"), folder / "cache")
        self.state = State(f"sqlite:///{folder}/state.db")
        self.home = folder / "dagster"

    def land(self) -> None:
        """Two days in every format that ingest reads, with records of the user among those of others."""
        mine = [record(number, USER) for number in range(8)]
        others = [record(number, f"user-{number % 9}") for number in range(100, 190)]
        lines = [*others[:20], mine[0], *others[20:40], mine[1]]
        self.lake.land(FIRST, "chat.jsonl", _lines(lines))
        self.lake.land(FIRST, "packed.jsonl.gz", gzip.compress(_lines([mine[2], *others[40:50]])))
        self.lake.land(FIRST, "list.json", json.dumps([others[50], mine[3], others[51]]).encode())
        self.lake.land(FIRST, "container.json", json.dumps({"examples": [mine[4], *others[52:55]]}).encode())
        self.lake.land(SECOND, "sheet.csv", _csv([others[55], mine[5], *others[56:60]]))
        self.lake.land(SECOND, "more.jsonl", _lines([mine[6], *others[60:65]]))
        told: list[dict[str, Any]] = [
            {"interaction_id": "own-0", "correction": f"Better said: the {MARKER} of somebody", "user_id": "user-1"},
            {"interaction_id": "row-100", "rating": 4, "user_id": USER},
            {"interaction_id": "row-101", "rating": 4, "user_id": "user-2"},
        ]
        self.lake.land(SECOND, "feedback.jsonl", _lines([*told, *others[65:]]))
        self.lake.folders.write(f"landing/{SECOND}/_draft.jsonl", _lines([mine[7]]))

    def ingest(self) -> dict[str, DayIngest]:
        """The landing files into the tables, as the asset does it."""
        days = self.lake.landing_days()
        users = forgotten_users(self.state, SECRET)
        found = {day: ingest_day(self.lake, day, forgotten=users) for day in days}
        problems = [each.model_dump() for one in found.values() for each in one.rejections]
        self.lake.replace("rejections", pl.DataFrame(problems, REJECTION_SCHEMA), {"stage": ["ingest"], "day": days})
        self.lake.replace("feedback", pl.concat([each.feedback for each in found.values()]), {"day": days})
        self.lake.replace("raw_interactions", pl.concat([each.rows for each in found.values()]), {"day": days})
        return found

    def curate(self) -> None:
        """The raw rows into examples, and what a judge said about them."""
        days = self.lake.landing_days()
        raw = self.lake.scan("raw_interactions").collect()
        made = curate(raw, feedback=self.lake.scan("feedback").collect())
        self.lake.replace("curated_examples", made.examples, {"day": days})
        self.lake.replace("exact_copies", made.copies, {"day": days})
        for day, segment in made.segments.items():
            self.lake.put_segment("near_duplicates", day, "a" * 64, *segment.parts())
        judged = raw.select("interaction_id", "day").with_columns(
            content_id=pl.col("interaction_id").hash().cast(pl.String).str.zfill(64),
            criterion=pl.lit("clarity"),
            score=pl.lit(0.5),
            status=pl.lit("scored"),
            failure=pl.lit(None, pl.String),
            judge_model=pl.lit("a judge"),
            prompt_version=pl.lit("c" * 64),
            cached=pl.lit(False),
            prompt_tokens=pl.lit(1, pl.Int64),
            completion_tokens=pl.lit(1, pl.Int64),
        )
        self.lake.replace("judge_scores", judged.select(list(JUDGE_SCORES_SCHEMA)), {"day": days})
        cached = judged.with_columns(chunk=pl.lit("1")).select(list(JUDGE_CACHE_SCHEMA))
        self.lake.replace("judge_cache", cached, {"chunk": ["1"]})

    def pairs(self) -> pl.DataFrame:
        """The examples into preference pairs."""
        days = self.lake.landing_days()
        made = pairs_of_days(self.lake.scan("curated_examples"), days).pairs
        self.lake.replace("preference_pairs", made, {"day": days})
        return made

    def snapshot(self) -> Artifact:
        """Today's snapshot of the line."""
        return self.stored("snapshot", self.write_snapshot)

    def train(self, snapshot: Artifact) -> Artifact:
        """An adapter that says that it received the snapshot's rows, and the caches that its training left."""
        given = TrainingRows(*(SideRows(examples=read_side(snapshot.path, s)) for s in ("train", "validation")))

        def write(folder: Path) -> None:
            (folder / "adapter_model.safetensors").write_text(f"weights of {snapshot.digest}")
            origin = {"specialization": LINE, "snapshot": snapshot.digest, "base_digest": BASE, "base_id": "tiny"}
            (folder / "provenance.json").write_text(json.dumps(origin))
            write_received(folder, given)

        adapter = self.stored("adapter", write)
        self.state.record_trained(LINE, snapshot.digest, "recipe", BASE, adapter.digest)
        self._tokens("tokens-of-it", [row.example_id for row in given.train.examples])
        self._tokens("tokens-of-others", ["e" * 64])
        checkpoint = self.lake.work_dir("training", adapter.digest, "checkpoint-1")
        (checkpoint / "optimizer.pt").write_bytes(b"moments")
        return adapter

    def publish(self, snapshot: Artifact, adapter: Artifact) -> dict[str, Artifact]:
        """Everything that is made of a snapshot and shows its texts."""
        rows = {side: read_side(snapshot.path, side) for side in ("train", "validation", "eval")}
        every = [row for side in rows.values() for row in side]
        theirs = [row for row in every if MARKER in row.messages[0].content]
        assert theirs

        def report(folder: Path) -> None:
            shown = [{"row_id": row.example_id, "answers": {"base": row.messages[-1].content}} for row in theirs]
            content = {"snapshot": snapshot.digest, "models": {"candidate": adapter.digest, "base": BASE}}
            verdict = {"outcome": "promote", "reasons": []}
            (folder / "report.json").write_text(json.dumps({**content, "verdict": verdict, "examples": shown}))
            (folder / "report.html").write_text(f"<p>{theirs[0].messages[0].content}</p>")

        def review(folder: Path) -> None:
            queue = [
                {"example_id": row.example_id, "interaction_id": row.interaction_ids[0], "question": "?"}
                for row in theirs
            ]
            write_review_files(pl.DataFrame(queue), folder)

        def other(folder: Path) -> None:  # a kind that nobody has thought of yet, without ids
            (folder / "notes.md").write_text(f"Somebody asked: {theirs[0].messages[0].content}")

        def clean(folder: Path) -> None:
            (folder / "card.md").write_text(f"{len(every)} rows in snapshot {snapshot.digest}")

        made = {
            "report": self.stored("report", report),
            "review": self.stored("review", review),
            "export": self.stored("export", lambda f: write_rows(rows["train"], "messages", f / "train.csv.gz")),
            "something": self.stored("something", other),
            "data_card": self.stored("data_card", clean),
        }
        self._predictions(every, adapter.digest)
        self.lake.folders.write("review/blind-s1.csv", f"Q01,A,{theirs[0].messages[0].content}\r\n".encode())
        self._logs(theirs[0].messages[0].content)
        return made

    def stored(self, kind: str, write: Any) -> Artifact:
        """What `write` puts into a folder, as an artifact."""
        folder = self.folder / "made" / f"{kind}-{len(list((self.folder / 'made').glob('*')))}"
        folder.mkdir(parents=True)
        write(folder)
        return self.lake.put_artifact(kind, folder)

    def write_snapshot(self, folder: Path) -> None:
        """Today's snapshot of the line, not stored."""
        curated = self.lake.scan("curated_examples")
        build_snapshot(curated, Selector(), "key", SplitFractions(), [], None, folder, specialization=LINE)

    def _predictions(self, rows: list[Any], model: str) -> None:
        answers = [
            {
                "key": key,
                "row_id": row.example_id,
                "model_digest": digest,
                "prompt_digest": row.prompt_id,
                "answer": f"{row.messages[0].content} is what was asked",
            }
            for key, digest in (("1", model), ("2", BASE))
            for row in rows
        ]
        self.lake.replace("predictions", pl.DataFrame(answers), {"key": ["1", "2"]})

    def _tokens(self, name: str, ids: list[str]) -> None:
        folder = self.lake.work_dir("tokens", name)
        table = pa.table({"example_id": ids, "input_ids": [[1]] * len(ids)})
        with pa.OSFile(str(folder / "tokens.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)

    def _logs(self, text: str) -> None:
        folder = self.home / "storage" / "run-1" / "compute_logs"
        folder.mkdir(parents=True)
        (folder / "step.err").write_text(f"began\nrow: {text}\nended\n")
        (self.home / "history").mkdir()
        with sqlite3.connect(self.home / "history" / "index.db") as events:
            events.execute("CREATE TABLE event_logs (id INTEGER PRIMARY KEY, event TEXT)")
            shown = {"label": "first_rows", "md_str": f"| {text} |"}
            events.execute("INSERT INTO event_logs (event) VALUES (?)", [json.dumps({"digest": "d", "shown": [shown]})])


def places(world: World) -> Places:
    """Where its rows are."""
    return Places(world.lake, world.state, None, world.home)


def forgotten(world: World, user: str = USER, **options: bool) -> Forgotten:
    """The user is erased while no training is under way."""
    for path in (world.folder / "lake" / "work" / "training").rglob("*"):
        age(path)
    return forget(places(world), user, SECRET, "an operator", **options)


def age(path: Path) -> None:
    """As if nobody had written to it for long."""
    os.utime(path, (1_700_000_000, 1_700_000_000))


def record(number: int, user: str) -> dict[str, Any]:
    """One rated answer; the user's texts hold the marker."""
    word = f"my {MARKER} plan" if user == USER else f"a plain plan {number * 7919}"
    return {
        "interaction_id": f"own-{number}" if user == USER else f"row-{number}",
        "user_id": user.upper() if number % 2 else user,
        "role": LINE,
        "task_type": "test_cases",
        "input_text": f"Please test {word} with harbour {number * 31} and the tram {number * 17} in the evening",
        "output_text": f"Given {word} at harbour {number * 13}, when tram {number * 11} ends, {number} lights go out.",
        "user_feedback": 5,
        "source": "test",
    }


def places_of(marker: str, *roots: Path) -> list[str]:
    """Every file below the roots in which a text stands: as bytes, unpacked, or in the columns of a table."""
    return [str(path) for root in roots for path in sorted(root.rglob("*")) if path.is_file() and _holds(path, marker)]


def _holds(path: Path, marker: str) -> bool:
    return any(marker.encode() in content.lower() for content in _contents(path))


def _contents(path: Path) -> Iterator[bytes]:
    content = path.read_bytes()
    yield content
    if path.name.endswith(".gz"):
        yield gzip.decompress(content)
    if path.name.endswith(".parquet"):
        yield pl.read_parquet(io.BytesIO(content)).write_ndjson().encode()


def _lines(records: list[dict[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(each)}\n" for each in records).encode()


def _csv(records: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(records[0]))
    writer.writeheader()
    for each in records:
        writer.writerow({**each, "output_text": each["output_text"].replace(", ", ",\n", 1)})  # a cell over two lines
    return text.getvalue().encode()
