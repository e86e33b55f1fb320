from hypothesis import given
from hypothesis import strategies as st

from ft_assets.curation.identity import (
    answer_id,
    conversation_key,
    loose,
    prompt_and_example_id,
    prompt_key,
    prompt_text,
    pseudonym,
)
from ft_assets.curation.turns import Conversation, Turn

SYSTEM = Turn("system", "be brief")


def said(*turns: Turn) -> Conversation:
    return Conversation.of(turns)


def turns(question: str, answer: str = "4", *, before: tuple[Turn, ...] = ()) -> Conversation:
    return said(*before, Turn("user", question), Turn("assistant", answer))


def prompt_id(conversation: Conversation) -> str:
    return prompt_and_example_id(conversation)[0]


def example_id(conversation: Conversation) -> str:
    return prompt_and_example_id(conversation)[1]


def test_an_example_is_its_turns_and_a_prompt_is_all_but_the_answer() -> None:
    assert example_id(turns("a")) == example_id(turns("a"))
    assert example_id(turns("a")) != example_id(turns("a", "5"))
    assert prompt_id(turns("a")) == prompt_id(turns("a", "5"))
    assert prompt_id(turns("a")) != prompt_id(turns("a", before=(SYSTEM,)))
    called = said(Turn("user", "a"), Turn("assistant", "4", "[1]"))
    assert example_id(called) != example_id(turns("a"))


def test_where_a_turn_ends_is_part_of_the_id() -> None:
    assert example_id(turns("a", "b\nc")) != example_id(turns("a\nb", "c"))
    assert example_id(said(Turn("user", "a"), Turn("user", "b"))) != example_id(
        said(Turn("user", "ab"), Turn("user", ""))
    )


def test_prompts_and_answers_are_compared_without_case_spacing_and_system_turns() -> None:
    asked = prompt_text(turns("add 2 AND 2", "5", before=(SYSTEM,)))
    assert asked == "add 2 AND 2"
    assert prompt_key(prompt_text(turns("Add  2\nand 2"))) == prompt_key(asked) != prompt_key("subtract")
    assert answer_id(turns("a", "Yes,  it is")) == answer_id(turns("b", "yes, it\nIS"))
    assert answer_id(turns("a", "yes")) != answer_id(said(Turn("assistant", "yes", "[1]")))


def test_only_rows_of_one_conversation_share_its_key() -> None:
    assert conversation_key("c1") == conversation_key("c1") != conversation_key("c2")
    assert conversation_key(None) == conversation_key("") == bytes(16)


@given(st.text("aB \n\té\u00a0"))
def test_case_and_spacing_do_not_count(text: str) -> None:
    assert loose(text) == " ".join(text.casefold().split())


def test_ids_are_the_same_on_every_machine() -> None:
    assert example_id(turns("2 + 2?")) == "f49cc6c34695504a8f05023908f1e92c"
    assert prompt_id(turns("2 + 2?")) == "562b257d5c6c45f201b269472675b3df"
    assert pseudonym("bob@example.com") == pseudonym("bob@example.com") != pseudonym("eve@example.com")
