"""The fast path (orjson, plans per set of keys, batches by column) against a plain reading of the same lines."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.ingest.columns import interaction_frame
from ft_assets.ingest.field_names import FIELD_NAMES
from ft_assets.ingest.file_rows import read_file
from ft_assets.ingest.formats import TEXT_KEYS
from ft_assets.ingest.parse import parse
from ft_assets.ingest.rules import IngestRules
from ft_assets.ingest.typed_values import Unreadable
from ft_assets.records import Interaction
from ft_assets_tests.ingest.reading import DAY

SMALL = ["0", "1", "4", "4.5", "5", "-0", "-0.0", "0.5", "1e3", "1.0E2", "1700000000", "9007199254740993"]
LARGE = ["9223372036854775807", "9223372036854775808", "18446744073709551616", "-9223372036854775809", "1" * 30]
NUMBERS = st.sampled_from([*SMALL, *LARGE, "1e20", "1e999", "NaN", "Infinity"])
TEXTS = st.sampled_from(
    ['"accept"', '"x"', '"  "', '""', '"2026-01-05"', '"\\ud83d"', '"\\ud83d\\ude00"', '"é\\u0000"', f'"{"x" * 300}"']
)
SCALARS = NUMBERS | TEXTS | st.sampled_from(["null", "true", "[]", "{}", '["a"]', '{"clarity": 0.5}'])
TURNS = st.lists(
    st.tuples(
        st.sampled_from(['"user"', '"assistant"', '"tool"', '"narrator"', "null"]),
        TEXTS | st.just('[{"type": "text", "text": "é"}]') | st.just("null"),
        st.just("") | NUMBERS.map(lambda number: f', "tool_calls": [{{"n": {number}}}]'),
    ),
    max_size=3,
).map(lambda turns: "[" + ", ".join(f'{{"role": {r}, "content": {c}{calls}}}' for r, c, calls in turns) + "]")
ONE_ROW = [  # a record that becomes several has no one reading to compare
    '"input_text": "q", "output_text": "é"',
    '"messages": [{"role": "user", "content": "q"}]',
    '"input": "q", "output": ""',
]
KEYS = sorted(
    (FIELD_NAMES | TEXT_KEYS | {"metadata", "extra", "conversation", "completion", "system", "label"})
    - {"examples", "chosen"}
)
PLAIN_ROWS = [
    f'"{key}": "row {number}", {row}' for number, row in enumerate(ONE_ROW) for key in ("id", "interaction_id")
]


def record(row: str, fields: list[tuple[str, str]]) -> str:
    return "{" + ", ".join([row, *(f'"{key}": {value}' for key, value in fields)]) + "}"


LINES = st.builds(
    record,
    st.sampled_from(ONE_ROW + PLAIN_ROWS),
    st.lists(st.tuples(st.sampled_from(KEYS), SCALARS | TURNS), max_size=4),
)
SAME_KEYS = st.tuples(st.sampled_from(PLAIN_ROWS), st.lists(st.sampled_from(KEYS), max_size=3, unique=True)).flatmap(
    lambda drawn: st.lists(
        st.tuples(*[st.tuples(st.just(key), SCALARS | TURNS) for key in drawn[1]]).map(
            lambda fields: record(drawn[0], list(fields))
        ),
        min_size=2,
        max_size=4,
    )
)  # one plan for all lines, whose values differ


def plainly(line: str) -> dict[str, Any] | tuple[str, str]:
    """One line with the standard decoder, alone, and held to the definition of an interaction."""
    (part,) = parse(json.loads(line))
    if isinstance(part, Unreadable):
        return part.rule, part.reason
    frame = interaction_frame([row | {"source_line": 1} for row in part.rows], DAY, "a.jsonl")
    return Interaction(**frame.row(0, named=True)).model_dump()


@settings(max_examples=200, deadline=None)
@given(lines=st.lists(LINES, min_size=1, max_size=4) | SAME_KEYS)
def test_the_fast_path_and_a_plain_reading_agree_on_every_line(lines: list[str]) -> None:
    body = "".join(f"{line}\n" for line in lines).encode("utf-8")
    result = read_file(DAY, "a.jsonl", body, IngestRules())
    rows = {row["source_line"]: row for frame in result.rows for row in frame.to_dicts()}
    problems = {number: (rule, reason) for number, rule, reason in result.rejections}
    for number, line in enumerate(lines, start=1):
        expected = plainly(line)
        if isinstance(expected, tuple):
            assert problems[number] == expected
            continue
        found = {key: value for key, value in rows[number].items() if key not in ("format", "task_from_file")}
        assert found == expected | {"source_line": number}
