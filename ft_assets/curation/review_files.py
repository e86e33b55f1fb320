"""The review queue as two files that people edit and give back through landing: review.jsonl and review.csv.

Both have the same fields. What comes back is feedback to whoever reads landing: it names an answer (interaction_id),
a verdict, a correction and a reviewer. A row that nobody filled in says nothing, and is counted as that.
"""

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl

from ft_assets.spreadsheet_cells import LONGEST_CELL, guarded, guarded_id

FOR_PEOPLE = ("verdict", "corrected_output", "reviewer", "note")  # empty: to be filled in
FIELDS = (
    "priority", "reasons", *FOR_PEOPLE, "question", "answer", "role", "task_type", "day", "interaction_id", "example_id"
)  # fmt: skip
_IDS = ("interaction_id", "example_id")


def write_review_files(queue: pl.DataFrame, directory: Path) -> None:
    """Writes review.jsonl and review.csv (UTF-8 with a mark, so that a spreadsheet reads it as that) into `directory`.

    `queue` is what `review.with_texts` gives. Cells are guarded against formulas; `ft_assets.spreadsheet_cells` undoes
    it. Text beyond what a cell can hold is cut in the CSV file and says so; it is whole in the other.
    """
    rows = [{name: row.get(name) for name in FIELDS} for row in queue.iter_rows(named=True)]
    lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    (directory / "review.jsonl").write_bytes(lines.encode())
    with (directory / "review.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(FIELDS)
        writer.writerows([_cell(name, row[name]) for name in FIELDS] for row in rows)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _IDS:
        return guarded_id(value)
    text = "; ".join(value) if isinstance(value, list) else str(value)
    if len(text) > LONGEST_CELL:
        text = f"{text[:LONGEST_CELL]} ... ({len(text) - LONGEST_CELL} characters more, see review.jsonl)"
    return guarded(text)
