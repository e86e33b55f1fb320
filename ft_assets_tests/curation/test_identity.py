from ft_assets.curation.identity import cluster_id, example_id, prompt_id, pseudonym
from ft_assets.records import Message

SYSTEM = Message(role="system", content="be brief")


def turns(question: str, answer: str = "4") -> list[Message]:
    return [Message(role="user", content=question), Message(role="assistant", content=answer)]


def test_an_example_is_its_turns_and_a_prompt_is_all_but_the_answer() -> None:
    assert example_id(turns("a")) == example_id(turns("a"))
    assert example_id(turns("a")) != example_id(turns("a", "5"))
    assert prompt_id(turns("a")) == prompt_id(turns("a", "5"))
    assert prompt_id(turns("a")) != prompt_id([SYSTEM, *turns("a")])
    called = [turns("a")[0], Message(role="assistant", content="4", tool_calls="[1]")]
    assert example_id(called) != example_id(turns("a"))


def test_a_cluster_is_the_conversation_or_the_prompt_without_case_and_spacing() -> None:
    assert cluster_id(turns("Add  2\nand 2"), None) == cluster_id(turns("add 2 AND 2", "5"), None)
    assert cluster_id(turns("add"), None) != cluster_id(turns("subtract"), None)
    assert cluster_id(turns("a"), "c1") == cluster_id(turns("b"), "c1") != cluster_id(turns("a"), "c2")
    assert prompt_id(turns("Add")) != prompt_id(turns("add"))


def test_ids_are_the_same_on_every_machine() -> None:
    assert example_id(turns("2 + 2?")) == "ed78fed254147b76e4d5a2799fb9fd741cc7bb351969d0e01217684c867e62c1"
    assert prompt_id(turns("2 + 2?")) == "2d69613b31093a6e6a18eb5df2e4ae50d5ea3d5bdabd74e85f3ef056513274e0"
    assert cluster_id(turns("2 + 2?"), "c1") == "4a072d27c2c7ff4e66428da92b1b5fb92f31794528d88826f9e58a49787ed3e6"
    assert pseudonym("bob@example.com") == pseudonym("bob@example.com")
