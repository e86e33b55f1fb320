from dataclasses import dataclass

import pytest
from pydantic import ValidationError

from ft_assets.system_prompts import SystemPrompts, prompt_of


@dataclass
class Row:
    role: str | None = None
    reasoning_mode: str | None = None


def prompts(**given: object) -> object:
    return SystemPrompts.model_validate(given).as_written()


def test_one_text_is_for_every_row_and_is_recorded_as_that_text():
    for text in (None, "Be brief."):
        assert SystemPrompts.model_validate(text).as_written() == text
        assert prompt_of(text, Row("qa-engineer", "agent")) == text


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        (Row("qa-engineer", "agent"), "test with tools"),
        (Row("qa-engineer", "multi_step"), "test"),
        (Row("qa-engineer"), "test"),
        (Row("devops-engineer", "agent"), "operate"),
        (Row("product-manager", "agent"), "use tools"),
        (Row("product-manager", "standard"), "be plain"),
        (Row(None, "agent"), "use tools"),
        (Row("software-architect"), None),
        (object(), "be plain"),
    ],
)
def test_the_most_particular_prompt_counts(row, prompt):
    given = prompts(
        default="be plain",
        by_reasoning_mode={"agent": "use tools"},
        by_role={
            "qa": {"default": "test", "tool_use": "test with tools"},
            "devops": "operate",
            "software-architect": None,
        },
    )
    assert prompt_of(given, row) == prompt


def test_a_role_without_a_prompt_for_a_mode_falls_back_to_the_modes_own():
    given = prompts(by_role={"qa": {"multi_step": "step by step"}}, by_reasoning_mode={"agent": "use tools"})
    assert prompt_of(given, Row("qa-engineer", "agent")) == "use tools"
    assert prompt_of(given, Row("qa-engineer", "standard")) is None


def test_what_was_written_is_what_is_recorded_under_canonical_names():
    assert prompts(by_role={"qa": "test"}) == {
        "default": None,
        "by_role": {"qa-engineer": "test"},
        "by_reasoning_mode": {},
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"by_rol": {}}, "Extra inputs"),
        (3, "found int, allowed: a text, or keys out of default, by_role and by_reasoning_mode"),
        ({"by_role": "test"}, "found str, allowed: a text for each role"),
        ({"by_role": {"qa": 3}}, "qa: found int, allowed: a text or null"),
        ({"by_role": {"qa": {"agnt": "x"}}}, "qa: found 'agnt', allowed: standard, chain_of_thought"),
        ({"by_role": {"qa": "a", "qa-engineer": "b"}}, "'qa-engineer' is another name of 'qa-engineer'"),
        ({"by_reasoning_mode": {"slow": "x"}}, "found 'slow', allowed: standard"),
        ({"by_reasoning_mode": {"agent": " "}}, "agent is empty; write null"),
        ({"default": ""}, "the text for all rows is empty"),
    ],
)
def test_a_slip_is_named(given, told):
    with pytest.raises(ValidationError, match=told):
        SystemPrompts.model_validate(given)
