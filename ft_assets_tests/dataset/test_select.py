import subprocess
import sys

import polars as pl
import pytest
from pydantic import ValidationError

from ft_assets.dataset.select import Selector, select, without_measured_number

QA = Selector(roles=("qa-engineer",))


def test_only_examples_of_the_role_whose_signals_pass_are_taken(row, curated):
    table = curated(
        [row("a"), row("b", high_score=False, low_score_reason="no signal"), row("c", role="devops-engineer")]
    )
    chosen = select(table, QA)
    assert chosen.rows["example_id"].to_list() == ["a"]
    assert chosen.drops == {"no signal": 1}


def test_a_lazy_table_gives_what_a_loaded_one_gives(row, curated):
    table = curated([row("a"), row("b")])
    assert select(table.lazy(), QA).rows.equals(select(table, QA).rows)


def test_another_role_is_no_drop_but_another_task_of_the_role_is(row, curated):
    table = curated([row("a"), row("b", task_type="explanation"), row("c", task_type=None), row("d", role=None)])
    chosen = select(table, Selector(roles=("qa-engineer",), task_types=("test_cases",)))
    assert chosen.rows["example_id"].to_list() == ["a"]
    assert chosen.drops == {"other task_type": 2}


def test_a_line_without_roles_counts_no_rows_that_are_not_its_own(row, curated):
    table = curated([row("a", reasoning_mode="chain_of_thought"), row("b"), row("c")])
    chosen = select(table, Selector(reasoning_modes=("chain_of_thought",)))
    assert chosen.rows["example_id"].to_list() == ["a"]
    assert chosen.drops == {}


def test_reasons_are_grouped_without_the_measured_number(row, curated):
    reasons = ["rating 1.0 below 4", "rating 3.5 below 4", "rating 2 of 5; judge mean 0.61", None]
    table = curated([row(f"e{i}", high_score=False, low_score_reason=reason) for i, reason in enumerate(reasons)])
    assert select(table, QA).drops == {
        "no reason given": 1,
        "rating below 4": 2,
        "rating too low; judge mean too low": 1,
    }


@pytest.mark.parametrize(
    ("reason", "shared"),
    [
        ("no signal", "no signal"),
        ("rating 2.5 of 5", "rating too low"),
        ("judge mean 1e-05", "judge mean too low"),
        ("judge mean 0.5 not above 0.8; expert rejected", "judge mean not above 0.8; expert rejected"),
    ],
)
def test_a_reason_keeps_its_threshold_and_loses_its_value(reason, shared):
    assert without_measured_number(reason) == shared


def test_the_same_example_on_two_days_stays_on_its_first_and_is_counted(row, curated):
    chosen = select(curated([row("a", day="2026-01-07"), row("a", day="2026-01-05"), row("b")]), QA)
    assert chosen.rows.select("example_id", "day").rows() == [("a", "2026-01-05"), ("b", "2026-01-05")]
    assert chosen.drops == {"duplicate": 1}


def test_copies_that_curation_merged_count_as_duplicates(row, curated):
    assert select(curated([row("a", interaction_ids=["1", "2", "3"]), row("b")]), QA).drops == {"duplicate": 2}


def test_the_order_of_the_table_changes_nothing(many):
    shuffled = many.sample(fraction=1.0, shuffle=True, seed=3)
    assert select(shuffled, QA).rows.equals(select(many, QA).rows)


def test_a_quality_floor_leaves_out_what_is_below_it_or_has_no_score(row, curated):
    table = curated([row("a", quality_score=0.7), row("b", quality_score=0.69), row("c", quality_score=None)])
    chosen = select(table, Selector(min_quality_score=0.7))
    assert chosen.rows["example_id"].to_list() == ["a"]
    assert chosen.drops == {"quality_score below 0.7": 2}


def test_tool_calls_are_taken_and_those_that_no_template_could_write_are_counted(row, curated):
    def called(calls, role="assistant"):
        asked = {"role": role, "content": "q", "tool_calls": None if role == "assistant" else calls}
        return [asked, {"role": "assistant", "content": "", "tool_calls": calls}]

    call = '[{"function": {"name": "run_tests", "arguments": "{}"}}]'
    unreadable = ('{"name": ', '[{"name": ""}]', '{"arguments": {}}')
    broken = {f"broken{n}": called(calls) for n, calls in enumerate(unreadable)}
    rows = {"a": called(None), "b": called(call), "c": called("[]"), "d": called(call, "user"), **broken}
    chosen = select(curated([row(name, messages=messages) for name, messages in rows.items()]), QA)
    assert chosen.drops == {"tool calls that cannot be read": 4}
    answers = chosen.rows["messages"].list.last().struct.field("tool_calls").to_list()
    assert dict(zip(chosen.rows["example_id"], answers, strict=True)) == {"a": None, "b": call, "c": None}


def test_a_conversation_over_the_length_is_left_out_and_counted(row, curated, conversation):
    table = curated([row("a"), row("b", messages=conversation("q" * 60, "a" * 41))])
    chosen = select(table, Selector(max_characters=100))
    assert chosen.rows["example_id"].to_list() == ["a"]
    assert chosen.drops == {"other length than max_characters 100": 1}


def test_every_row_of_the_role_is_taken_or_counted_once(row, curated):
    rows = [
        row("a"),
        row("a", day="2026-02-01"),
        row("b", task_type="other", high_score=False),
        row("c", high_score=False),
    ]
    chosen = select(curated(rows), Selector(roles=("qa-engineer",), task_types=("test_cases",)))
    assert chosen.rows.height + sum(chosen.drops.values()) == len(rows)


def test_low_scores_are_taken_when_the_line_asks_for_them(row, curated):
    table = curated([row("a", high_score=False, low_score_reason="no signal")])
    assert select(table, Selector(high_score_only=False)).rows.height == 1


def test_an_empty_table_gives_an_empty_choice(curated):
    chosen = select(curated([]), QA)
    assert chosen.rows.height == 0
    assert chosen.rows.schema["messages"] == pl.List(
        pl.Struct({"role": pl.String, "content": pl.String, "tool_calls": pl.String})
    )


def test_roles_and_modes_are_read_through_their_aliases():
    selector = Selector(roles=["QA", "system_architect"], reasoning_modes=["cot"])
    assert selector.roles == ("qa-engineer", "software-architect")
    assert selector.reasoning_modes == ("chain_of_thought",)


def test_an_unknown_condition_is_refused():
    with pytest.raises(ValidationError, match="languages"):
        Selector(languages=["en"])


def test_reading_the_selector_imports_no_heavy_library():
    code = (
        "import sys, ft_assets.dataset.select, ft_assets.dataset.split; print({'polars', 'numpy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
