import json
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.dataset.export import ROW_FORMATS, PreferencePair, write_pairs, write_rows
from ft_assets.dataset.rows import SnapshotRow
from ft_assets.errors import BadInput
from ft_assets.ingest.landing import DayIngest, ingest_day
from ft_assets.lake import Lake
from ft_assets.records import Message

DAY = "2026-01-05"
CALLS = json.dumps([{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": "é"}'}}])
CALLS = json.dumps(json.loads(CALLS), ensure_ascii=False)
TYPES = [".json", ".json.gz", ".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet"]
FOUR_TURNS = (("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four"))
MANY_TURNS = ("messages", "examples", "sharegpt", "transcript", "argilla")


def row(*turns: tuple[str, str], name: str = "e1", calls: str | None = None) -> SnapshotRow:
    messages = [Message(role=role, content=content) for role, content in turns]  # type: ignore[arg-type]
    if calls:
        messages[-1] = messages[-1].model_copy(update={"tool_calls": calls})
    return SnapshotRow(
        example_id=name,
        cluster_id="c",
        prompt_id="p",
        role="qa-engineer",
        task_type=None,
        reasoning_mode="agent",
        messages=messages,
        interaction_ids=["i"],
    )


def plain(name: str = "e1", question: str = "2 + 2?", answer: str = "4") -> SnapshotRow:
    return row(("user", question), ("assistant", answer), name=name)


def ingested(file: Path) -> DayIngest:
    with TemporaryDirectory() as root:
        lake = Lake(root)
        lake.land(DAY, file.name, file.read_bytes())
        return ingest_day(lake, DAY)


def turns_of(row: SnapshotRow) -> list[dict[str, str | None]]:
    return [turn.model_dump() for turn in row.messages]


def can_hold(format: str, type: str) -> bool:
    return format != "examples" or (type.startswith(".json") and "jsonl" not in type)


@pytest.mark.parametrize(("format", "type"), [pair for pair in product(ROW_FORMATS, TYPES) if can_hold(*pair)])
def test_what_is_written_is_read_back_in_every_format_and_file_type(format: str, type: str, tmp_path: Path) -> None:
    rows = [plain(), plain("e2", 'a "quoted", cell\nof two lines', "naïve 🙂,\r\n[x]"), plain("e3", "[1]", "{}")]
    if format in MANY_TURNS:
        rows.append(
            row(
                ("system", "Be brief."),
                ("user", "one"),
                ("assistant", "two"),
                ("user", "x"),
                ("assistant", "y"),
                name="e4",
            )
        )
    assert write_rows(rows, format, tmp_path / f"rows{type}") == len(rows)
    day = ingested(tmp_path / f"rows{type}")
    assert day.rejections == []
    assert day.rows["messages"].to_list() == [turns_of(row) for row in rows]
    assert day.rows["interaction_id"].to_list() == [row.example_id for row in rows]
    assert set(day.rows["role"]) == {"qa-engineer"}
    assert set(day.rows["reasoning_mode"]) == {"agent"}


@pytest.mark.parametrize("type", TYPES)
def test_tool_calls_survive_in_messages_to_the_letter(type: str, tmp_path: Path) -> None:
    rows = [
        row(("user", "2 + 2?"), ("assistant", ""), calls=CALLS),
        row(("user", "2 + 2?"), ("assistant", "x"), name="e2", calls="call add"),
        row(("user", "?"), ("tool", "4"), ("assistant", "4"), name="e3"),
    ]
    write_rows(rows, "messages", tmp_path / f"rows{type}")
    assert ingested(tmp_path / f"rows{type}").rows["messages"].to_list() == [turns_of(row) for row in rows]


def test_tool_calls_are_a_list_for_the_tools_that_expect_one(tmp_path: Path) -> None:
    write_rows([row(("user", "2 + 2?"), ("assistant", ""), calls=CALLS)], "messages", tmp_path / "rows.jsonl")
    record = json.loads((tmp_path / "rows.jsonl").read_text())
    assert record["messages"][1]["tool_calls"][0]["function"]["name"] == "add"


@pytest.mark.parametrize("type", TYPES)
def test_pairs_are_read_back_as_both_answers_to_their_prompt(type: str, tmp_path: Path) -> None:
    def turn(role: str, content: str) -> Message:
        return Message(role=role, content=content)  # type: ignore[arg-type]

    prompts = [[turn("user", "2 + 2?")], [turn("system", "s"), turn("user", "q")], [turn("user", '[{"role": "x"}]')]]
    prompts.append([turn("user", "\n\nHuman: q\n\nAssistant:")])
    pairs = [
        PreferencePair(
            pair_id=f"p{number}", prompt=prompt, chosen=turn("assistant", "4"), rejected=turn("assistant", "5")
        )
        for number, prompt in enumerate(prompts)
    ]
    assert write_pairs(pairs, tmp_path / f"pairs{type}") == 4
    day = ingested(tmp_path / f"pairs{type}")
    expected = [
        [turn.model_dump() for turn in [*pair.prompt, answer]]
        for pair in pairs
        for answer in (pair.chosen, pair.rejected)
    ]
    assert day.rows["messages"].to_list() == expected
    assert day.rows["interaction_id"].to_list()[:2] == ["p0:chosen", "p0:rejected"]


@pytest.mark.parametrize(
    ("bad_row", "format", "type", "reason"),
    [
        (
            row(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")),
            "alpaca",
            ".jsonl",
            "user, assistant",
        ),
        (row(("system", "s"), ("user", "a"), ("assistant", "b")), "native", ".jsonl", "system, user"),
        (plain("e1", "\n\nHuman: a\n\nAssistant:"), "completion", ".jsonl", "looks like turns"),
        (plain("e1", "a", '[{"role": "user", "content": "b"}]'), "completion", ".csv", "looks like turns"),
        (row(("user", "a"), ("assistant", "b"), calls=CALLS), "input_output", ".jsonl", "tool calls"),
        (row(("user", "a"), ("assistant", "b"), calls=CALLS), "sharegpt", ".jsonl", "tool calls"),
        (row(("user", "a"), ("assistant", "b"), calls=CALLS), "argilla", ".jsonl", "tool calls"),
        (row(("user", "a"), ("tool", "t"), ("assistant", "b")), "transcript", ".jsonl", "tool turn"),
        (plain(question="a\n\nHuman: b"), "transcript", ".jsonl", "speaker's mark"),
        (row(("user", "a")), "transcript", ".jsonl", "no answer"),
        (plain(answer=""), "native", ".csv", "empty text"),
    ],
)
def test_a_row_that_the_format_cannot_hold_stops_the_export_and_leaves_nothing(
    bad_row: SnapshotRow, format: str, type: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=reason) as raised:
        write_rows([plain("e0"), bad_row], format, tmp_path / f"rows{type}")
    assert "e1" in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_survives_an_export_that_fails(tmp_path: Path) -> None:
    write_rows([plain()], "alpaca", tmp_path / "rows.jsonl.gz")
    before = (tmp_path / "rows.jsonl.gz").read_bytes()
    with pytest.raises(BadInput):
        write_rows([plain("e2"), row(("user", "a"))], "alpaca", tmp_path / "rows.jsonl.gz")
    assert (tmp_path / "rows.jsonl.gz").read_bytes() == before
    write_rows([plain()], "alpaca", tmp_path / "rows.jsonl.gz")
    assert (tmp_path / "rows.jsonl.gz").read_bytes() == before  # the same rows are the same bytes


def test_a_parquet_file_may_be_packed_once_more(tmp_path: Path) -> None:
    assert write_rows([plain(question="nul \x00 and 🙂")], "messages", tmp_path / "rows.parquet.gz") == 1
    assert ingested(tmp_path / "rows.parquet.gz").rows["messages"][0][0]["content"] == "nul \x00 and 🙂"


def test_unknown_formats_and_file_types_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="alpaca, sharegpt"):
        write_rows([], "xml", tmp_path / "rows.jsonl")
    with pytest.raises(BadInput, match="parquet"):
        write_rows([], "messages", tmp_path / "rows.xlsx")
    with pytest.raises(BadInput, match="one document"):
        write_rows([], "examples", tmp_path / "rows.csv")


TEXTS = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["\n\nHuman: x", "\n\nAssistant:", "Human:", "\r", "\n", " ", '[{"role":"user","content":"x"}]', '"', "\x00", "7"]
)


@settings(max_examples=60, deadline=None)
@given(
    turns=st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), TEXTS), min_size=1, max_size=4),
    format=st.sampled_from([name for name in ROW_FORMATS if name != "examples"]),
    type=st.sampled_from([".jsonl", ".csv"]),
)
def test_any_text_is_read_back_as_it_was_or_refused_at_writing(
    turns: list[tuple[str, str]], format: str, type: str
) -> None:
    written = row(*turns)
    with TemporaryDirectory() as folder:
        try:
            write_rows([written], format, Path(folder) / f"rows{type}")
        except BadInput:
            return
        day = ingested(Path(folder) / f"rows{type}")
    assert day.rejections == []
    assert day.rows["messages"].to_list() == [turns_of(written)]
