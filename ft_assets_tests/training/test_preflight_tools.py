import pytest

from ft_assets.chat import Chat
from ft_assets.records import Message
from ft_assets.training.preflight import preflight
from ft_assets.training.preflight_tools import lost_text
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets_tests.test_chat_tool_calls import WITH_TOOLS, calls
from ft_assets_tests.training.samples import BASE, Row, commit_rows, needs_base, tiny_recipe
from ft_assets_tests.training.test_preflight_template import base_with

pytestmark = [pytest.mark.torch, needs_base]
# Llama 3 writes an answer's text or its calls, never both.
EITHER = WITH_TOOLS.replace("{% if m.content %}", "{% if m.content and not m.tool_calls %}")


def answering(example_id: str, text: str) -> Row:
    answer = Message(role="assistant", content=text, tool_calls=calls("restart", queue="mail"))
    return Row(example_id, (Message(role="user", content="The mail queue hangs."), answer))


ROWS = [answering("both", "hunter2 says"), answering("calls", ""), *commit_rows(6, 1)]


def test_rows_whose_text_beside_calls_a_template_drops_are_named_and_not_quoted(tmp_path):
    (problem,) = lost_text(ROWS, "train", base_with(tmp_path, EITHER))
    assert (problem.code, problem.refuses) == ("text_beside_calls_is_dropped", False)
    assert "1 of 8 train rows" in problem.message and "both" in problem.message
    assert "hunter2" not in problem.message


def test_a_template_that_writes_both_or_knows_no_calls_drops_nothing(tmp_path):
    assert list(lost_text(ROWS, "train", base_with(tmp_path, WITH_TOOLS))) == []
    assert list(lost_text(ROWS, "train", Chat(BASE))) == []


def test_preflight_warns_of_it(tmp_path):
    rows = TrainingRows(SideRows(ROWS), SideRows(ROWS))
    found = preflight(tiny_recipe(), rows, base_with(tmp_path, EITHER), None, tmp_path / "tokens")
    assert [p.code for p in found.warnings].count("text_beside_calls_is_dropped") == 2


def test_preflight_refuses_an_accumulation_that_a_trial_cannot_share_among_the_devices(tmp_path):
    from ft_assets.training.training_device import TrainingDevice

    sweep = {"search": "grid", "knobs": {"gradient_accumulation_steps": [2, 3]}, "trials": 2, "budget_trainings": 4}
    rows = TrainingRows(SideRows(commit_rows(30, 1)), SideRows(commit_rows(4, 2)))
    two = TrainingDevice("cuda", "a card", 2)
    found = preflight(tiny_recipe(sweep=sweep), rows, Chat(BASE), None, tmp_path, device=two)
    (problem,) = [p for p in found.refusing if p.code == "accumulation_not_divisible"]
    assert "gradient_accumulation_steps is 3 and there are 2 devices" in problem.message
