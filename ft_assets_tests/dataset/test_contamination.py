import json

import polars as pl
import pytest

from ft_assets.dataset.contamination import Leak, drop_golden, golden_rows, leaks, refuse_leaking
from ft_assets.dataset.rows import SnapshotRow
from ft_assets.errors import BadInput, LeakFound, MissingInput
from ft_assets.records import Message

LINE = {
    "id": "g1",
    "cluster_id": "c1",
    "task_type": "debugging",
    "slice": "seen",
    "messages": [{"role": "user", "content": "why?"}, {"role": "assistant", "content": "because"}],
}


def kept(rows: pl.DataFrame) -> list[str]:
    return rows["example_id"].to_list()


def test_golden_rows_come_in_the_order_of_the_file(golden_file):
    path = golden_file("\n".join(json.dumps({**LINE, "id": name}) for name in ("z", "a")) + "\n\n")
    assert [row.id for row in golden_rows(path)] == ["z", "a"]


def test_a_line_separator_inside_a_text_ends_no_line(golden_file):
    messages = [{"role": "user", "content": "one\u2028two"}, {"role": "assistant", "content": "three\u0085four"}]
    rows = golden_rows(golden_file(json.dumps({**LINE, "messages": messages}, ensure_ascii=False)))
    assert rows[0].messages[0].content == "one\u2028two"


@pytest.mark.parametrize(
    ("second_line", "said"),
    [
        ("not json", ":2 is not a GoldenRow"),
        (json.dumps({**LINE, "id": "g2", "answer": 1}), "answer"),
        (json.dumps({key: value for key, value in LINE.items() if key != "slice"}), "slice"),
        (json.dumps({**LINE, "id": "g2", "messages": LINE["messages"][:1]}), "ends with assistant"),
        (json.dumps(LINE), ":2 has the id 'g1' of line 1"),
    ],
)
def test_a_bad_golden_line_is_named_with_its_file_and_line(golden_file, second_line, said):
    path = golden_file(json.dumps(LINE) + "\n" + second_line + "\n")
    with pytest.raises(BadInput, match=r"golden\.jsonl:2") as raised:
        golden_rows(path)
    assert said in str(raised.value)


def test_a_golden_set_that_is_empty_or_absent_is_refused(golden_file, tmp_path):
    with pytest.raises(BadInput, match="guards nothing"):
        golden_rows(golden_file("\n"))
    with pytest.raises(MissingInput, match=r"set evaluation\.golden_set to null"):
        golden_rows(tmp_path / "absent.jsonl")


def test_a_row_that_asks_a_golden_prompt_is_dropped_whatever_it_answers(row, curated, conversation, golden_row):
    table = curated([row("a"), row("b", messages=conversation("  WHAT is\nthis? ", "Something else."))])
    clean = drop_golden(table, [golden_row("What is this?", "A test.")])
    assert kept(clean.rows) == ["a"]
    assert clean.drops == {"in_golden_set": 1}


def test_a_conversation_that_begins_with_a_golden_prompt_is_dropped(row, curated, conversation, golden_row):
    table = curated([row("a", messages=conversation("What is this?", "A test.", "And that?", "Another."))])
    assert drop_golden(table, [golden_row("What is this?", "A test.")]).rows.height == 0


def test_a_system_turn_does_not_hide_a_golden_prompt(row, curated, conversation, golden_row):
    hidden = [{"role": "system", "content": "Be kind.", "tool_calls": None}, *conversation("What is this?", "A test.")]
    assert drop_golden(curated([row("a", messages=hidden)]), [golden_row("What is this?", "A test.")]).rows.height == 0


def test_a_row_of_a_golden_cluster_is_dropped(row, curated, golden_row):
    assert drop_golden(curated([row("a", cluster_id="c-g1")]), [golden_row("q", "a")]).rows.height == 0


def test_without_a_golden_set_nothing_is_dropped(many):
    assert drop_golden(many, []).rows.equals(many)


@pytest.fixture
def snapshot(tmp_path):
    """Writes three sides of (example, cluster, prompt, question) as a snapshot."""

    def write(**by_side: list[tuple[str, str, str, str]]):
        for side in ("train", "validation", "eval"):
            rows = [
                SnapshotRow(
                    example_id=example,
                    cluster_id=cluster,
                    prompt_id=prompt,
                    role=None,
                    task_type=None,
                    reasoning_mode="standard",
                    messages=[Message(role="user", content=asked), Message(role="assistant", content="yes")],
                    interaction_ids=[],
                )
                for example, cluster, prompt, asked in by_side.get(side, [])
            ]
            (tmp_path / f"{side}.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in rows))
        return tmp_path

    return write


def test_clean_sides_have_no_leak(snapshot):
    folder = snapshot(train=[("a", "1", "p", "x?"), ("b", "1", "p", "x?")], eval=[("c", "2", "q", "y?")])
    assert leaks(folder, []) == []
    refuse_leaking(folder, [])


@pytest.mark.parametrize(
    ("on_eval", "kind"),
    [
        (("a", "2", "q", "y?"), "same_example"),
        (("b", "1", "q", "y?"), "same_cluster"),
        (("b", "2", "p", "y?"), "same_prompt"),
        (("b", "2", "q", " X? "), "same_text"),
    ],
)
@pytest.mark.parametrize("side", ["train", "validation"])
def test_a_row_of_eval_in_what_is_learned_from_is_a_leak(snapshot, side, on_eval, kind):
    folder = snapshot(**{side: [("a", "1", "p", "x?")], "eval": [on_eval]})
    assert leaks(folder, []) == [Leak(on_eval[0], "a", kind)]


def test_train_and_validation_are_kept_apart_as_well(snapshot):
    folder = snapshot(train=[("a", "1", "p", "x?")], validation=[("b", "1", "q", "y?")])
    assert leaks(folder, []) == [Leak("b", "a", "same_cluster")]


def test_a_golden_row_is_a_leak_in_train_and_validation_and_none_on_the_eval_side(snapshot, golden_row):
    golden = [golden_row("x?", "no")]
    assert leaks(snapshot(train=[("a", "1", "p", "X?")]), golden) == [Leak("a", "g1", "golden")]
    assert leaks(snapshot(validation=[("a", "1", "p", "X?")]), golden) == [Leak("a", "g1", "golden")]
    assert leaks(snapshot(eval=[("a", "1", "p", "X?")]), golden) == []


def test_a_snapshot_that_leaks_is_refused_with_its_rows(snapshot):
    folder = snapshot(train=[("a", "1", "p", "x?")], eval=[("b", "1", "q", "y?")])
    with pytest.raises(LeakFound, match=r"1 rows .* b \(same_cluster a\)"):
        refuse_leaking(folder, [])
