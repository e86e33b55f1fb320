"""The compiled scan of JSON lines, against the decoder that it stands in for."""

import json
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ft_assets.ingest.file_rows import read_file
from ft_assets.ingest.json_grammar import DECIMAL, INTEGER, TEXT, unescaped
from ft_assets.ingest.json_scan import INSIDE, MOST_LINES, OTHER, TURNS, same_names, scan
from ft_assets.ingest.rules import IngestRules
from ft_assets_tests.ingest.reading import DAY

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["id", "metadata", "messages", "text", "é", 'a"b']) | st.text(max_size=4)
SPOKEN = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "tool", "x"]), "content": st.text(max_size=5)})
)
RECORDS = st.dictionaries(NAMES, VALUES | SPOKEN, min_size=1, max_size=4)
LINES = st.builds(
    lambda record, ascii_only, blanks: json.dumps(
        record, ensure_ascii=ascii_only, separators=(", ", ": ") if blanks else (",", ":")
    ).encode("utf-8", "surrogatepass"),
    RECORDS,
    st.booleans(),
    st.booleans(),
)


def damaged(line: bytes, place: int, byte: int, how: int) -> bytes:
    place %= len(line) + 1
    return (line[:place] + bytes([byte]) * (how > 0) + line[place + (how < 2) :]).replace(b"\n", b" ")


DAMAGED = st.builds(damaged, LINES, st.integers(0, 200), st.integers(0, 255), st.integers(0, 2))


def members_of(line: bytes) -> list[tuple[str, int, object]] | None:
    """Name, kind and, where it is a text or a number, the value of each member; None where the line is not plain."""
    data = np.frombuffer(line + b"\n", np.uint8)
    found = scan(data, 0)
    assert len(found.lines) == 1 and found.lines[0, 1] == len(line)
    if not found.lines[0, 2]:
        return None
    content, ends = unescaped(data, *found.members[:, 3:].T)
    values = [content[start:end].tobytes() for start, end in pairwise(ends.tolist())]
    read: dict[int, Callable[[bytes], Any]] = {TEXT: bytes.decode, INTEGER: int, DECIMAL: float}
    return [
        (line[start:stop].decode(), int(kind), read[kind % INSIDE](value) if kind % INSIDE in read else None)
        for (start, stop, kind), value in zip(found.members[:, :3].tolist(), values, strict=True)
    ]


@settings(max_examples=200, deadline=None)
@given(line=LINES | DAMAGED)
@example(line=b'{"a":"\\ud83d\\ude00\\u00e9\\u0000\\n"}')
@example(line=b'{"a":0.1,"b":-1,"c":1e5,"d":01}')
@example(line=b'{"a":{"b":[{},[],{"c":[1,{"d":null}]}]},"metadata":{"a":"x"}}')
def test_what_is_plain_is_what_the_decoder_takes_and_means_the_same(line: bytes) -> None:
    found = members_of(line)
    if found is None:
        return
    record = orjson.loads(line)
    outer = [(name, value) for name, kind, value in found if kind < INSIDE and value is not None]
    inner = [(name, value) for name, kind, value in found if kind >= INSIDE and value is not None]
    last = {name: place for place, (name, _) in enumerate(outer)}
    assert [name for name, kind, _ in found if kind < INSIDE and name not in record] == []
    for place, (name, value) in enumerate(outer):
        assert last[name] != place or value == record[name]
    for name, value in inner:
        assert [each for each_name, each in inner if each_name == name][-1] == record["metadata"][name] == value


def test_usual_lines_are_plain() -> None:
    line = b'{"id": "a", "messages": [{"role": "user", "content": "\\"q\\" \xc3\xa9"}], "n": 3, "z": [{}]}'
    assert [kind for _, kind, _ in members_of(line) or []] == [TEXT, TURNS, INTEGER, OTHER]


def test_every_character_comes_out_as_it_was_written() -> None:
    every = "".join(chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)
    for ascii_only in (True, False):
        line = json.dumps({"text": every}, ensure_ascii=ascii_only).encode()
        assert members_of(line) == [("text", TEXT, every)]


def test_bytes_that_are_not_utf8_are_never_plain() -> None:
    for first in range(128, 256):
        for rest in (
            b"",
            b"\x7f",
            b"\x80",
            b"\xbf",
            b"\x8f\xbf",
            b"\x90\x80",
            b"\x9f\xbf",
            b"\xa0\x80",
            b"\xbf\xbf\xbf",
        ):
            text = bytes([first]) + rest
            try:
                is_text = bool(text.decode())
            except UnicodeDecodeError:
                is_text = False
            assert (members_of(b'{"text": "' + text + b'"}') is not None) == is_text, text


def test_lines_whose_hashes_collide_are_told_apart() -> None:
    lines = b'{"a":1,"b":2}\n{"a":3,"c":4}\n{"a":5,"b":"6"}\n{"a":7}\n{"a":8,"b":9}\n'
    found = scan(np.frombuffer(lines, np.uint8), 0)
    counts = found.lines[:, 3]
    firsts, models = np.cumsum(counts) - counts, np.zeros(5, np.int64)
    data = np.frombuffer(lines, np.uint8)
    assert same_names(data, found.members, firsts, counts, models).tolist() == [True, False, False, False, True]


def test_more_lines_than_one_scan_holds_keep_their_order_and_numbers() -> None:
    lines = [b'{"id":"%d","input_text":"q","output_text":"a"}' % number for number in range(2 * MOST_LINES + 10)]
    lines[7], lines[MOST_LINES] = b"", b"not json"
    lines[MOST_LINES + 1] = b'{"input_text":"q","output_text":"a"}'  # without an id, so not plain
    result = read_file(DAY, "a.jsonl", b"\n".join(lines), IngestRules())
    numbers = [number for frame in result.rows for number in frame["source_line"].to_list()]
    assert numbers == [number for number in range(1, len(lines) + 1) if number not in (8, MOST_LINES + 1)]
    assert [number for number, _, _ in result.rejections] == [MOST_LINES + 1]
    assert result.records == len(lines) - 1


def test_a_line_with_more_members_than_a_scan_holds_is_read_all_the_same() -> None:
    many = {f"k{number}": number for number in range(24 * MOST_LINES + 1)}
    row = {"id": "a", "input_text": "q", "output_text": "a"}
    body = b"\n".join(orjson.dumps(each) for each in (row, row | {"id": "b"} | many, row | {"id": "c"}))
    result = read_file(DAY, "a.jsonl", body, IngestRules())
    assert [name for frame in result.rows for name in frame["interaction_id"]] == ["a", "b", "c"]
