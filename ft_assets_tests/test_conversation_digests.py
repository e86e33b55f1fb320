from ft_assets.conversation_digests import conversation_digest
from ft_assets.records import Message


def turns(*said: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in said]


def test_a_copy_has_the_digest_of_its_original_whatever_its_case_spacing_form_and_system_turn() -> None:
    original = conversation_digest(turns(("user", "Why does it ﬁt?"), ("assistant", "Größe")))
    copy = turns(("system", "Be brief."), ("user", " why  does it\nFIT? "), ("assistant", "GRÖSSE"))
    assert conversation_digest(copy) == original
    assert conversation_digest([Message(role=t["role"], content=t["content"]) for t in copy]) == original


def test_other_words_speakers_turns_and_tool_calls_have_other_digests() -> None:
    asked, said = ("user", "a"), ("assistant", "b")
    others = [
        turns(asked, said),
        turns(asked, ("assistant", "c")),
        turns(("tool", "a"), said),
        turns(("user", "ab"), ("assistant", "")),
        turns(asked, said, asked, said),
        [*turns(asked), {"role": "assistant", "content": "b", "tool_calls": "[1]"}],
    ]
    assert len({conversation_digest(messages) for messages in others}) == len(others)
    calls = (
        '[{"id": "1", "function": {"name": "f", "arguments": {"a": 1, "b": 2}}}]',
        '[{"name":"f","arguments":"{\\"b\\":2,\\"a\\":1}"}]',
    )
    assert len({conversation_digest([{"role": "assistant", "content": "", "tool_calls": each}]) for each in calls}) == 1
    assert conversation_digest(turns(("user", "\ud800")))  # a lone surrogate is text, too
