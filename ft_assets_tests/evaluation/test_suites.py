from dataclasses import dataclass
from pathlib import Path

from ft_assets.evaluation.suites import answered, golden_items, snapshot_items
from ft_assets.lake import Lake
from ft_assets.records import Message
from ft_assets_tests.evaluation.test_generate import BASE, needs_base, questions

TURNS = (Message(role="user", content="Repeat: tax"), Message(role="assistant", content="tax"))


@dataclass
class Golden:
    id: str = "g1"
    cluster_id: str = "c1"
    task_type: str = "summarization"
    slice: str = "unseen_values"
    messages: tuple[Message, ...] = TURNS


@dataclass
class Row:
    example_id: str = "e1"
    cluster_id: str = "c1"
    task_type: str | None = None
    role: str | None = "qa-engineer"
    reasoning_mode: str = "agent"
    messages: tuple[Message, ...] = TURNS


def test_a_golden_row_keeps_its_slice_and_its_reference():
    [question] = golden_items([Golden()])
    assert (question.row_id, question.slice, question.reference) == ("g1", "unseen_values", "tax")


def test_a_snapshot_row_without_a_task_is_still_a_question():
    [question] = snapshot_items([Row()])
    assert (question.row_id, question.task_type, question.slice) == ("e1", "without task", "all")
    assert (question.role, question.reasoning_mode) == ("qa-engineer", "agent")


def test_the_reference_of_a_tool_call_is_the_call():
    call = Message(role="assistant", content="", tool_calls='[{"name": "restart", "arguments": {"queue": "mail"}}]')
    [question] = snapshot_items([Row(messages=(TURNS[0], call))])
    assert question.reference == '<tool_call>\n{"name": "restart", "arguments": {"queue": "mail"}}\n</tool_call>'


class TestAnswers:
    pytestmark = needs_base

    def test_a_model_is_asked_a_suite_once(self, tmp_path: Path):
        lake, asked = Lake(str(tmp_path)), []

        def ask(count: int, model: str = "m"):
            return answered(lake, model, BASE, None, questions(count), None, 8, lambda *done: asked.append(done))

        first = ask(3)
        assert (ask(3), len(asked)) == (first, 1)
        ask(4)
        ask(3, model="another")
        assert len(asked) == 3
        assert lake.scan("predictions").collect().height == 10
