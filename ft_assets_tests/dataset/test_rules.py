import re

import polars as pl
import pytest
from pydantic import ValidationError

from ft_assets.dataset.rules import Rules, apply_filters, apply_transformers, refuse_invalid
from ft_assets.dataset.summary import SnapshotSummary
from ft_assets.errors import BadInput


def rules(**by_kind) -> Rules:
    return Rules.model_validate(by_kind)


@pytest.fixture
def table(row, curated, conversation):
    return curated(
        [
            row("short", messages=conversation("q", "no")),
            row("long", messages=conversation("q", "x" * 90), n_tokens=40, tags=["draft", "x"]),
            row("turns", messages=conversation("q", "a1 and more", "q2", "a2 and more"), source="wiki"),
            row("plain", messages=conversation("q", "An answer."), tags=None, source=None, n_tokens=None),
        ]
    )


@pytest.mark.parametrize(
    ("rule", "out"),
    [
        ({"min_answer_chars": 10}, "short"),
        ({"max_answer_chars": 80}, "long"),
        ({"max_tokens": 39}, "long"),
        ({"max_turns": 2}, "turns"),
        ({"exclude_tags": ["draft"]}, "long"),
        ({"exclude_sources": ["wiki", "forum"]}, "turns"),
        ({"answer_matches_not": "(?i)^an? "}, "plain"),
    ],
)
def test_a_filter_leaves_out_what_it_says_and_is_counted_by_its_name(table, rule, out):
    left = apply_filters(table, rules(filters=[rule]))
    assert set(table["example_id"]) - set(left.rows["example_id"]) == {out}
    assert left.drops == {f"filter {next(iter(rule))}": 1}


def test_a_row_is_counted_under_the_first_filter_that_applies(table):
    left = apply_filters(table, rules(filters=[{"max_tokens": 39}, {"exclude_tags": ["x"]}, {"min_answer_chars": 5}]))
    assert left.drops == {"filter max_tokens": 1, "filter min_answer_chars": 1}
    assert left.rows["example_id"].to_list() == ["turns", "plain"]


def transformed(row, curated, contents: list[tuple[str, str]], *names) -> list[tuple[str, str]]:
    messages = [{"role": role, "content": content, "tool_calls": None} for role, content in contents]
    changed = apply_transformers(curated([row("a", messages=messages)]), rules(transformers=list(names)))
    assert changed.schema["messages"] == curated([row("a")]).schema["messages"]
    return [(turn["role"], turn["content"]) for turn in changed["messages"][0]]


def test_trailing_blanks_go_and_leading_ones_stay(row, curated):
    said = [("user", "  if x:  \n\ty \n"), ("assistant", "yes\t ")]
    assert transformed(row, curated, said, "strip_trailing_whitespace") == [
        ("user", "  if x:\n\ty"),
        ("assistant", "yes"),
    ]


def test_the_system_turn_can_be_dropped(row, curated):
    said = [("system", "Be kind."), ("user", "q"), ("assistant", "a")]
    assert transformed(row, curated, said, "drop_system_turn") == said[1:]


@pytest.mark.parametrize(("turns", "left"), [(2, 2), (3, 2), (4, 4), (9, 6)])
def test_the_last_turns_stay_with_the_system_turn_and_begin_with_a_question(row, curated, turns, left):
    said = [("system", "s"), *((role, f"{role} {i}") for i in range(3) for role in ("user", "assistant"))]
    kept = transformed(row, curated, said, {"keep_last_turns": turns})
    assert kept == [said[0], *said[-left:]]


def test_transformers_act_one_after_the_other(row, curated):
    said = [("system", "s"), ("user", "q1"), ("assistant", "a1"), ("user", "q2 "), ("assistant", "a2 ")]
    names = ["drop_system_turn", {"keep_last_turns": 2}, "strip_trailing_whitespace"]
    assert transformed(row, curated, said, *names) == [("user", "q2"), ("assistant", "a2")]


def summary(**differs) -> SnapshotSummary:
    values = {
        "rows_by_side": {"train": 100, "validation": 10, "eval": 10},
        "clusters_by_side": {"train": 100, "validation": 10, "eval": 10},
        "rows_by_task": {
            "a": {"train": 95, "validation": 5, "eval": 5},
            "b": {"train": 5, "validation": 5, "eval": 5},
        },
        "drops": {"duplicate": 3},
        "coverage_gaps": {},
        "largest_cluster_share": 0.01,
        "human_verified_share": 0.04,
        **differs,
    }
    return SnapshotSummary.model_validate(values)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"least_rows_per_task": 6}, "fewer than 6 train rows: b has 5"),
        ({"most_share_of_one_task": 0.9}, "a has 95 of 100 train rows, 95.0%, more than 90.0%"),
        ({"least_share_human_verified": 0.05}, "4.0% of the train rows are verified by a person, less than 5.0%"),
    ],
)
def test_an_invalid_snapshot_is_refused_with_its_line_the_rule_and_the_numbers(rule, said):
    with pytest.raises(BadInput, match=re.escape(said)) as refused:
        refuse_invalid(summary(), rules(validators=[rule]), "qa-engineer")
    assert "The snapshot of qa-engineer is not valid by rules.validators" in str(refused.value)
    assert next(iter(rule)) in str(refused.value)
    assert "'duplicate': 3" in str(refused.value)


def test_a_valid_snapshot_passes():
    knobs = {"least_rows_per_task": 5, "most_share_of_one_task": 0.95, "least_share_human_verified": 0.04}
    refuse_invalid(summary(), rules(validators=[{name: value} for name, value in knobs.items()]), "qa-engineer")


@pytest.mark.parametrize(
    ("kind", "rule", "told"),
    [
        ("filters", "max_tokenz", "allowed: one of min_answer_chars, max_answer_chars.*Did you mean max_tokens"),
        ("filters", {"max_tokens": 5, "max_turns": 2}, "found {'max_tokens': 5.*by its name or as <name>: <parameter>"),
        ("filters", "max_tokens", "max_tokens: found None, but it needs its tokens"),
        ("filters", {"max_tokens": True}, "max_tokens: found True, but it needs its tokens"),
        ("filters", {"max_tokens": 0}, "allowed for tokens: greater than or equal to 1"),
        ("filters", {"exclude_tags": []}, "allowed for tags: "),
        ("filters", {"answer_matches_not": "(?!x)"}, "look-around and back references are not supported"),
        ("filters", {"answer_matches_not": "("}, "not a regular expression"),
        ("transformers", {"drop_system_turn": 1}, "allowed: no parameter"),
        ("transformers", {"keep_last_turns": 1}, "greater than or equal to 2"),
        ("validators", {"most_share_of_one_task": 90}, "less than or equal to 1"),
        ("validators", "max_tokens", "allowed: one of least_rows_per_task"),
    ],
)
def test_an_unknown_rule_or_parameter_is_named_with_what_is_allowed(kind, rule, told):
    with pytest.raises(ValidationError) as refused:
        rules(**{kind: [rule]})
    assert re.search(told, refused.value.errors()[0]["msg"])


def test_rules_are_written_down_as_they_are_read():
    written = {
        "most_prompts_per_answer": 7,
        "most_rows_per_user": 30,
        "largest_user_share": 0.01,
        "most_rows_per_source": None,
        "largest_source_share": 0.5,
        "filters": [{"max_tokens": 512}, {"exclude_tags": ["draft"]}],
        "transformers": ["drop_system_turn"],
        "validators": [{"most_share_of_one_task": 0.5}],
    }
    assert rules(**written).model_dump(mode="json") == written
    assert Rules.model_validate(rules(**written).model_dump()) == rules(**written)


def test_without_rules_nothing_changes(many):
    assert apply_filters(many, Rules()).rows.equals(many)
    assert apply_transformers(many, Rules()).equals(many)
    assert isinstance(many, pl.DataFrame)
