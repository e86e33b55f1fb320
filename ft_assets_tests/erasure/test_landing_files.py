import gzip
import io
import json

import polars as pl
import pytest

from ft_assets.erasure.landing_files import Rewritten, without
from ft_assets.erasure.person import spelled
from ft_assets.forgotten_users import plain_user
from ft_assets.ingest.files import read_values
from ft_assets.ingest.values import Damage, Value

WORD = "zwiebelquarz"


def is_theirs(record: object) -> bool:
    return isinstance(record, dict) and record.get("user_id") == "ada"


def mentions(text: str) -> bool:
    return "ada" in text


def row(name: str, user: str) -> dict[str, str]:
    return {"id": name, "user_id": user, "input": f"{WORD if user == 'ada' else 'plain'}\n{name}", "output": "yes"}


ROWS = [row("1", "bea"), row("2", "ada"), row("3", "cai"), row("4", "ada"), row("5", "dee")]
LINES = "".join(f"{json.dumps(each)}\n" for each in ROWS).encode()


def rewritten(name: str, content: bytes) -> bytes:
    found = without(name, content, is_theirs, mentions)
    assert found.content and not found.unreadable
    return found.content


def values(name: str, content: bytes) -> list[tuple[int, str]]:
    found = read_values(name, content)
    return [(item.number, item.value["id"]) for item in found if isinstance(item, Value)]  # type: ignore[index]


def csv_of(rows: list[dict[str, str]], ending: str = "\r\n") -> bytes:
    cells = [",".join(f'"{value}"' for value in each.values()) for each in rows]
    return ending.join(["id,user_id,input,output", *cells, ""]).encode()


@pytest.mark.parametrize("name", ["log.jsonl", "log.ndjson", "lines.json"])
def test_lines_lose_records_and_every_other_one_keeps_its_place(name: str) -> None:
    content = rewritten(name, LINES)
    assert values(name, content) == [(1, "1"), (3, "3"), (5, "5")]
    assert WORD not in content.decode() and content.count(b"\n") == LINES.count(b"\n")


def test_a_packed_file_stays_packed_and_the_same_bytes_come_out_twice() -> None:
    content = rewritten("log.jsonl.gz", gzip.compress(LINES))
    assert content == rewritten("log.jsonl.gz", gzip.compress(LINES))
    assert WORD not in gzip.decompress(content).decode()
    assert [name for _, name in values("log.jsonl.gz", content)] == ["1", "3", "5"]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_sheet_keeps_its_header_its_line_ends_and_cells_over_two_lines(ending: str) -> None:
    content = rewritten("sheet.csv", csv_of(ROWS, ending))
    assert WORD not in content.decode() and content.startswith(b"id,user_id")
    assert values("sheet.csv", content) == [
        item for item in values("sheet.csv", csv_of(ROWS, ending)) if item[1] in "135"
    ]
    assert (b"\r\n" in content) == (ending == "\r\n")


@pytest.mark.parametrize("shape", ["list", "container", "indented jsonl"])
def test_documents_lose_records_inside(shape: str) -> None:
    document = {"list": ROWS, "container": {"examples": ROWS, "note": "kept"}, "indented jsonl": ROWS}[shape]
    name = "all.jsonl" if shape == "indented jsonl" else "all.json"
    content = rewritten(name, json.dumps(document, indent=2).encode())
    assert WORD not in content.decode()
    assert [each for _, each in values(name, content)] == ["1", "3", "5"]
    assert shape != "container" or json.loads(content)["note"] == "kept"


def test_records_inside_a_line_go_and_the_others_of_the_line_stay() -> None:
    lines = f"{json.dumps({'examples': ROWS})}\n{json.dumps(ROWS[0])}\n".encode()
    content = rewritten("log.jsonl", lines)
    first = json.loads(content.splitlines()[0])
    assert [each["id"] for each in first["examples"]] == ["1", "3", "5"] and WORD not in content.decode()


def test_a_table_with_categories_does_not_keep_the_values_of_rows_that_went() -> None:
    table = pl.DataFrame(ROWS).with_columns(pl.col("input").cast(pl.Categorical), number=pl.lit(1, pl.Int32))
    file = io.BytesIO()
    table.write_parquet(file, compression="uncompressed")
    content = rewritten("table.parquet", file.getvalue())
    left = pl.read_parquet(io.BytesIO(content))
    assert left["id"].to_list() == ["1", "3", "5"] and left.schema["number"] == pl.Int32
    uncompressed = io.BytesIO()
    left.write_parquet(uncompressed, compression="uncompressed")
    assert WORD.encode() in file.getvalue() and WORD.encode() not in uncompressed.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.jsonl", json.dumps(ROWS[1]).encode() + b"\n"),
        ("one.json", json.dumps(ROWS[1]).encode()),
        ("all.json", json.dumps([ROWS[1], ROWS[3]]).encode()),
        ("sheet.csv", csv_of([ROWS[1]])),
    ],
)
def test_a_file_without_anybody_else_in_it_goes(name: str, content: bytes) -> None:
    assert without(name, content, is_theirs, mentions).content == b""


@pytest.mark.parametrize("name", ["log.jsonl", "sheet.csv", "all.json", "log.jsonl.gz"])
def test_a_file_without_them_is_not_touched(name: str) -> None:
    others = [ROWS[0], ROWS[2]]
    content = {
        "log.jsonl": LINES.splitlines(keepends=True)[0],
        "sheet.csv": csv_of(others),
        "all.json": json.dumps(others).encode(),
        "log.jsonl.gz": gzip.compress(LINES.splitlines(keepends=True)[0], mtime=0),
    }[name]
    assert without(name, content, is_theirs, mentions) == Rewritten()


def test_damaged_lines_go_with_records_of_theirs_or_when_they_mention_them_and_stay_counted_otherwise() -> None:
    torn = b'{"id": "9", "input": "' + WORD.encode() + b"\n"
    assert WORD not in rewritten("log.jsonl", LINES + torn).decode()
    plain = LINES.splitlines(keepends=True)[0]
    assert rewritten("log.jsonl", plain + b'{"user_id": "ada", "in\n') == plain + b"\n"
    found = without("log.jsonl", plain + b'{"id": 7, "in\n', is_theirs, mentions)
    assert found == Rewritten(damaged=1)


@pytest.mark.parametrize(
    ("name", "content", "points"),
    [
        ("notes.txt", b"ask ada about it", True),
        ("notes.txt", b"nothing", False),
        ("wide.jsonl", LINES.decode().encode("utf-16"), True),
        ("torn.jsonl.gz", gzip.compress(LINES * 50, mtime=0)[:-30], True),
        ("not.parquet", b"PAR1 ada PAR1", True),
    ],
)
def test_a_file_that_cannot_be_written_again_is_named_with_whether_it_points_to_them(
    name: str, content: bytes, points: bool
) -> None:
    found = without(name, content, is_theirs, mentions)
    assert found.unreadable and found.mentions == points and found.content is None
    assert any(isinstance(item, Damage) for item in read_values(name, content))


@pytest.mark.parametrize(
    "name", ["Ada", " a\u200bD a\t", "ＡＤＡ", "ﬁ-user", "İstanbul", "ß", "user-17", "\u0130 x\u00ad"]
)
def test_one_name_and_a_column_of_names_are_spelled_alike(name: str) -> None:
    assert spelled(name) == plain_user(name)
