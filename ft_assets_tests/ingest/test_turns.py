import json

import pytest

from ft_assets.ingest.turns import read_sharegpt
from ft_assets.ingest.typed_values import Unreadable


@pytest.mark.parametrize("speaker", ["gpt", "chatgpt", "bing", "bard", "assistant"])
def test_every_name_that_sharegpt_has_for_the_assistant_is_one(speaker: str) -> None:
    said = [{"from": "user", "value": "2 + 2?"}, {"from": speaker, "value": "4"}]
    assert read_sharegpt("conversations", said) == [("user", "2 + 2?", None), ("assistant", "4", None)]


def test_calls_of_tools_in_sharegpt_conversations_are_those_of_openai() -> None:
    call = {"name": "add", "arguments": {"a": 2, "b": 2}}
    for value, calls in ((json.dumps(call), [call]), (json.dumps([call, call]), [call, call])):
        turns = read_sharegpt(
            "conversations",
            [
                {"from": "human", "value": "2 + 2?"},
                {"from": "function_call", "value": value},
                {"from": "function_response", "value": "4"},
                {"from": "gpt", "value": "It is 4."},
            ],
        )
        said = [("user", "2 + 2?"), ("assistant", ""), ("tool", "4"), ("assistant", "It is 4.")]
        assert [turn[:2] for turn in turns] == said
        assert json.loads(turns[1][2] or "") == [{"type": "function", "function": each} for each in calls]


@pytest.mark.parametrize("value", ["add(2, 2)", "[]", '{"arguments": {}}', "7", None])
def test_a_sharegpt_call_that_names_no_tool_is_rejected_with_its_turn(value: object) -> None:
    said = [{"from": "human", "value": "2 + 2?"}, {"from": "function_call", "value": value}]
    with pytest.raises(Unreadable, match=r"conversations\[1\]\.value") as refused:
        read_sharegpt("conversations", said)
    assert refused.value.rule == "bad_messages"
