import gzip
import json
from pathlib import Path
from time import process_time

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ft_assets.ingest.landing import ingest_day
from ft_assets.ingest.schema import RAW_SCHEMA
from ft_assets.lake import Lake
from ft_assets_tests.ingest.reading import adds_up

DAY = "2026-01-05"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def lines(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def native(name: str | None, answer: str = "4") -> dict[str, object]:
    return ({"id": name} if name else {}) | {"input_text": "2 + 2?", "output_text": answer}


def test_a_day_of_foreign_files_becomes_rows_and_rejections_that_add_up(lake: Lake) -> None:
    lake.land(DAY, "a.jsonl", lines(native("1"), {"nobody": "knows"}, native("2")))
    lake.land(
        DAY, "b.json", json.dumps({"examples": [{"id": "3", "messages": [{"role": "user", "content": "x"}]}]}).encode()
    )
    lake.land(DAY, "c_qa.jsonl.gz", gzip.compress(lines({"input": "2 + 2?", "output": "4", "extra": 1})))
    lake.land(DAY, "d.csv", b"a,b\n")
    ingested = ingest_day(lake, DAY, {})
    assert adds_up(ingested)
    assert ingested.rows.schema == RAW_SCHEMA
    assert ingested.rows["source_file"].to_list() == ["a.jsonl", "a.jsonl", "b.json", "c_qa.jsonl.gz"]
    assert ingested.rows["task_type"].to_list() == [None, None, None, "question_answering"]
    assert ingested.counts["rejected_by_rule"] == {"unknown_format": 1, "no_known_column": 1}
    assert [rejection.place for rejection in ingested.rejections] == ["a.jsonl:2", "d.csv:1"]
    assert ingested.counts["unread_fields"] == {"extra": 1}
    assert ingested.counts["task_type_from_file_name"] == 1
    assert ingested.counts["files"] == 4


def test_the_same_files_give_the_same_rows_again(lake: Lake) -> None:
    lake.land(DAY, "a.jsonl", lines(native("1"), native(None), native(None, "5")))
    first, second = ingest_day(lake, DAY, {}), ingest_day(lake, DAY, {})
    assert first.rows.equals(second.rows)
    assert first.rows["interaction_id"].n_unique() == 3


def test_the_first_of_a_duplicate_id_stays_in_file_and_line_order(lake: Lake) -> None:
    lake.land(DAY, "b.jsonl", lines(native("1", "late"), native("2")))
    lake.land(DAY, "a.jsonl", lines(native("1", "first"), native("1", "second"), native(None), native(None)))
    ingested = ingest_day(lake, DAY, {})
    assert adds_up(ingested)
    answers = [turns[-1]["content"] for turns in ingested.rows["messages"].to_list()]
    assert answers == ["first", "4", "4"]
    places = [(rejection.place, rejection.rule) for rejection in ingested.rejections]
    assert places == [(f"{place}", "duplicate_interaction") for place in ("a.jsonl:2", "a.jsonl:4", "b.jsonl:1")]
    assert "a.jsonl:1" in ingested.rejections[0].reason


def test_an_id_that_another_day_holds_is_a_duplicate_and_one_of_this_day_is_not(lake: Lake) -> None:
    lake.land(DAY, "a.jsonl", lines(native("1"), native("2"), native("3")))
    ingested = ingest_day(lake, DAY, {"1": "2026-01-01", "2": DAY})
    assert ingested.rows["interaction_id"].to_list() == ["2", "3"]
    assert "2026-01-01" in ingested.rejections[0].reason
    assert ingest_day(lake, DAY, {"1", "2"}).rows["interaction_id"].to_list() == ["3"]
    known = pl.DataFrame({"interaction_id": ["1", "2", "1"], "day": ["2026-01-01", DAY, "2026-01-02"]})
    framed = ingest_day(lake, DAY, known)
    assert framed.rows.equals(ingested.rows)
    assert [problem.reason for problem in framed.rejections] == [problem.reason for problem in ingested.rejections]


def test_copies_of_what_another_day_holds_all_name_that_day(lake: Lake) -> None:
    lake.land(DAY, "a.jsonl", lines(native("1"), native("2"), native("1"), native("2", "again")))
    ingested = ingest_day(lake, DAY, pl.DataFrame({"interaction_id": ["1"], "day": ["2026-01-01"]}))
    assert adds_up(ingested)
    assert [problem.place for problem in ingested.rejections] == ["a.jsonl:1", "a.jsonl:3", "a.jsonl:4"]
    assert ["2026-01-01" in problem.reason for problem in ingested.rejections] == [True, True, False]


def test_a_million_known_ids_are_asked_in_a_second(lake: Lake) -> None:
    lake.land(DAY, "a.jsonl", lines(*(native(f"new-{number}") for number in range(100)), native("i-7")))
    known = pl.select(interaction_id=pl.format("i-{}", pl.int_range(1_000_000)), day=pl.lit("2026-01-01"))
    start = process_time()
    ingested = ingest_day(lake, DAY, known)
    assert process_time() - start < 1
    assert ingested.counts["rejected_by_rule"] == {"duplicate_interaction": 1}


def test_a_day_without_files_is_an_empty_table(lake: Lake) -> None:
    ingested = ingest_day(lake, DAY, {})
    assert ingested.rows.schema == RAW_SCHEMA
    assert (ingested.rows.height, ingested.rejections, ingested.counts["records"]) == (0, [], 0)


def test_hostile_lines_never_stop_a_day(lake: Lake) -> None:
    hostile = [
        b'{"input_text": "nul \\u0000 inside", "output_text": "kept"}',
        b'{"input_text": "half \\ud83d", "output_text": "x"}',
        b'{"input_text": "\xff", "output_text": "x"}',
        b'{"input_text": "q", "output_text": "a", "user_feedback": NaN}',
        b'{"input_text": "q", "output_text": "a", "latency_ms": 1e999}',
        b'{"input_text": "q", "output_text": "a", "outcome": ' + b"[" * 500 + b"]" * 500 + b"}",
        b"[" * 200_000,
        b'{"input_text": "' + b"x" * 1_000_000 + b'", "output_text": "long"}',
        b'{"input_text": "q", "output_text": "a", "prompt_tokens": ' + b"9" * 400 + b"}",
        b'{"input_text": "last one, cut o',
    ]
    lake.land(DAY, "hostile.jsonl", b"\xef\xbb\xbf" + b"\n".join(hostile))
    ingested = ingest_day(lake, DAY, {})
    assert adds_up(ingested)
    assert [turns[-1]["content"] for turns in ingested.rows["messages"].to_list()] == ["kept", "long"]
    assert [rejection.rule for rejection in ingested.rejections] == [
        "lone_surrogate",
        "not_utf8",
        "bad_rating",
        "bad_latency_ms",
        "nested_too_deep",
        "nested_too_deep",
        "bad_prompt_tokens",
        "torn_last_line",
    ]


def test_rows_survive_the_lake(lake: Lake) -> None:
    calls = [{"function": {"name": "f", "arguments": "{}"}}]
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": None, "tool_calls": calls}]
    lake.land(
        DAY, "a.jsonl", lines({"messages": turns, "judge": {"clarity": 0.5}, "timestamp": "2026-01-05T01:02:03Z"})
    )
    rows = ingest_day(lake, DAY, {}).rows
    lake.replace("raw_interactions", rows, {"day": [DAY]})
    assert lake.scan("raw_interactions", {"day": [DAY]}).collect().select(rows.columns).equals(rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.lists(st.text(max_size=20)).map(lambda texts: "\n".join(texts).encode()))
@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.json.gz", "a.csv", "a.csv.gz"])
def test_any_bytes_at_all_give_a_day_that_adds_up(lake: Lake, name: str, content: bytes) -> None:
    lake.land(DAY, name, content)
    ingested = ingest_day(lake, DAY, {})
    assert adds_up(ingested)
    assert ingested.counts["records"] >= 1
    assert isinstance(ingested.rows, pl.DataFrame)
