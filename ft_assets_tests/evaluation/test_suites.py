from dataclasses import dataclass, field

from ft_assets.evaluation.items import Expected
from ft_assets.evaluation.suites import (
    golden_items,
    golden_suite,
    interference_suite,
    snapshot_items,
    snapshot_suite,
    suite_of,
)
from ft_assets.records import Message
from ft_assets_tests.evaluation.samples import item

TURNS = (Message(role="user", content="Repeat: tax"), Message(role="assistant", content="tax"))


@dataclass
class Golden:
    id: str = "g1"
    cluster_id: str = "c1"
    task_type: str = "summarization"
    slice: str = "unseen_values"
    messages: tuple[Message, ...] = TURNS


@dataclass
class FullGolden(Golden):
    role: str | None = "qa-engineer"
    reasoning_mode: str = "agent"
    difficulty: str = "hard"
    expected: Expected = field(default_factory=lambda: Expected(labels=("tax", "lane")))


@dataclass
class Row:
    example_id: str = "e1"
    cluster_id: str = "c1"
    task_type: str | None = None
    role: str | None = "qa-engineer"
    reasoning_mode: str = "agent"
    messages: tuple[Message, ...] = TURNS


def test_a_golden_row_keeps_its_slice_and_its_reference() -> None:
    [question] = golden_items([Golden()], "devops-engineer")
    assert (question.row_id, question.slice, question.reference) == ("g1", "unseen_values", "tax")
    assert (question.role, question.difficulty, question.expected) == ("devops-engineer", None, Expected())


def test_a_golden_row_that_says_more_keeps_that_too() -> None:
    [question] = golden_items([FullGolden()], "devops-engineer")
    assert (question.role, question.reasoning_mode, question.difficulty) == ("qa-engineer", "agent", "hard")
    assert question.expected.labels == ("tax", "lane")


def test_a_snapshot_row_without_a_task_is_still_a_question() -> None:
    [question] = snapshot_items([Row()])
    assert (question.row_id, question.task_type, question.slice) == ("e1", "without task", "all")
    assert (question.role, question.reasoning_mode) == ("qa-engineer", "agent")


def test_the_reference_of_a_tool_call_is_the_call() -> None:
    call = Message(role="assistant", content="", tool_calls='[{"name": "restart", "arguments": {"queue": "mail"}}]')
    [question] = snapshot_items([Row(messages=(TURNS[0], call))])
    assert question.reference == '<tool_call>\n{"name": "restart", "arguments": {"queue": "mail"}}\n</tool_call>'


def test_suites_are_named_by_what_they_are() -> None:
    suites = [
        golden_suite([Golden()], None),
        snapshot_suite([Row()], None),
        interference_suite("qa-engineer", [Golden()], "You test."),
    ]
    assert [(suite.name, suite.kind) for suite in suites] == [
        ("golden set", "golden"),
        ("snapshot eval side", "snapshot"),
        ("golden set of qa-engineer", "interference"),
    ]
    assert suites[2].system_prompt == "You test."


def test_the_digest_of_a_suite_is_that_of_its_questions_and_prompts_in_any_order() -> None:
    one, other = item("a"), item("b", "Another.")
    suite = suite_of("s", "own", [one, other], "Be exact.")
    assert suite == suite_of("s", "own", [other, one], "Be exact.")
    assert [asked.row_id for asked in suite.items] == ["a", "b"]
    digests = {suite.digest, suite_of("s", "own", [one], "Be exact.").digest}
    assert len(digests | {suite_of("s", "own", [one, other], None).digest}) == 3
