"""Faults of real answers. Every hit was read.

15,513 answers of sixteen files have 58 faults on 56 rows. 53 are right: cut, looped, refused or only a link. 5 (four
texts) are wrong: three that only lack the last full stop, and one that speaks of a great cake.
"""

import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

import ft_assets
from ft_assets.curation.faults import faults

DATA = Path(ft_assets.__file__).parents[2] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the folder with real data is not there")
CLOSED = ["classification_paws", "classification_tool_relevance", "qa_commonsense", "qa_cosmos", "qa_qasc", "qa_ropes"]


def counted(rows: list[tuple[str, str, str | None]]) -> Counter[str]:
    columns = [pl.Series(list(column), dtype=pl.String) for column in zip(*rows, strict=True)]
    return Counter(name for names in faults(*columns).to_list() for name in names)


def lines(name: str) -> list[dict]:
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").open(encoding="utf-8") if line.strip()]


@pytest.mark.parametrize("task", ["code", None])
def test_real_code_has_no_fault_with_its_task_or_without(task: str | None) -> None:
    rows = [(row["messages"][-1]["content"], row["messages"][0]["content"], task) for row in lines("code_instructions")]
    rows += [(row["canonical_solution"], row["prompt"], task) for row in lines("code_tasks") + lines("mbpp_tasks")]
    rows += [(row["completion"], "Complete the function.", task) for row in lines("mbpp_model_samples")]
    assert not counted(rows)


@pytest.mark.parametrize("name", CLOSED)
def test_short_right_answers_have_no_fault_even_when_nobody_names_their_task(name: str) -> None:
    assert not counted([(row["output"], row["input"], None) for row in lines(name)])


def test_worked_solutions_have_no_fault() -> None:
    assert not counted([(row["answer"], row["question"], None) for row in lines("gsm8k_train_1000")])


def test_real_chat_has_the_faults_that_were_read_and_few_others() -> None:
    found = counted([(row["output_text"], row["input_text"], row["task_type"]) for row in lines("interactions")])
    assert set(found) <= {"truncated", "refusal"}
    assert 13 <= found["truncated"] <= 18  # of 2,250; 14 of them stop in a sentence or before a list
    assert found["refusal"] <= 2
