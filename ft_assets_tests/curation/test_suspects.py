"""No filter rejects what the columns let pass, and the columns let pass what is plain."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ft_assets.curation import rules as curation_rules
from ft_assets.curation.rules import FILTERS, Candidate, CurationRules, first_broken_rule
from ft_assets.curation.suspects import SUSPECTS, suspects
from ft_assets.curation.turns import Conversation, Turn
from ft_assets_tests.curation.test_identities import columns_of

LONG = "An answer that is long enough for whoever asks in free text."
TURNS = st.builds(
    Turn,
    st.sampled_from(["system", "user", "assistant", "tool", "nobody"]),
    st.sampled_from(["", " \n", "\u00a0\u2003", "ok", "  B  ", LONG, f"\n{LONG[:49]} \u3000"]),
    st.none() | st.sampled_from(["", "[]"]),
)
TASKS = st.none() | st.sampled_from(["classification", "code_generation", "anything"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.lists(TURNS, min_size=1, max_size=5), TASKS), min_size=1, max_size=6))
def test_what_a_filter_rejects_is_a_suspect(rows: list[tuple[list[Turn], str | None]]) -> None:
    found = suspects(columns_of([turns for turns, _ in rows]), pl.Series([task for _, task in rows]), CurationRules())
    for (turns, task), is_suspect in zip(rows, found, strict=True):
        if first_broken_rule(Candidate(Conversation.of(turns), task), CurationRules()):
            assert is_suspect


def test_plain_conversations_are_none() -> None:
    asked, answered = Turn("user", "How do I rebase?"), Turn("assistant", LONG)
    said = [[asked, answered], [Turn("system", "Be brief."), asked, answered, asked, answered]]
    assert not suspects(columns_of(said), pl.Series([None, "debugging"]), CurationRules()).any()


def test_a_filter_without_a_twin_looks_at_every_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    def own_filter(example: Candidate, rules: CurationRules) -> str | None:
        return "says so"

    monkeypatch.setattr(curation_rules, "FILTERS", {**FILTERS, "own_filter": own_filter})
    said = columns_of([[Turn("user", "How?"), Turn("assistant", LONG)]])
    rules = CurationRules(filters=("empty_answer", "own_filter"))
    assert suspects(said, pl.Series([None], dtype=pl.String), rules).all()
    assert np.array_equal(suspects(said, pl.Series([None], dtype=pl.String), CurationRules()), [False])


def test_every_filter_of_the_house_has_a_twin() -> None:
    assert SUSPECTS.keys() == FILTERS.keys()
