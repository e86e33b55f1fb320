import pytest

from ft_assets.curation.rules import STRUCTURE_RULES, Candidate, CurationRules, first_broken_rule
from ft_assets.records import Message

RULES = CurationRules()
CALL = '[{"function": {"name": "f"}}]'
LONG = "an answer of more than fifty characters, as free text needs it"


def example(*turns: tuple[str, str], task: str | None = None, calls_at: int | None = None) -> Candidate:
    messages = [
        Message(role=role, content=content, tool_calls=CALL if number == calls_at else None)  # type: ignore[arg-type]
        for number, (role, content) in enumerate(turns)
    ]
    return Candidate(tuple(messages), task)


@pytest.mark.parametrize(
    ("candidate", "rule"),
    [
        (example(("user", "q")), "ends_without_answer"),
        (example(("user", "q"), ("assistant", LONG), ("user", "thanks")), "ends_without_answer"),
        (example(("user", "q"), ("assistant", " \n")), "empty_answer"),
        (example(("assistant", LONG)), "no_user_turn"),
        (example(("user", " "), ("assistant", LONG)), "empty_turn"),
        (example(("user", "q"), ("assistant", ""), ("user", "q"), ("assistant", LONG)), "empty_turn"),
        (example(("user", "q"), ("user", "q"), ("assistant", LONG)), "turns_out_of_order"),
        (example(("user", "q"), ("assistant", "a"), ("assistant", LONG)), "turns_out_of_order"),
        (example(("assistant", "hi"), ("user", "q"), ("assistant", LONG)), "turns_out_of_order"),
        (example(("user", "q"), ("system", "s"), ("assistant", LONG)), "turns_out_of_order"),
        (example(("user", "q"), ("tool", "r"), ("assistant", LONG)), "turns_out_of_order"),
        (example(("user", "q"), ("assistant", "ok")), "answer_too_short"),
        (example(("user", "q"), ("assistant", "x" * 49 + "  ")), "answer_too_short"),
    ],
)
def test_a_broken_structure_is_named_with_its_reason(candidate: Candidate, rule: str) -> None:
    broken = first_broken_rule(candidate, RULES)
    assert broken is not None
    assert broken[0] == rule
    assert len(broken[1]) > 10


@pytest.mark.parametrize(
    "candidate",
    [
        example(("user", "q"), ("assistant", "x" * 50)),
        example(("system", "s"), ("user", "q"), ("assistant", "a"), ("user", "q"), ("assistant", LONG)),
        example(("user", "q"), ("assistant", ""), ("tool", "r"), ("tool", ""), ("assistant", LONG), calls_at=1),
        example(("user", "q"), ("assistant", ""), calls_at=1),
        *(example(("user", "q"), ("assistant", "4"), task=task) for task in ("classification", "qa", "commit_message")),
    ],
)
def test_a_sane_conversation_breaks_no_rule(candidate: Candidate) -> None:
    assert first_broken_rule(candidate, RULES) is None


def test_a_short_answer_without_a_task_says_how_to_mend_it() -> None:
    broken = first_broken_rule(example(("user", "q"), ("assistant", "4")), RULES)
    assert broken == (
        "answer_too_short",
        "the answer has 1 characters and its task needs 50; "
        "a record without a task_type counts as free text, so name its task",
    )


def test_the_shortest_answer_is_set_per_task() -> None:
    rules = CurationRules(min_answer_chars=10, min_answer_chars_by_task={"haiku": 5})
    assert [rules.shortest_answer_chars(task) for task in ("haiku", "classification", None)] == [5, 10, 10]


def test_every_rule_explains_itself() -> None:
    assert all(rule.__doc__ for rule in STRUCTURE_RULES)
