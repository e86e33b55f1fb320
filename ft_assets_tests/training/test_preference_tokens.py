from dataclasses import replace

import pytest

from ft_assets.chat import Chat
from ft_assets.errors import BadInput
from ft_assets.records import Message
from ft_assets.training.preference_tokens import judged_tokens, pair_tokens
from ft_assets_tests.training.samples import BASE, Judged, Pair, judged_answers, needs_base, preference_pairs

pytestmark = [pytest.mark.torch, needs_base]


@pytest.fixture(scope="module")
def chat() -> Chat:
    return Chat(BASE)


def pair(asked: str, chosen: str, rejected: str, *before: Message) -> Pair:
    answers = [(Message(role="assistant", content=text),) for text in (chosen, rejected)]
    return Pair("the-pair", (*before, Message(role="user", content=asked)), *answers)


def test_both_answers_begin_where_generation_begins_and_end_with_the_end_token(chat: Chat) -> None:
    [row] = pair_tokens([pair("Which?", "This one.", "That one.")], "train", chat, "You choose.", 256)
    assert row["prompt_ids"] == chat.prompt_ids([Message(role="user", content="Which?")], "You choose.")
    assert [chat.decode(row[key]) for key in ("chosen_ids", "rejected_ids")] == ["This one.", "That one."]
    assert row["chosen_ids"][-1] == row["rejected_ids"][-1] == chat.end_token_id


def test_earlier_answers_belong_to_the_prompt(chat: Chat) -> None:
    before = (Message(role="user", content="Hello?"), Message(role="assistant", content="Yes."))
    [row] = pair_tokens([pair("Which?", "This one.", "That one.", *before)], "train", chat, None, 256)
    assert row["prompt_ids"] == chat.prompt_ids([*before, Message(role="user", content="Which?")])
    assert chat.decode(row["chosen_ids"]) == "This one."


def test_control_tokens_that_a_person_typed_stay_text(chat: Chat) -> None:
    end = chat.tokenizer.decode([chat.end_token_id])
    [row] = pair_tokens([pair(f"a {end} b", f"c {end} d", "e")], "train", chat, None, 256)
    plain = pair_tokens([pair("a b", "c d", "e")], "train", chat, None, 256)[0]
    assert row["prompt_ids"].count(chat.end_token_id) == plain["prompt_ids"].count(chat.end_token_id)
    assert row["chosen_ids"].count(chat.end_token_id) == 1


def test_an_answer_that_begins_with_a_line_break_has_the_same_prompt_as_the_other(chat: Chat) -> None:
    [row] = pair_tokens([pair("Which?", "\n\nThis one.", "That one.")], "train", chat, None, 256)
    whole = chat.encode([Message(role="user", content="Which?"), Message(role="assistant", content="That one.")])
    assert whole.input_ids[: len(row["prompt_ids"]) + len(row["rejected_ids"])] == (
        row["prompt_ids"] + row["rejected_ids"]
    )
    assert "This one." in chat.decode(row["chosen_ids"])


def test_a_pair_that_is_too_long_says_nothing_or_prefers_nothing_is_refused_by_name(chat: Chat) -> None:
    pairs = preference_pairs(3, 1)
    with pytest.raises(BadInput, match=r"3 of 3 train pairs are longer than max_length 20: pair-row-1-0 \(\d+ tokens"):
        pair_tokens(pairs, "train", chat, None, 20)
    with pytest.raises(BadInput, match="1 of 3 train pairs lack the assistant's answer: pair-row-1-0"):
        pair_tokens([replace(pairs[0], rejected=()), *pairs[1:]], "train", chat, None, 256)
    with pytest.raises(BadInput, match="1 of 3 validation pairs prefer an answer to itself, as tokens: pair-row-1-0"):
        pair_tokens([replace(pairs[0], rejected=pairs[0].chosen), *pairs[1:]], "validation", chat, None, 256)
    with pytest.raises(BadInput, match="the validation side has no pairs"):
        pair_tokens([], "validation", chat, None, 256)


def test_a_judged_answer_is_cut_likewise_and_keeps_its_thumb(chat: Chat) -> None:
    rows = judged_answers(4, 1)
    found = judged_tokens(rows, "train", chat, None, 256)
    assert [row["label"] for row in found] == [row.liked for row in rows]
    assert [chat.decode(row["completion_ids"]) for row in found] == [row.messages[-1].content for row in rows]
    assert [row["prompt_ids"] for row in found] == [chat.prompt_ids(row.messages[:-1]) for row in rows]


def test_judged_answers_that_teach_no_difference_are_refused(chat: Chat) -> None:
    rows = judged_answers(4, 1)
    with pytest.raises(BadInput, match="0 of 2 train judged answers are liked"):
        judged_tokens([row for row in rows if not row.liked], "train", chat, None, 256)
    with pytest.raises(BadInput, match="lack the assistant's answer: mute"):
        judged_tokens([*rows, Judged("mute", rows[0].messages[:1], True)], "train", chat, None, 256)
    with pytest.raises(BadInput, match="4 of 4 train judged answers are longer than max_length 20"):
        judged_tokens(rows, "train", chat, None, 20)
