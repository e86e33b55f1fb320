"""Files of one's own: both forms, what may be checked, and where a bad line stands."""

import hashlib
import json
from pathlib import Path

import pytest

from ft_assets.errors import BadInput, MissingInput
from ft_assets.evaluation.suite_files import suite_from_file
from ft_assets.evaluation.suites import Suite


def suite(folder: Path, *rows: object, **options: object) -> Suite:
    path = folder / "own.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return suite_from_file(path, None, **options)


def pair(question: str = "Tax?", answer: str = "yes", **fields: object) -> dict[str, object]:
    return {"input": question, "output": answer, **fields}


def test_both_forms_are_questions(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Tax?"}, {"role": "assistant", "content": "yes"}]
    found = suite(tmp_path, pair(id="a"), "", {"messages": turns, "id": "b", "slice": "s", "difficulty": "hard"})
    one, other = found.items
    assert (found.name, found.kind) == ("own", "own")
    assert one.messages == other.messages and one.reference == "yes"
    assert (other.slice, other.difficulty, one.slice, one.task_type) == ("s", "hard", "all", "without task")


def test_a_row_without_id_is_called_by_its_line_and_copies_of_a_prompt_are_one_cluster(tmp_path: Path) -> None:
    items = suite(tmp_path, pair(), pair("Lane?"), pair()).items
    assert [item.row_id for item in items] == ["line-000001", "line-000002", "line-000003"]
    assert items[0].cluster_id == items[2].cluster_id != items[1].cluster_id


def test_what_an_answer_is_checked_against_is_kept(tmp_path: Path) -> None:
    code = pair(tests="assert f() == 1", entry_point="f", code_prefix="def f():\n")
    schema = {"type": "object", "required": ["a"]}
    one, other, third = suite(tmp_path, code, pair(labels=["yes", "no"]), pair(json_schema=schema)).items
    assert (one.expected.tests, one.expected.entry_point, one.expected.code_prefix) == (
        "assert f() == 1",
        "f",
        "def f():\n",
    )
    assert other.expected.labels == ("yes", "no")
    assert json.loads(third.expected.json_schema) == schema
    assert suite(tmp_path, pair(json_schema=json.dumps(schema))).items[0].expected == third.expected


def test_the_labels_of_a_classification_suite_hold_for_rows_that_name_none(tmp_path: Path) -> None:
    one, other = suite(tmp_path, pair(), pair(labels=["yes", "maybe"]), labels=["no", "yes"]).items
    assert (one.expected.labels, other.expected.labels) == (("no", "yes"), ("yes", "maybe"))
    with pytest.raises(BadInput, match=r"own.jsonl:2: the reference is none of the 2 labels"):
        suite(tmp_path, pair(), pair(answer="perhaps"), labels=["no", "yes"])


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("{not json", "the line: Invalid JSON"),
        ({"input": "secret words"}, "give one of the two"),
        ({"output": "secret words"}, "give one of the two"),
        ({}, "give one of the two"),
        ({**pair(), "messages": [{"role": "user", "content": "x"}]}, "give one of the two"),
        ({"messages": [{"role": "user", "content": "secret words"}]}, r"roles \['user'\]"),
        (pair(lables=["a", "b"]), "lables: Extra inputs are not permitted"),
        (pair(labels=["yes"]), "labels: "),
        (pair(entry_point="f"), "there are no tests"),
        (pair(json_schema='{"type": "objekt"}'), "json_schema is no JSON Schema"),
        (pair(json_schema="{"), "json_schema is no JSON Schema"),
        (pair(json_schema=3), "json_schema is no JSON Schema"),
        (pair(id=""), "id: "),
    ],
)
def test_a_bad_line_is_named_and_not_quoted(tmp_path: Path, row: object, found: str) -> None:
    with pytest.raises(BadInput, match=rf"own.jsonl:3 is no row of a suite: .*{found}") as refused:
        suite(tmp_path, pair(), "", row)
    assert "secret" not in str(refused.value)


def test_an_id_that_occurs_twice_an_empty_and_an_absent_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"own.jsonl:2 has the id of line 1, 'a'"):
        suite(tmp_path, pair(id="a"), pair("Lane?", id="a"))
    with pytest.raises(BadInput, match="holds no row"):
        suite(tmp_path, "")
    with pytest.raises(MissingInput, match=r"absent\.jsonl does not exist"):
        suite_from_file(tmp_path / "absent.jsonl", None)


def test_a_frozen_file_that_changed_is_refused(tmp_path: Path) -> None:
    suite(tmp_path, pair())
    frozen = hashlib.sha256((tmp_path / "own.jsonl").read_bytes()).hexdigest()
    assert suite(tmp_path, pair(), sha256=frozen).items
    with pytest.raises(BadInput, match=f"was frozen as {frozen}"):
        suite(tmp_path, pair("Lane?"), sha256=frozen)
