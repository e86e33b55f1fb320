"""A row asks the model in evaluation with the very tokens that training taught it."""

import pytest

from ft_assets.chat import Chat
from ft_assets.dataset.rows import SnapshotRow
from ft_assets.evaluation.asking.asked_tokens import AskedTokens, asked_tokens
from ft_assets.evaluation.asking.backend import questions_of
from ft_assets.evaluation.suites import snapshot_items
from ft_assets.records import Message
from ft_assets.system_prompts import SystemPrompt, SystemPrompts
from ft_assets.training.token_store import encoded
from ft_assets_tests.training.samples import BASE, needs_base

pytestmark = [pytest.mark.torch, needs_base]
PROMPTS = SystemPrompts.model_validate(
    {"default": "Be plain.", "by_role": {"qa": {"agent": "Test with tools."}}, "by_reasoning_mode": {"agent": "Act."}}
).as_written()
CALL = '[{"name": "restart", "arguments": {"queue": "mail"}}]'


def snapshot_row(role: str | None, mode: str, *before: Message) -> SnapshotRow:
    messages = [
        *before,
        Message(role="user", content="The queue hangs."),
        Message(role="assistant", content="", tool_calls=CALL),
        Message(role="tool", content="done"),
        Message(role="assistant", content="It runs."),
    ]
    return SnapshotRow(
        example_id="e",
        cluster_id="c",
        prompt_id="p",
        role=role,
        task_type=None,
        reasoning_mode=mode,
        messages=messages,
        interaction_ids=[],
    )


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        (snapshot_row("qa-engineer", "agent"), "Test with tools."),
        (snapshot_row("devops-engineer", "agent"), "Act."),
        (snapshot_row(None, "standard"), "Be plain."),
        (snapshot_row("qa-engineer", "agent", Message(role="system", content="My own.")), "My own."),
    ],
)
@pytest.mark.parametrize("system_prompt", [PROMPTS, "Be plain.", None])
def test_training_and_evaluation_encode_a_row_alike(row: SnapshotRow, prompt: str, system_prompt: SystemPrompt) -> None:
    chat = Chat(BASE)
    learned = encoded(row, chat, system_prompt)
    (item,) = snapshot_items([row])
    (question,) = questions_of([item], system_prompt)
    asked = asked_tokens(chat, question, positions=10_000, max_new_tokens=8)
    assert isinstance(asked, AskedTokens)
    assert learned.input_ids[: len(asked.prompt)] == asked.prompt
    assert asked.conversation == learned.input_ids[: len(asked.conversation)]
    assert (prompt in chat.tokenizer.decode(asked.prompt)) == (
        system_prompt == PROMPTS or prompt in ("My own.", system_prompt)
    )
