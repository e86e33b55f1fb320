"""Tool calls all the way: from curated examples through the snapshot's files into the tokens that are learned."""

from pathlib import Path

import pytest

from ft_assets.chat import Chat
from ft_assets.conversation_digests import conversation_digest
from ft_assets.dataset.preferences import pairs_of_days
from ft_assets.dataset.received_rows import received_problems
from ft_assets.dataset.rules import Rules
from ft_assets.dataset.select import Selector
from ft_assets.dataset.snapshot import build_snapshot
from ft_assets.dataset.split import SplitFractions
from ft_assets.defs.training import training_rows
from ft_assets.training.recipe import Recipe
from ft_assets_tests.dataset.preference_samples import answer, corrected, table
from ft_assets_tests.dataset.test_snapshot_tool_calls import call, calling_rows
from ft_assets_tests.training.samples import BASE, needs_base

pytestmark = [pytest.mark.torch, needs_base]


def learned(chat: Chat, messages) -> str:
    encoded = chat.encode(messages)
    ids = [token for token, on in zip(encoded.input_ids, encoded.assistant_mask, strict=True) if on]
    return chat.tokenizer.decode(ids)


def test_calls_of_curated_examples_are_learned_and_their_results_are_not(tmp_path: Path) -> None:
    right, wrong = call(queue="mail"), call(queue="print")
    rated = [answer("Restart the hanging one.", "", stars, tool_calls=c) for stars, c in ((5, right), (1, wrong))]
    both = table([*rated, corrected("Restart another one.", "Gladly.", "No.")])
    rows = calling_rows().vstack(both)
    fractions = SplitFractions(eval_fraction=0.2, validation_fraction=0.2)
    ledger = dict.fromkeys(both["cluster_id"], "train")
    pairs = pairs_of_days(both, sorted(set(both["day"]))).pairs.lazy()
    rules = Rules(most_rows_per_user=None)
    build_snapshot(rows, Selector(), "key", fractions, [], None, tmp_path, rules=rules, ledger=ledger, pairs=pairs)

    chat = Chat(BASE)
    sides = training_rows(tmp_path, Recipe(approach="sft+dpo"))
    examples = [*sides.train.examples, *sides.validation.examples]
    calling = [row for row in examples if any(turn.tool_calls for turn in row.messages)]
    assert len(calling) > 25
    for row in calling:
        text = learned(chat, row.messages)
        assert '<tool_call>\n{"name": "restart", "arguments": {"' in text
        assert not any(turn.content in text for turn in row.messages if turn.role in ("user", "tool"))
    (pair,) = [pair for pair in sides.train.pairs if pair.chosen[0].tool_calls]
    for turn, queue in ((pair.chosen[0], "mail"), (pair.rejected[0], "print")):
        said = learned(chat, [*pair.prompt, turn])
        assert (
            said == f'<tool_call>\n{{"name": "restart", "arguments": {{"queue": "{queue}"}}}}\n</tool_call><|im_end|>'
        )

    received = {
        side: {"examples": {row.example_id: [conversation_digest(row.messages)] for row in rows.examples}}
        for side, rows in (("train", sides.train), ("validation", sides.validation))
    }
    assert received_problems(received, tmp_path, [], ["examples"]) == {}
