"""Ids of whole columns are those of each conversation alone, for every character."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.curation import identity
from ft_assets.curation.identities import _loosened, identified
from ft_assets.curation.turns import Conversation, Turn, conversations, flat

TEXTS = st.text(
    st.characters(blacklist_categories=["Cs", "Cc"]) | st.sampled_from(" \n\tAÉßДЖё中\u00a0\u3000'"), max_size=30
)
TURNS = st.builds(
    Turn,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    TEXTS,
    st.none() | st.sampled_from(["", '[{"É": 1}]']),
)


def columns_of(said: list[list[Turn]]) -> pl.DataFrame:
    """The flat turns of these conversations."""
    schema = {"row": pl.Int64, "role": pl.String, "content": pl.String, "tool_calls": pl.String}
    return pl.DataFrame([(row, *turn) for row, turns in enumerate(said) for turn in turns], schema=schema, orient="row")


@settings(max_examples=25, deadline=None)  # the first call compiles
@given(st.lists(st.tuples(st.lists(TURNS, min_size=1, max_size=5), st.none() | TEXTS), min_size=1, max_size=8))
def test_a_row_of_the_columns_is_what_its_conversation_gives_alone(rows: list[tuple[list[Turn], str | None]]) -> None:
    said, names = [turns for turns, _ in rows], [name for _, name in rows]
    found = identified(columns_of(said), pl.Series(names, dtype=pl.String))
    for row, turns, name in zip(found.iter_rows(named=True), said, names, strict=True):
        conversation = Conversation.of(turns)
        asked = identity.prompt_text(conversation)
        assert (row["prompt_id"], row["example_id"]) == identity.prompt_and_example_id(conversation)
        assert row["answer_id"] == identity.answer_id(conversation)
        assert row["prompt_key"] == identity.prompt_key(asked)
        assert row["conversation_key"] == identity.conversation_key(name)
        assert (row["prompt_text"], row["answer_text"]) == (asked, identity.answer_text(conversation))


def test_every_character_is_loosened_as_python_does_it_or_left_to_python() -> None:
    points = [*range(9, 11), *range(32, 127), *range(0xA0, 0xD800), *range(0xE000, 0x10000), *range(0x1F000, 0x20000)]
    texts = [f"A {chr(point)}B{chr(point)}" for point in points]
    data, ends, others = _loosened(pl.Series(texts))
    done = 0
    for number, text in enumerate(texts):
        if not others[number]:
            done += 1
            assert bytes(data[ends[number] : ends[number + 1] - 1]).decode() == identity.loose(text), hex(
                points[number]
            )
    assert done > 0.7 * len(texts)


def test_no_conversation_is_no_row() -> None:
    nothing = flat(
        pl.Series([], dtype=pl.List(pl.Struct({"role": pl.String, "content": pl.String, "tool_calls": pl.String})))
    )
    assert identified(nothing, pl.Series([], dtype=pl.String)).height == 0
    assert list(conversations(nothing, 0)) == []
