import hashlib
import json

import pytest

from ft_assets.dataset.golden import golden_digest, golden_rows
from ft_assets.errors import BadInput, MissingInput
from ft_assets.records import Expected

LINE = {
    "id": "g1",
    "cluster_id": "c1",
    "task_type": "debugging",
    "slice": "seen",
    "messages": [{"role": "user", "content": "why?"}, {"role": "assistant", "content": "because"}],
}


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


def test_a_golden_set_from_the_lake_is_read_like_a_file(golden_file):
    content = json.dumps(LINE).encode() + b"\n"
    assert golden_rows(content, "lake:golden/qa.jsonl") == golden_rows(golden_file(content.decode()))
    with pytest.raises(BadInput, match=r"lake:golden/qa\.jsonl:1 is not a GoldenRow"):
        golden_rows(b"{}\n", "lake:golden/qa.jsonl")


def test_a_frozen_golden_set_that_changed_is_refused_with_both_digests(golden_file):
    path = golden_file(json.dumps(LINE) + "\n")
    frozen = hashlib.sha256(path.read_bytes()).hexdigest()
    assert golden_rows(path, sha256=frozen)[0].id == "g1"
    path.write_text(json.dumps({**LINE, "slice": "new"}) + "\n")
    now = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(BadInput, match=rf"{now}.*{frozen}.*write the new digest into the specialization"):
        golden_rows(path, sha256=frozen)


def test_the_digest_of_a_golden_set_does_not_depend_on_the_order_of_its_file():
    lines = [json.dumps({**LINE, "id": name}).encode() for name in ("a", "b")]
    one, other = (golden_rows(b"\n".join(order)) for order in (lines, lines[::-1]))
    assert golden_digest(one) == golden_digest(other)
    assert golden_digest([]) is None


def test_a_golden_row_may_bring_checks_and_an_older_set_keeps_its_digest(golden_file):
    plain = golden_rows(golden_file(json.dumps(LINE)))
    as_it_was = [{**LINE, "messages": [{**turn, "tool_calls": None} for turn in LINE["messages"]]}]
    written = json.dumps(as_it_was, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert golden_digest(plain) == hashlib.sha256(written.encode()).hexdigest()
    (checked,) = golden_rows(golden_file(json.dumps({**LINE, "labels": ["because", "whatever"], "difficulty": "hard"})))
    assert checked.expected == Expected(labels=("because", "whatever")) and checked.difficulty == "hard"
    assert golden_digest([checked]) != golden_digest(plain)
