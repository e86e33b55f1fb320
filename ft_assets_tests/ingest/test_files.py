import gzip
import json

import pytest

from ft_assets.ingest.files import read_values
from ft_assets.ingest.unpack import unpack
from ft_assets.ingest.values import Damage, Value

ROWS = [{"n": 1}, {"n": 2}, {"n": 3}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def values(name: str, content: bytes) -> list[object]:
    return [item.value for item in read_values(name, content) if isinstance(item, Value)]


def damages(name: str, content: bytes) -> list[tuple[int, str]]:
    return [(item.number, item.rule) for item in read_values(name, content) if isinstance(item, Damage)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", LINES),
        ("ROWS.JSONL", LINES),
        ("rows.ndjson", LINES),
        ("rows.json", json.dumps(ROWS).encode()),
        ("rows.json", json.dumps(ROWS, indent=2).encode()),
        ("rows.json", json.dumps({"examples": ROWS}, indent=1).encode()),
        ("rows.jsonl.gz", gzip.compress(LINES, mtime=0)),
        ("rows.json.gz", gzip.compress(json.dumps(ROWS).encode(), mtime=0)),
        ("rows.json", LINES),  # many tools write lines under this name
        ("rows.jsonl", json.dumps(ROWS, indent=2).encode()),  # and a document under that one
        ("windows.jsonl", b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n")),
        ("blank_lines.jsonl", LINES.replace(b"\n", b"\n\n  \n")),
        ("no_line_end_at_the_end.jsonl", LINES.rstrip()),
    ],
)
def test_every_known_kind_of_file_gives_its_records(name: str, content: bytes) -> None:
    assert values(name, content) == ROWS
    assert damages(name, content) == []


def test_a_record_of_a_line_is_placed_by_its_line_and_one_of_a_document_by_its_number() -> None:
    assert [item.number for item in read_values("a.jsonl", b'{"n": 1}\n\n{"n": 2}\n')] == [1, 3]
    assert [item.number for item in read_values("a.json", json.dumps(ROWS).encode())] == [1, 2, 3]


def test_what_stood_in_an_examples_container_is_called_an_example() -> None:
    kinds = {item.source_kind for item in read_values("a.json", json.dumps({"examples": ROWS}).encode())}  # type: ignore[union-attr]
    assert kinds == {"example"}


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"not json\n", "not_json"),
        (b'{"a": "tab\tinside"}\n', "not_json"),
        (b'{"a": "nul\x00inside"}\n', "not_json"),
        (b'{"a": "\xff\xfe"}\n', "not_utf8"),
        (b"[" * 100_000 + b"]" * 100_000 + b"\n", "nested_too_deep"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", "not_json"),
    ],
)
def test_a_bad_line_is_named_and_the_lines_around_it_are_kept(content: bytes, rule: str) -> None:
    content = b'{"n": 0}\n' + content + b'{"n": 2}\n'
    assert values("a.jsonl", content) == [{"n": 0}, {"n": 2}]
    assert damages("a.jsonl", content) == [(2, rule)]


@pytest.mark.parametrize("torn", [b'{"input": "x", "out', b'{"input": "caf\xc3', b"{"])
def test_a_torn_last_line_is_named_as_such(torn: bytes) -> None:
    assert damages("a.jsonl", LINES + torn) == [(4, "torn_last_line")]
    assert values("a.jsonl", LINES + torn) == ROWS


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_an_empty_file_is_named_as_such(name: str, content: bytes) -> None:
    assert damages(name, content) == [(1, "empty_file")]


@pytest.mark.parametrize("content", [b"[]", b'{"examples": []}'])
def test_an_empty_list_is_an_empty_file(content: bytes) -> None:
    assert damages("a.json", content) == [(1, "empty_file")]


def test_a_cut_off_document_says_where_and_never_quotes_the_file() -> None:
    (damage,) = read_values("a.json", b'[{"secret": "hunter2"}, {"secr')
    assert isinstance(damage, Damage)
    assert damage.rule == "not_json"
    assert "hunter2" not in damage.reason


def test_other_kinds_of_files_are_refused_by_name() -> None:
    assert damages("rows.xlsx", b"a,b\n1,2\n") == [(1, "unknown_file_type")]
    assert damages("rows.gz", gzip.compress(LINES, mtime=0)) == [(1, "unknown_file_type")]
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        assert damages("rows.jsonl", LINES.decode().encode(encoding)) == [(1, "not_utf8")]


def test_zeros_that_a_crash_left_in_a_file_are_one_broken_line() -> None:
    content = LINES + b"\0" * 4096 + b"\n" + LINES
    assert values("a.jsonl", content) == ROWS * 2
    assert damages("a.jsonl", content) == [(4, "not_json")]


def test_latin_1_is_named_line_by_line() -> None:
    assert damages("a.jsonl", '{"n": "é"}\n'.encode("latin-1") + LINES) == [(1, "not_utf8")]


def test_a_cut_off_gzip_file_keeps_its_whole_lines() -> None:
    many = "".join(json.dumps({"n": n, "filler": hex(n * 7919)}) + "\n" for n in range(5000)).encode()
    packed = gzip.compress(many, mtime=0)
    cut = packed[: len(packed) * 2 // 3]
    assert len(values("a.jsonl.gz", cut)) > 100
    assert [rule for _, rule in damages("a.jsonl.gz", cut)] == ["torn_last_line", "damaged_gzip"]
    assert damages("a.jsonl.gz", b"no gzip at all") == [(1, "damaged_gzip")]


def test_a_gzip_file_of_several_members_is_read_to_its_end() -> None:
    parts = [gzip.compress(line + b"\n", mtime=0) for line in LINES.split(b"\n") if line]
    assert values("a.jsonl.gz", b"".join(parts)) == ROWS
    assert damages("a.jsonl.gz", b"".join(parts)[:-3])[-1][1] == "damaged_gzip"


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ft_assets.ingest.unpack.MAX_UNPACKED_BYTES", 4 << 20)
    body, damage = unpack(gzip.compress(b" " * (8 << 20)))
    assert body == b""
    assert damage is not None
    assert damage.rule == "file_too_large"


def test_a_line_of_a_megabyte_is_a_line() -> None:
    (value,) = values("a.jsonl", json.dumps({"text": "x" * 1_000_000}).encode() + b"\n")
    assert isinstance(value, dict)
    assert len(value["text"]) == 1_000_000


def test_a_line_separator_inside_a_text_does_not_end_the_line() -> None:
    assert values("a.jsonl", '{"a": "one\u2028two\u0085three"}\n'.encode()) == [{"a": "one\u2028two\u0085three"}]
