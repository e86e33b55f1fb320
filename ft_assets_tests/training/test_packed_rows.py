import pytest

from ft_assets.chat import Chat, load_model
from ft_assets.errors import BadInput
from ft_assets.training.packed_rows import IGNORED, packed, tokenised
from ft_assets_tests.training.samples import BASE, commit_rows, needs_base, row

pytestmark = [pytest.mark.torch, needs_base]


@pytest.fixture(scope="module")
def chat() -> Chat:
    return Chat(BASE)


def test_labels_are_the_answers_tokens_and_nothing_else(chat):
    (example,) = tokenised(commit_rows(1, 1), "train", chat, "Be brief.", 256)
    learned = [label for label in example["labels"] if label != IGNORED]
    assert chat.tokenizer.decode(learned).endswith("<|im_end|>")
    assert chat.decode(learned) == commit_rows(1, 1)[0].messages[-1].content


def test_an_empty_side_is_refused(chat):
    with pytest.raises(BadInput, match="the validation side has no rows"):
        tokenised([], "validation", chat, None, 256)


def test_a_row_over_the_limit_is_named_with_its_length(chat):
    long = row("row-long", ("user", "word " * 300), ("assistant", "yes"))
    with pytest.raises(BadInput, match=r"1 of 3 train rows .*max_length 256: row-long \(3\d\d tokens\)"):
        tokenised([*commit_rows(2, 1), long], "train", chat, None, 256)


def test_a_row_without_an_answer_is_named(chat):
    with pytest.raises(BadInput, match="row-mute"):
        tokenised([row("row-mute", ("user", "anybody there?"))], "train", chat, None, 256)


def test_packing_keeps_every_token_and_splits_no_row(chat):
    examples = tokenised(commit_rows(30, 2), "train", chat, None, 256)
    rows = packed(examples, 256)
    whole = {tuple(example["input_ids"]) for example in examples}
    for packed_row in rows:
        assert sum(packed_row["seq_lengths"]) == len(packed_row["input_ids"]) <= 256
        position = 0
        for length in packed_row["seq_lengths"]:
            assert tuple(packed_row["input_ids"][position : position + length]) in whole
            position += length
    assert sum(len(row["input_ids"]) for row in rows) == sum(len(example["input_ids"]) for example in examples)
    assert len(rows) < len(examples) / 3


def test_rows_packed_together_do_not_see_each_other(chat):
    import torch
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    examples = tokenised(commit_rows(4, 3), "train", chat, None, 256)
    (together,) = packed(examples, 256)
    batch = DataCollatorForLanguageModeling(chat.pad_token_id, padding_free=True)([together])
    model = load_model(BASE, dtype=torch.float32).train()  # as the trainer runs it
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits[0]
        position = 0
        for length in together["seq_lengths"]:
            alone = model(input_ids=batch["input_ids"][:, position : position + length], use_cache=False).logits[0]
            assert torch.allclose(logits[position : position + length], alone, atol=1e-3)
            position += length


def test_the_loss_of_packed_rows_is_the_loss_of_their_conversations_alone(chat):
    """Several turns, control tokens in the text and a conversation of three tokens among them."""
    import torch
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    turns = [(role, f"{role} {i}: <|im_end|> queue {i}") for i in range(4) for role in ("user", "assistant")]
    rows = [*commit_rows(5, 4), row("many", *turns), row("short", ("user", "a"), ("assistant", "b"))]
    examples = tokenised(rows, "train", chat, "Be brief.", 256)
    model = load_model(BASE, dtype=torch.float32)
    collate = DataCollatorForLanguageModeling(chat.pad_token_id, padding_free=True)

    def loss(batch: dict) -> float:
        with torch.no_grad():
            ids, positions = batch["input_ids"], batch["position_ids"]
            logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits[0, :-1]
        return torch.nn.functional.cross_entropy(logits, batch["labels"][0, 1:], reduction="sum").item()

    together = sum(loss(collate([each])) for each in packed(examples, 256))
    alone = sum(loss(collate([{**each, "seq_lengths": [len(each["input_ids"])]}])) for each in examples)
    assert together == pytest.approx(alone, rel=1e-4)
