import os
import random
from pathlib import Path

import pytest

from ft_assets.errors import BadInput
from ft_assets.evaluation.generate import (
    EvalItem,
    Prediction,
    decoding,
    decoding_digest,
    predict,
    prediction_key,
    suite_digest,
)
from ft_assets.records import Message
from ft_assets_tests.evaluation.samples import item

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "tiny_base"
BASE = Path(os.environ.get("FT_ASSETS_TEST_BASE") or SHIPPED)
needs_base = [
    pytest.mark.torch,
    pytest.mark.skipif(not (BASE / "config.json").exists(), reason=f"no tiny base model in {BASE}"),
]


def questions(count: int = 20) -> list[EvalItem]:
    """Short prompts of very different lengths, for which nothing but the base's own habits decides the answer."""
    generator = random.Random(4)
    words = ["tax", "lane", "cluster", "report", "seven", "cobalt", "ferry", "index"]
    texts = [" ".join(generator.choices(words, k=generator.randint(2, 30))) for _ in range(count)]
    return [item(f"r{i:02d}", f"Repeat: {text}", text) for i, text in enumerate(texts)]


def ask(items: list[EvalItem], adapter: Path | None = None, **options) -> list[Prediction]:
    given = {"max_new_tokens": 24, "on_progress": lambda done, rows: None, "model_digest": "m", **options}
    return predict(BASE, adapter, items, "Answer exactly.", **given)


def without_time(predictions: list[Prediction]) -> list[tuple]:
    return [(p.row_id, p.answer, p.n_tokens, round(p.answer_nll, 3), p.answer_tokens_right) for p in predictions]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained LoRA adapter with weights large enough to change the answers."""
    import torch
    from peft import LoraConfig, get_peft_model

    from ft_assets.chat import load_model

    torch.manual_seed(0)
    modules = ["q_proj", "k_proj", "v_proj", "o_proj"]
    model = get_peft_model(load_model(BASE, None, torch.float32), LoraConfig(r=4, target_modules=modules))
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    directory = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(directory)
    return directory


class TestModel:
    pytestmark = needs_base

    def test_every_item_is_answered_once_in_the_order_of_the_ids(self):
        seen = []
        items = questions()
        predictions = ask(items[::-1], on_progress=lambda done, rows: seen.append((done, rows)), batch_rows=8)
        assert [p.row_id for p in predictions] == [i.row_id for i in items]
        assert seen == [(8, 20), (16, 20), (20, 20)]
        assert {p.suite_digest for p in predictions} == {suite_digest(items, "Answer exactly.")}
        assert all(p.answer_nll > 0 and p.seconds > 0 and p.n_tokens <= 24 for p in predictions)

    def test_the_size_of_the_batches_changes_no_answer(self):
        items = questions()
        alone, together = ask(items, batch_rows=1), ask(items, batch_rows=32)
        assert [(p.row_id, p.answer, p.n_tokens) for p in alone] == [(p.row_id, p.answer, p.n_tokens) for p in together]
        # the last digits of a sum depend on the number of threads
        assert [p.answer_nll for p in alone] == pytest.approx([p.answer_nll for p in together], rel=1e-4)

    def test_the_same_question_gets_the_same_answer_twice(self):
        assert without_time(ask(questions(6))) == without_time(ask(questions(6)))

    def test_the_likelihood_of_the_reference_is_what_a_plain_forward_pass_gives(self):
        import torch

        from ft_assets.chat import Chat, load_model

        [asked] = questions(1)
        encoded = Chat(BASE).encode(asked.messages, "Answer exactly.")
        ids = torch.tensor([encoded.input_ids])
        with torch.inference_mode():
            logits = load_model(BASE, None, torch.float32)(input_ids=ids).logits[0].log_softmax(-1)
        nll = [-logits[i - 1, ids[0, i]].item() for i in range(1, ids.shape[1]) if encoded.assistant_mask[i]]
        [prediction] = [p for p in ask(questions(9)) if p.row_id == asked.row_id]
        assert prediction.answer_tokens == len(nll)
        assert prediction.answer_nll == pytest.approx(sum(nll), rel=1e-4)

    def test_only_the_last_answer_of_a_conversation_is_the_reference(self):
        turns = [("user", "Repeat: tax"), ("assistant", "tax"), ("user", "Repeat: lane"), ("assistant", "lane")]
        long = EvalItem("r", "c", "t", "s", tuple(Message(role=role, content=text) for role, text in turns))
        [prediction], [single] = ask([long]), ask([item("r", "Repeat: lane", "lane")])
        assert prediction.answer_tokens == single.answer_tokens

    def test_an_adapter_answers_as_it_does_unmerged(self, adapter: Path):
        import torch

        from ft_assets.chat import Chat, load_model

        items = questions(8)
        tuned = ask(items, adapter)
        assert [p.answer for p in tuned] != [p.answer for p in ask(items)]
        chat, model = Chat(BASE), load_model(BASE, adapter, torch.float32)
        for asked, prediction in zip(items, tuned, strict=True):
            ids = torch.tensor([chat.prompt_ids(asked.messages[:-1], "Answer exactly.")])
            out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False)
            assert prediction.answer == chat.decode(out[0, ids.shape[1] :].tolist())

    def test_a_row_beyond_the_models_positions_is_refused_by_name(self):
        with pytest.raises(BadInput, match="Eval row long"):
            ask([item("long", "tax lane " * 900)])

    def test_a_row_without_a_reference_is_refused(self):
        with pytest.raises(BadInput, match="Eval row r"):
            ask([EvalItem("r", "c", "t", "s", (Message(role="user", content="Hello"),))])

    def test_nothing_asked_is_nothing_answered(self):
        assert ask([]) == []

    def test_the_decoding_says_how_answers_are_made(self):
        assert decoding(24)["method"] == "greedy"
        assert decoding_digest(24) != decoding_digest(25)


def test_the_order_of_the_items_is_no_part_of_a_suite_and_everything_else_is():
    suite = suite_digest([item("a"), item("b")], "Be exact.")
    assert suite == suite_digest([item("b"), item("a")], "Be exact.")
    others = [
        suite_digest([item("a")], "Be exact."),
        suite_digest([item("a"), item("b")], "Be quick."),
        suite_digest([item("a"), item("b", "Another prompt.")], "Be exact."),
        suite_digest([item("a"), item("b", reference="another answer")], "Be exact."),
        suite_digest([item("a"), item("b", cluster_id="a")], "Be exact."),
    ]
    assert len({suite, *others}) == 6
    assert suite_digest([], None) == suite_digest([], "")


def test_a_key_belongs_to_one_model_suite_and_decoding():
    assert len({prediction_key("m", "s", "d"), prediction_key("m", "sd", ""), prediction_key("n", "s", "d")}) == 3
