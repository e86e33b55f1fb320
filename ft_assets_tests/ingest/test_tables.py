import csv
import gzip
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from time import process_time
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.ingest.field_names import COLUMN_NAMES
from ft_assets.ingest.formats import TEXT_KEYS
from ft_assets_tests.ingest.reading import read_day, rules_broken, turns, without_place

TURNS = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": '4,\n"four"'}]
RECORDS: list[dict[str, Any]] = [
    {
        "id": "1",
        "messages": TURNS,
        "rating": 4.5,
        "judge": {"clarity": 0.5},
        "timestamp": "2026-01-05T01:02:03+00:00",
        "prompt_tokens": 3,
        "tags": ["a", "b"],
        "metadata": {"difficulty": "hard"},
    },
    {"id": "2", "messages": TURNS[:1], "rating": 3.0, "judge": None, "timestamp": None, "prompt_tokens": None},
]


def as_csv(*rows: dict[str, Any]) -> bytes:
    """As a spreadsheet program writes it, structure as JSON."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    for row in rows:
        writer.writerow({key: json.dumps(v) if isinstance(v, list | dict) else v for key, v in row.items()})
    return text.getvalue().encode()


def as_parquet(*rows: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(list(rows)).write_parquet(buffer)
    return buffer.getvalue()


def as_lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", as_csv(*RECORDS)),
        ("ROWS.CSV", b"\xef\xbb\xbf" + as_csv(*RECORDS)),
        ("rows.csv.gz", gzip.compress(as_csv(*RECORDS), mtime=0)),
        ("rows.parquet", as_parquet(*RECORDS)),
        ("rows.parquet.gz", gzip.compress(as_parquet(*RECORDS))),
    ],
)
def test_csv_and_parquet_give_the_same_rows_as_json_lines(name: str, content: bytes) -> None:
    day = read_day(name, content)
    assert day.rejections == []
    assert without_place(day) == without_place(read_day("rows.jsonl", as_lines(*RECORDS)))
    assert day.rows["rating"].to_list() == [4.5, 3.0]
    assert day.rows["difficulty"].to_list() == ["hard", None]


def test_every_format_can_stand_in_a_table() -> None:
    rows: list[dict[str, Any]] = [
        {"input_text": "q", "output_text": "a"},
        {"input": "q", "output": "a"},
        {"instruction": "q", "input": "", "output": "a"},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"text": "\n\nHuman: q\n\nAssistant: a"},
        {"fields": {"prompt": "q", "response": "a"}, "responses": []},
    ]
    for row in rows:
        assert turns(read_day("a.csv", as_csv(row))) == [[("user", "q"), ("assistant", "a")]], row
    pair = {"prompt": "q", "chosen": json.dumps([{"role": "assistant", "content": "a"}]), "rejected": "[b]"}
    assert [row[-1][1] for row in turns(read_day("a.csv", as_csv(pair)))] == ["a", "[b]"]


def test_a_table_may_hold_rows_of_several_formats() -> None:
    day = read_day("a.csv", as_csv({"input": "q", "output": "a"}, {"messages": TURNS}, {"input": "q", "output": None}))
    assert day.counts["rows_by_format"] == {"input_output": 1, "messages": 1}
    assert rules_broken(day) == [("a.csv:4", "ambiguous_format")]


def test_a_csv_cell_is_a_number_only_under_the_name_of_one() -> None:
    rows = [
        {"id": "007", "input": "12", "output": "34", "rating": "4", "latency_ms": "1e3", "prompt_tokens": "12.0"},
        {"id": "8", "input": "q", "output": "a", "rating": "four", "latency_ms": "", "prompt_tokens": ""},
        {"id": "9", "input": "q", "output": "a", "rating": "9", "latency_ms": "nan", "prompt_tokens": "1.5"},
    ]
    day = read_day("a.csv", as_csv(*rows))
    assert turns(day) == [[("user", "12"), ("assistant", "34")]]
    assert day.rows.select("interaction_id", "rating", "latency_ms", "prompt_tokens").row(0) == ("007", 4.0, 1000.0, 12)
    assert rules_broken(day) == [("a.csv:3", "bad_rating"), ("a.csv:4", "bad_rating")]


def test_a_rating_that_is_text_stays_an_error_in_parquet_as_in_json() -> None:
    row = {"input": "q", "output": "a", "rating": "4"}
    assert rules_broken(read_day("a.parquet", as_parquet(row))) == [("a.parquet:1", "bad_rating")]


def test_moments_in_a_table_are_read_as_the_text_or_the_seconds_they_are() -> None:
    moments = ["2026-01-05", "20260105", "1767571200", "1767571200000", "2026-01-05T00:00:00Z"]
    rows = [{"id": str(number), "input": "q", "output": "a", "timestamp": at} for number, at in enumerate(moments)]
    assert set(read_day("a.csv", as_csv(*rows)).rows["timestamp"]) == {datetime(2026, 1, 5, tzinfo=UTC)}


def test_types_that_json_does_not_have_are_read_as_json_would_have_them() -> None:
    row = {
        "input": b"q",
        "output": "a",
        "timestamp": datetime(2026, 1, 5),
        "rating": Decimal("4.5"),
        "latency_ms": float("nan"),
        "prompt_tokens": 12.0,
        "outcome": {"success": True, "label": None},
    }
    day = read_day("a.parquet", as_parquet(row))
    assert turns(day) == [[("user", "q"), ("assistant", "a")]]
    read = day.rows.select("timestamp", "rating", "latency_ms", "prompt_tokens", "outcome").row(0)
    assert read == (datetime(2026, 1, 5, tzinfo=UTC), 4.5, None, 12, '{"success": true}')


def test_tool_calls_of_a_typed_table_lose_only_their_nulls() -> None:
    calls = [{"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "g"}}]
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": None, "tool_calls": calls}]
    day = read_day("a.parquet", as_parquet({"messages": messages}))
    assert json.loads(day.rows["messages"][0][1]["tool_calls"]) == calls


@pytest.mark.parametrize(
    ("content", "broken"),
    [
        (b"input,output\nq,a\nq,a,b\nq\nq,a\n", [(3, "ragged_row"), (4, "ragged_row")]),
        (b'input,output\nq,a\n"q" x,a\nq,a\n', [(3, "broken_quoting")]),
        (b'input,output\nq,a\n"q,a\nq,a\nq,a\n', [(3, "broken_quoting"), (4, "broken_quoting"), (5, "broken_quoting")]),
        (b"input,output\nq,a\n\xff,a\nq,a\n", [(3, "not_utf8")]),
        (b"input,output\nq,a\nq,a\nq", [(4, "torn_last_line")]),
        (b'input,output\nq,a\nq,a\nq,"a', [(4, "torn_last_line")]),
        (b"first question,first answer\nq,a\n", [(1, "no_known_column"), (2, "no_known_column")]),
        (b"input;output\nq;a\n", [(1, "no_known_column"), (2, "no_known_column")]),
        (b"input,output,input\nq,a,b\n", [(1, "duplicate_column"), (2, "duplicate_column")]),
        (b"input,output\n", [(1, "empty_file")]),
        (b"", [(1, "empty_file")]),
        ("input,output\nq,a\n".encode("utf-16"), [(1, "not_utf8")]),
        ("input,output\nq,a\n".encode("utf-16-le"), [(1, "not_utf8")]),
    ],
)
def test_what_is_wrong_with_a_csv_file_is_named_line_by_line(content: bytes, broken: list[tuple[int, str]]) -> None:
    day = read_day("a.csv", content)
    found = [problem for problem in rules_broken(day) if problem[1] != "duplicate_interaction"]
    assert found == [(f"a.csv:{line}", rule) for line, rule in broken]
    assert set(turns(day)[0] if day.rows.height else []) <= {("user", "q"), ("assistant", "a")}


def test_many_ragged_rows_cost_no_more_each_than_few() -> None:
    start = process_time()
    day = read_day("a.csv", b"input,output\n" + b"q\n" * 20_000 + b"q" * 1_000_000)
    assert process_time() - start < 3
    assert day.counts["rejected_by_rule"] == {"file_too_broken": 20_001}


def test_a_header_that_is_a_record_is_not_quoted() -> None:
    day = read_day("a.csv", b"hunter2,john\nq,a\n")
    assert "hunter2" not in day.rejections[0].reason + day.rejections[1].reason


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\x00" * 60 + b"PAR1", b"\xff" * 500, b'{"input": "q"}'])
def test_bytes_that_are_no_parquet_file_are_rejected_by_name(content: bytes) -> None:
    assert rules_broken(read_day("a.parquet", content)) == [("a.parquet:1", "not_parquet")]


def test_a_parquet_file_without_rows_is_empty() -> None:
    assert rules_broken(read_day("a.parquet", as_parquet(RECORDS[0])[:0])) == [("a.parquet:1", "not_parquet")]
    buffer = io.BytesIO()
    pl.DataFrame(schema={"input": pl.String}).write_parquet(buffer)
    assert rules_broken(read_day("a.parquet", buffer.getvalue())) == [("a.parquet:1", "empty_file")]


def test_a_cell_of_a_megabyte_and_a_nul_survive_in_csv() -> None:
    day = read_day("a.csv", as_csv({"input": "x" * 1_000_000, "output": "nul \x00 inside"}))
    assert [len(text) for _, text in turns(day)[0]] == [1_000_000, 12]


def test_every_column_that_a_format_reads_is_known_to_the_header_test() -> None:
    assert TEXT_KEYS <= COLUMN_NAMES


@settings(max_examples=50, deadline=None)
@given(
    lines=st.lists(
        st.sampled_from(["q,a", 'q,"a', '"q"x,a', "q,a,b", "", " ", '"a\nb",c', "\xff,a", "q"]), max_size=12
    ),
    end=st.sampled_from(["", "\n", "\r\n"]),
)
def test_no_line_of_a_csv_file_disappears(lines: list[str], end: str) -> None:
    day = read_day("a.csv", ("\n".join(["input,output", *lines]) + end).encode("latin-1"))
    read = day.counts["records"] - day.counts["rejected_by_rule"].get("empty_file", 0)
    texts = [line for line in lines if line.strip()]
    assert len(texts) <= read <= sum(line.count("\n") + 1 for line in texts)
