import csv
import io
import json
from pathlib import Path

import polars as pl

from ft_assets.curation.review_files import FIELDS, FOR_PEOPLE, write_review_files
from ft_assets.spreadsheet_cells import LONGEST_CELL

QUEUE = pl.DataFrame(
    {
        "example_id": ["1" * 32, "f" * 32],
        "interaction_id": ["007", "log-1"],
        "day": ["2026-01-05"] * 2,
        "reasons": [["conflicting votes", "new cluster"], ["borderline score"]],
        "priority": [1, 2],
        "role": [None, "qa-engineer"],
        "task_type": ["debugging", None],
        "question": ['=HYPERLINK("http://evil")', 'A "quoted", question;\nin two lines \u2028 漢字'],
        "answer": ["- one\n- two", "x" * (LONGEST_CELL + 5)],
    }
)


def test_both_files_hold_the_same_fields_with_empty_ones_for_people(tmp_path: Path) -> None:
    write_review_files(QUEUE, tmp_path)
    lines = (tmp_path / "review.jsonl").read_bytes().decode().removesuffix("\n").split("\n")
    rows = [json.loads(line) for line in lines]
    assert [tuple(row) for row in rows] == [FIELDS] * 2
    assert rows[0]["question"] == QUEUE["question"][0] and rows[1]["answer"] == QUEUE["answer"][1]
    assert all(row[name] is None for row in rows for name in FOR_PEOPLE)
    assert "user_id" not in FIELDS and "conversation_id" not in FIELDS


def test_a_spreadsheet_reads_the_csv_file_as_text_and_nothing_else(tmp_path: Path) -> None:
    write_review_files(QUEUE, tmp_path)
    content = (tmp_path / "review.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbfpriority,") and content.endswith(b"\r\n")
    first, second = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    assert not [cell for row in (first, second) for cell in row.values() if cell.startswith(tuple("=+-@\t\r"))]
    assert (first["question"], first["answer"]) == ('\'=HYPERLINK("http://evil")', "'- one\n- two")
    assert (first["interaction_id"], first["example_id"]) == ("'007", "'" + "1" * 32)
    assert (second["question"], second["interaction_id"]) == (QUEUE["question"][1], "log-1")
    assert (first["reasons"], first["role"], first["verdict"]) == ("conflicting votes; new cluster", "", "")
    assert second["answer"].endswith("x ... (5 characters more, see review.jsonl)")


def test_an_empty_queue_is_two_files_that_can_be_read(tmp_path: Path) -> None:
    write_review_files(QUEUE.clear(), tmp_path)
    assert (tmp_path / "review.jsonl").read_bytes() == b""
    assert len((tmp_path / "review.csv").read_text("utf-8-sig").splitlines()) == 1
