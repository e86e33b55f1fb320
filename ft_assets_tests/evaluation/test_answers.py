"""The table of answers: who is asked what again, and what an interruption costs."""

from pathlib import Path

import polars as pl
import pytest

from ft_assets.errors import BadInput
from ft_assets.evaluation.answers import TABLE, answers_to
from ft_assets.evaluation.items import EvalItem
from ft_assets.lake import Lake
from ft_assets.records import Message
from ft_assets_tests.evaluation.plain_backend import PlainBackend
from ft_assets_tests.evaluation.samples import item

OLDER = {  # a row as version 1 kept it: one partition for each model and suite
    **{"key": "a" * 64, "model_digest": "m", "suite_digest": "s", "row_id": "r01", "answer": "old", "n_tokens": 1},
    **{"answer_nll": 1.0, "answer_tokens": 2, "answer_tokens_right": 1, "seconds": 0.1},
}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path))


def items(count: int = 10, **fields: str) -> list[EvalItem]:
    return [item(f"r{i:02d}", f"Say word{i}", f"word{i}", **fields) for i in range(count)]


def test_a_model_is_asked_each_question_once(lake: Lake) -> None:
    first, again = PlainBackend(), PlainBackend()
    said = answers_to(lake, first, items(), "Be brief.")
    assert [p.answer for p in said.predictions] == [f"word{i}" for i in range(10)]
    repeated = answers_to(lake, again, items()[::-1], "Be brief.")
    assert (repeated.predictions, again.asked) == (said.predictions, [])
    assert (said.asked, repeated.asked, said.missing, said.coverage) == (10, 0, {}, 1.0)


def test_a_suite_that_grew_asks_for_its_new_rows_only(lake: Lake) -> None:
    answers_to(lake, PlainBackend(), items(6), None)
    backend = PlainBackend()
    said = answers_to(lake, backend, items(9), None)
    assert backend.asked == ["r06", "r07", "r08"]
    assert (len(said.predictions), said.asked) == (9, 3)


def test_ids_clusters_and_slices_are_no_part_of_a_question(lake: Lake) -> None:
    answers_to(lake, PlainBackend(), items(3), None)
    backend = PlainBackend()
    renamed = [item(f"new{i}", f"Say word{i}", f"word{i}", cluster_id="one", slice="other") for i in range(3)]
    assert [p.row_id for p in answers_to(lake, backend, renamed, None).predictions] == ["new0", "new1", "new2"]
    assert backend.asked == []


@pytest.mark.parametrize(
    ("backend", "system_prompt"),
    [
        (PlainBackend("another model"), None),
        (PlainBackend(setting={"backend": "plain", "device": "another machine"}), None),
        (PlainBackend(), "Another prompt."),
    ],
)
def test_another_model_machine_or_system_prompt_is_asked_anew(
    lake: Lake, backend: PlainBackend, system_prompt: str | None
) -> None:
    answers_to(lake, PlainBackend(), items(3), None)
    answers_to(lake, backend, items(3), system_prompt)
    assert backend.asked == ["r00", "r01", "r02"]
    assert lake.scan(TABLE).collect().height == 6


def test_what_broke_down_goes_on_where_it_stopped(lake: Lake) -> None:
    with pytest.raises(RuntimeError, match="broke down"):
        answers_to(lake, PlainBackend(ends_after=2), items(20), None, part_batches=4)
    backend, whole = PlainBackend(), answers_to(Lake(f"{lake.url}/whole"), PlainBackend(), items(20), None)
    said = answers_to(lake, backend, items(20), None)
    assert len(backend.asked) == 12
    assert said.predictions == whole.predictions


def test_parts_are_written_while_the_work_goes_on(lake: Lake) -> None:
    rows = []

    def look(done: int, of: int) -> None:
        rows.append((done, of, lake.scan(TABLE).collect().height if lake.exists(TABLE) else 0))

    answers_to(lake, PlainBackend(), items(20), None, look, part_batches=2)
    assert rows == [(4, 20, 0), (8, 20, 8), (12, 20, 8), (16, 20, 16), (20, 20, 16)]
    answers_to(lake, PlainBackend("slow"), items(8), None, look, part_seconds=0.0)
    assert rows[-2:] == [(4, 8, 24), (8, 8, 28)]


def test_a_part_that_another_process_wrote_meanwhile_is_not_written_twice(lake: Lake) -> None:
    def meanwhile(done: int, of: int) -> None:
        if done == 4:
            answers_to(lake, PlainBackend(), items(12), None, part_batches=1)

    said = answers_to(lake, PlainBackend(), items(20), None, meanwhile, part_batches=2)
    kept = lake.scan(TABLE).collect()
    assert (len(said.predictions), kept.height, kept["prompt_digest"].n_unique()) == (20, 20, 20)


def test_a_row_without_an_answer_is_missing_with_its_reason_and_asked_again_next_time(lake: Lake) -> None:
    said = answers_to(lake, PlainBackend(unanswerable=["r03"]), items(10), None)
    assert said.missing == {"r03": "it cannot be asked"}
    assert (len(said.predictions), said.asked, said.coverage) == (9, 9, 0.9)
    backend = PlainBackend()
    assert answers_to(lake, backend, items(10), None).missing == {}
    assert backend.asked == ["r03"]


@pytest.mark.parametrize(("rows", "evaluated"), [(49, False), (50, True), (51, True)])
def test_less_than_98_percent_of_the_rows_is_not_evaluated(lake: Lake, rows: int, evaluated: bool) -> None:
    said = answers_to(lake, PlainBackend(unanswerable=["r03"]), items(rows), None)
    assert (said.not_evaluated is None) == evaluated
    if not evaluated:
        assert (
            said.not_evaluated == "48 of 49 rows were answered, less than 98 %; first missing: r03, it cannot be asked"
        )


def test_a_suite_without_rows_is_not_evaluated(lake: Lake) -> None:
    assert answers_to(lake, PlainBackend(), [], None).not_evaluated == "the suite has no rows"


def test_two_rows_with_one_prompt_are_asked_once_and_both_answered(lake: Lake) -> None:
    backend = PlainBackend()
    said = answers_to(lake, backend, [item("a", "Say it", "it"), item("b", "Say it", "it")], None)
    assert (len(backend.asked), [(p.row_id, p.answer) for p in said.predictions]) == (1, [("a", "it"), ("b", "it")])


def test_a_lake_with_the_table_of_an_older_version_keeps_it_and_answers_anew(lake: Lake) -> None:
    lake.replace(TABLE, pl.DataFrame([OLDER]), {"key": ["a" * 64]})
    backend = PlainBackend()
    assert [p.answer for p in answers_to(lake, backend, items(3), None).predictions] == ["word0", "word1", "word2"]
    assert backend.asked == ["r00", "r01", "r02"]
    assert answers_to(lake, PlainBackend(), items(3), None).asked == 0
    kept = lake.scan(TABLE).collect()
    assert kept.filter(pl.col("key") == "a" * 64).select(OLDER.keys()).to_dicts() == [OLDER]
    assert kept.height == 4


def test_rows_that_were_answered_in_smaller_batches_are_counted_also_when_they_come_from_the_table(lake: Lake) -> None:
    assert answers_to(lake, PlainBackend(halved=True), items(6), None).in_smaller_batches == 6
    said = answers_to(lake, PlainBackend(), items(10), None)
    assert (said.asked, said.in_smaller_batches) == (4, 6)


def test_rows_without_a_reference_or_with_one_id_are_refused(lake: Lake) -> None:
    asks = EvalItem("r", "c", "t", "s", (Message(role="user", content="Hello"),))
    with pytest.raises(BadInput, match="Eval row r does not end with an assistant"):
        answers_to(lake, PlainBackend(), [asks], None)
    with pytest.raises(BadInput, match="Two eval rows have the id a"):
        answers_to(lake, PlainBackend(), [item("a"), item("a", "Another.")], None)
