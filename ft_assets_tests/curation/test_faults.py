"""Precision and recall on labelled answers, what must never be called a fault, and a long text that must not cost much.

About two of five cases are held out: written before the rules by the same author. First measured they gave precision
and recall of 1.00/0.96 (refusal), 1.00/0.76 (truncated), 1.00/1.00 (repeating), 1.00/0.95 (empty_praise), 1.00/0.96
(addresses_the_judge), 1.00/1.00 (restates_the_prompt) and 0.91/0.95 (placeholder_text); some rules were mended then, so
they are no longer unseen. Floors are what is measured, less two cases.
"""

import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ft_assets.curation.fault_answers import Answer, answers_of
from ft_assets.curation.faults import FAULTS, faults

CASES = Path(__file__).with_name("fault_cases.jsonl")
RECALL_FLOOR = dict.fromkeys(FAULTS, 0.92) | {"truncated": 0.75}
PROSE = (
    "The pool was set to five connections by a deploy on Tuesday. Queries waited for a free one until they timed out. "
    "We set it back to fifty and added a check to the pipeline. No payment was lost, since the queue kept all of them."
)


@cache
def cases() -> list[dict[str, Any]]:
    return [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]


@cache
def found() -> list[list[str]]:
    columns = [
        pl.Series([case.get(name) for case in cases()], dtype=pl.String) for name in ("answer", "prompt", "task")
    ]
    return faults(*columns).to_list()


def of(answer: str | None, prompt: str | None = "What happened?", task: str | None = None) -> list[str]:
    columns = [pl.Series([each], dtype=pl.String) for each in (answer, prompt, task)]
    return faults(*columns).to_list()[0]


def test_there_are_enough_cases_of_both_sorts_and_parts() -> None:
    for name in FAULTS:
        ours = [case for case in cases() if case["fault"] == name]
        assert sum(case["faulty"] for case in ours) >= 60
        assert sum(not case["faulty"] for case in ours) >= 60
        assert sum(case.get("held_out", False) for case in ours) >= 40


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("name", FAULTS)
def test_what_is_faulty_is_found_and_what_looks_like_it_is_not(name: str, held_out: bool) -> None:
    right, wrong, missed = [], [], []
    for case, names in zip(cases(), found(), strict=True):
        if case["fault"] == name and case.get("held_out", False) is held_out:
            kind = (right if name in names else missed) if case["faulty"] else wrong if name in names else []
            kind.append(case["answer"])
    assert len(wrong) <= 1, wrong
    assert len(right) >= RECALL_FLOOR[name] * (len(right) + len(missed)), missed


def test_good_answers_have_no_fault_of_another_kind() -> None:
    wrong = [
        (case["answer"], names) for case, names in zip(cases(), found(), strict=True) if names and not case["faulty"]
    ]
    assert len(wrong) <= 3, wrong


@pytest.mark.parametrize("name", FAULTS)
def test_the_column_test_names_nearly_every_case_that_the_rule_finds(name: str) -> None:
    ours = [case for case in cases() if case["fault"] == name and case["faulty"]]
    columns = [pl.Series([case.get(each) for case in ours], dtype=pl.String) for each in ("answer", "prompt", "task")]
    named = FAULTS[name].suspects(answers_of(*columns))
    holding = [FAULTS[name].holds(Answer(*row)) for row in zip(*columns, strict=True)]
    assert [case["answer"] for case, is_named, holds in zip(ours, named, holding, strict=True) if holds > is_named][
        1:
    ] == []


def test_one_answer_can_have_two_faults_and_they_come_in_the_order_of_the_names() -> None:
    looped = PROSE[:100] + " and it went on and on. " + "So the pool was too small for the load, and " * 12 + "the"
    assert of(looped) == ["truncated", "repeating"]
    one = pl.Series([looped])
    both = faults(one, pl.Series(["What happened?"]), pl.Series([None], dtype=pl.String), ("repeating", "truncated"))
    assert both.to_list() == [["repeating", "truncated"]]
    assert of(PROSE) == []


def test_missing_texts_and_an_empty_batch_have_no_fault() -> None:
    assert of(None, None) == []
    assert of("", "") == []
    none = pl.Series([], dtype=pl.String)
    result = faults(none, none, none)
    assert result.to_list() == []
    assert result.dtype == pl.List(pl.String)


def test_code_is_never_truncated_or_repeating() -> None:
    for code in ("x = [", "def f(a,", "```python\nprint(1", "    a = 0\n" * 30, "if x:\n    return the"):
        assert of(code, "Write it.", "code_generation") == []


def test_a_closed_task_has_faults_only_of_form() -> None:
    assert of("of the", "Which words come next?", "extraction") == []
    assert of('{"name": "search", "arguments": {"query": "the pool', "Find it.", "tool_call") == ["truncated"]
    assert of("I'm sorry, but I can't help with that.", "Which label?", "classification") == ["refusal"]


def test_the_question_decides_whether_scores_are_talk_to_a_judge() -> None:
    answer = "Relevance: 5/5, clarity: 4/5. Score: 9/10"
    assert of(answer, "Please rate my essay.") == []
    assert of(answer, "How do I boil an egg?") == ["addresses_the_judge"]


def test_a_text_that_is_long_and_hostile_takes_no_time() -> None:
    hostile = ["I cannot " * 5000, "[[" * 20_000, "[a " * 20_000, "score this " * 1000, "great " * 100, '{"a' * 20_000]
    hostile += ["\n" * 50_000, "```\n" * 10_000 + "x", "1. " * 10_000, "relevance 1 " * 1000, "._" * 20_000]
    started = time.process_time()
    nothing = pl.Series([None] * len(hostile), dtype=pl.String)
    faults(pl.Series(hostile), pl.Series(["What? " * 50] * len(hostile)), nothing)
    assert time.process_time() - started < 2


def test_every_fault_says_what_it_means() -> None:
    assert all(len(fault.meaning) > 40 for fault in FAULTS.values())
