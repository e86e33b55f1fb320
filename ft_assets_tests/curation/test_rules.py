import pytest
from pydantic import ValidationError

from ft_assets.curation.rules import (
    FILTERS,
    TRANSFORMERS,
    VALIDATORS,
    Candidate,
    CurationRules,
    first_broken_rule,
    refuse_invalid,
)
from ft_assets.curation.turns import Conversation, Turn
from ft_assets.errors import BadInput

RULES = CurationRules()
CALL = '[{"function": {"name": "f"}}]'
LONG = "an answer of more than fifty characters, as free text needs it"


def example(*turns: tuple[str, str], task: str | None = None, calls_at: int | None = None) -> Candidate:
    calls = [CALL if number == calls_at else None for number in range(len(turns))]
    return Candidate(Conversation.of(Turn(*turn, call) for turn, call in zip(turns, calls, strict=True)), task)


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


def test_a_conversation_without_any_turn_has_no_answer() -> None:
    broken = first_broken_rule(Candidate(Conversation([], [], []), None), RULES)
    assert broken is not None
    assert broken[0] == "ends_without_answer"


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
    assert all(rule.__doc__ for registry in (FILTERS, TRANSFORMERS, VALIDATORS) for rule in registry.values())


def test_filters_can_be_left_out_and_unknown_names_are_refused() -> None:
    short = example(("user", "q"), ("assistant", "ok"))
    assert first_broken_rule(short, CurationRules(filters=("ends_without_answer",))) is None
    for wrong in ({"filters": ("no_such",)}, {"transformers": ("no_such",)}, {"validators": {"no_such": 1}}):
        with pytest.raises(ValidationError, match="allowed: "):
            CurationRules.model_validate(wrong)


def test_transformers_change_the_turns() -> None:
    turns = [
        Turn("system", "s"),
        Turn("user", "q <think>no</think>"),
        Turn("assistant", "<think>hm\n</think>\na\n\n\n\nb"),
    ]
    assert TRANSFORMERS["without_thinking"](turns)[1:] == [turns[1], Turn("assistant", "a\n\n\n\nb")]
    assert TRANSFORMERS["without_system_turns"](turns) == turns[1:]
    assert TRANSFORMERS["single_blank_lines"](turns)[-1].content.endswith("a\n\nb")


@pytest.mark.parametrize(
    ("validators", "says"),
    [
        ({"most_rejected_share": 0.1}, "20% of its answers were rejected, more than 10%"),
        ({"most_duplicate_share": 0.2}, "30% of its answers are duplicates, more than 20%"),
        ({"least_examples": 6}, "it gives 5 examples, fewer than 6"),
        ({"most_rejected_share": 0.2, "most_duplicate_share": 0.3, "least_examples": 5}, None),
    ],
)
def test_a_day_that_fails_a_validator_stops_with_its_message(validators: dict[str, float], says: str | None) -> None:
    day = {"rows": 10, "examples": 5, "rejected_by_rule": {"empty_answer": 2, "exact_duplicate": 3}}
    rules = CurationRules(validators=validators)
    if says is None:
        refuse_invalid({"2026-01-05": day}, rules)
        return
    with pytest.raises(BadInput, match=rf"2026-01-05: {says} \("):
        refuse_invalid({"2026-01-05": day}, rules)
