from typing import Any

from ft_assets.curation.compose import compose_turns

CALL = '[{"function": {"name": "f"}}]'


def row(*turns: tuple[str, str], context: str | None = None, corrected: str | None = None) -> dict[str, Any]:
    messages = [{"role": role, "content": content, "tool_calls": None} for role, content in turns]
    return {"messages": messages, "context": context, "corrected_output": corrected}


def composed(values: dict[str, Any]) -> tuple[list[tuple[str, str]], bool]:
    turns, corrected = compose_turns(values)
    return [(turn.role, turn.content) for turn in turns], corrected


def test_turns_without_context_or_correction_stay() -> None:
    turns = [("system", "s"), ("user", "q"), ("assistant", "a")]
    assert composed(row(*turns)) == (turns, False)


def test_context_goes_before_the_first_user_turn_once() -> None:
    turns, _ = composed(row(("system", "s"), ("user", "q"), ("assistant", "a"), ("user", "r"), context="before\n"))
    assert turns == [("system", "s"), ("user", "before\n\nq"), ("assistant", "a"), ("user", "r")]
    repeated, _ = composed(row(("user", "given before, q"), ("assistant", "a"), context="before"))
    assert repeated[0] == ("user", "given before, q")
    assert composed(row(("assistant", "a"), context="x"))[0] == [("assistant", "a")]


def test_a_correction_replaces_the_answer_with_its_tool_calls() -> None:
    values = row(("user", "q"), ("assistant", "wrong"), corrected="right")
    values["messages"][1]["tool_calls"] = CALL
    turns, corrected = compose_turns(values)
    assert corrected
    assert (turns[-1].content, turns[-1].tool_calls) == ("right", None)
    assert composed(row(("user", "q"), corrected="right")) == ([("user", "q"), ("assistant", "right")], True)
    assert composed(row(("user", "q"), ("assistant", "a"), corrected=" ")) == (
        [("user", "q"), ("assistant", "a")],
        False,
    )


def test_several_system_turns_at_the_start_become_one() -> None:
    assert composed(row(("system", "one"), ("system", "two"), ("user", "q")))[0] == [
        ("system", "one\n\ntwo"),
        ("user", "q"),
    ]
