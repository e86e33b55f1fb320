"""Answers and likelihoods of the real tiny model."""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from ft_assets.evaluation.answers import answers_to
from ft_assets.evaluation.asking.backend import Batch, questions_of
from ft_assets.evaluation.asking.batch_disagreement import batch_disagreement
from ft_assets.evaluation.asking.interleaved_seconds import interleaved_seconds
from ft_assets.evaluation.asking.model_to_ask import ModelToAsk, model_in_lake
from ft_assets.evaluation.asking.nearest_prompts import NearestPrompts
from ft_assets.evaluation.asking.retrieved_examples import with_examples
from ft_assets.evaluation.asking.transformers_backend import TransformersBackend
from ft_assets.evaluation.evaluate import evaluate_model
from ft_assets.evaluation.items import EvalItem
from ft_assets.evaluation.metric import Metric, Points, each
from ft_assets.evaluation.prediction import Prediction
from ft_assets.evaluation.suites import suite_of
from ft_assets.lake import Lake
from ft_assets.records import Message
from ft_assets_tests.evaluation.samples import item
from ft_assets_tests.evaluation.tiny_models import BASE, TOKENS, base_model, needs_base, questions, untrained_adapter
from ft_assets_tests.training.little_memory import MIB, in_child

pytestmark = needs_base
PROMPT = "Answer exactly."


@dataclass(frozen=True)
class Learned:
    example_id: str
    messages: tuple[Message, ...]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_adapter(tmp_path_factory.mktemp("adapter"))


@pytest.fixture(scope="module")
def base() -> TransformersBackend:
    return base_model()


def batches(backend: TransformersBackend, items: list[EvalItem], prompt: str | None = PROMPT) -> list[Batch]:
    return list(backend.batches(questions_of(items, prompt)))


def said(backend: TransformersBackend, items: list[EvalItem], prompt: str | None = PROMPT) -> list[Prediction]:
    predictions = [one for batch in batches(backend, items, prompt) for one in batch.predictions]
    return sorted(predictions, key=lambda one: one.row_id)


def test_every_question_is_answered_once_in_batches_of_the_longest_first(base: TransformersBackend) -> None:
    items = questions()
    answered = batches(base, items)
    assert [len(batch.predictions) for batch in answered] == [8, 8, 4]
    assert sorted(one.row_id for batch in answered for one in batch.predictions) == [i.row_id for i in items]
    assert all(one.answer_nll > 0 and one.seconds > 0 for batch in answered for one in batch.predictions)
    length = {i.row_id: len(i.messages[0].content) for i in items}
    longest, shortest = ([length[one.row_id] for one in answered[i].predictions] for i in (0, -1))
    assert min(longest) > max(shortest)


def test_an_answer_ends_at_the_most_tokens_or_at_its_end_token(base: TransformersBackend) -> None:
    for one in said(base, questions()):
        assert one.n_tokens <= TOKENS and one.cut_off == (one.n_tokens == TOKENS)


def test_a_sample_asked_alone_differs_in_no_answer(base: TransformersBackend) -> None:
    items = questions()
    found = batch_disagreement(base, items, PROMPT, said(base, items), sample_rows=10)
    assert (found.rows, found.differing) == (10, ())
    assert found.largest_nll_gap < 1e-3


def test_the_likelihood_of_the_reference_is_what_a_plain_forward_pass_gives(base: TransformersBackend) -> None:
    import torch

    from ft_assets.chat import Chat, load_model

    asked = questions()[7]
    encoded = Chat(BASE).encode(asked.messages, PROMPT)
    ids = torch.tensor([encoded.input_ids])
    with torch.inference_mode():
        logits = load_model(BASE, None, torch.float32)(input_ids=ids).logits[0].log_softmax(-1)
    nll = [-logits[i - 1, ids[0, i]].item() for i in range(1, ids.shape[1]) if encoded.assistant_mask[i]]
    [one] = [one for one in said(base, questions(9)) if one.row_id == asked.row_id]
    assert one.answer_tokens == len(nll)
    assert one.answer_nll == pytest.approx(sum(nll), rel=1e-4)


def test_only_the_last_answer_of_a_conversation_is_the_reference(base: TransformersBackend) -> None:
    turns = [("user", "Repeat: tax"), ("assistant", "tax"), ("user", "Repeat: lane"), ("assistant", "lane")]
    long = EvalItem("r", "c", "t", "s", tuple(Message(role=role, content=text) for role, text in turns))
    [one], [single] = said(base, [long]), said(base, [item("r", "Repeat: lane", "lane")])
    assert one.answer_tokens == single.answer_tokens


def test_an_adapter_answers_as_it_does_unmerged(base: TransformersBackend, adapter: Path) -> None:
    import torch

    from ft_assets.chat import Chat, load_model

    items = questions(6)
    tuned = said(TransformersBackend(ModelToAsk("a", BASE, adapter), TOKENS), items)
    assert [one.answer for one in tuned] != [one.answer for one in said(base, items)]
    chat, model = Chat(BASE), load_model(BASE, adapter, torch.float32)
    for asked, one in zip(items, tuned, strict=True):
        ids = torch.tensor([chat.prompt_ids(asked.messages[:-1], PROMPT)])
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False)
        assert one.answer == chat.decode(out[0, ids.shape[1] :].tolist())


def test_a_row_beyond_the_models_positions_is_missing_and_the_others_are_answered(base: TransformersBackend) -> None:
    first, *others = batches(base, [item("long", "tax lane " * 900), *questions(2)])
    assert first.missing["long"].endswith("tokens and the model 1024 positions")
    assert [one.row_id for batch in others for one in batch.predictions] == ["r01", "r00"]


def test_a_neighbour_near_the_last_position_cuts_nobody_elses_answer(base: TransformersBackend) -> None:
    short = item("short", "Repeat: " + "tax lane cluster " * 3, "tax")
    chat_tokens = base.tokens(questions_of([item("x", "tax " * 100)], None)[0])
    per_word = (len(chat_tokens.prompt) - 10) / 100
    near_the_end = item("near", "tax " * int(1005 / per_word), "tax")
    tokens = base.tokens(questions_of([near_the_end], None)[0])
    assert 0 < tokens.allowance < TOKENS
    [alone] = said(base, [short], None)
    together = {one.row_id: one for one in said(base, [short, near_the_end], None)}
    assert together["short"].answer == alone.answer
    assert together["near"].n_tokens <= tokens.allowance


def test_memory_that_ends_halves_the_batches_and_is_recorded() -> None:
    words = "tax lane cluster report " * 45
    whole, little = in_fresh_process([item(f"r{n}", f"{words} {n}", words) for n in range(8)], [None, 40 * MIB])
    assert [[len(rows), halved] for rows, _, halved in whole] == [[8, False]]
    assert sum(len(rows) for rows, _, _ in little) == 8, little
    assert len(little[0][0]) < 8 and all(halved for _, _, halved in little)


def test_a_row_that_does_not_fit_alone_is_missing_and_a_shorter_one_answered() -> None:
    long = item("long", "Say much.", "tax lane cluster report " * 90)
    [[missing, answered]] = in_fresh_process([long, item("short", "tax", "tax")], [12 * MIB])
    assert missing[1]["long"].startswith("out of memory, asked alone with")
    assert answered[:2] == [["short"], {}]


def in_fresh_process(items: list[EvalItem], limits: list[int | None]) -> list[Any]:
    """What each limit in bytes leaves of the answers. What earlier tests freed would serve this process without any."""
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        return fresh.submit(answered_under, items, limits).result()


def answered_under(items: list[EvalItem], limits: list[int | None]) -> list[Any]:
    """Per limit the batches: ids answered, ids missing with the reason, and whether they were halved."""
    base = base_model()
    base.alone()  # loads it
    asked = questions_of(items, None)

    def work() -> list[object]:
        _held = what_the_heap_still_has()
        return [[[one.row_id for one in got.predictions], got.missing, got.halved] for got in base.batches(asked)]

    return [in_child(work, limit)["returned"] for limit in limits]


def what_the_heap_still_has() -> list[object]:
    """Blocks that this process can have without more memory: what loading freed would hide a small limit."""
    import torch

    held: list[object] = []
    while True:
        before = end_of_data()
        block = torch.empty(2 * MIB, dtype=torch.uint8)
        if end_of_data() > before:
            return held
        held.append(block)


def end_of_data() -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData")]
    return int(line.split()[1])


def test_a_model_without_numbers_answers_nothing(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    for name in ("config.json", "generation_config.json"):
        (tmp_path / name).write_bytes((BASE / name).read_bytes())
    weights = load_file(BASE / "model.safetensors")
    save_file(
        {name: torch.full_like(value, float("nan")) for name, value in weights.items()}, tmp_path / "m.safetensors"
    )
    (tmp_path / "m.safetensors").rename(tmp_path / "model.safetensors")
    [batch] = batches(TransformersBackend(ModelToAsk("n", BASE, tmp_path), TOKENS), questions(3))
    assert set(batch.missing.values()) == {"the likelihood of its reference is no finite number"}


def test_the_setting_names_what_makes_answers_and_no_place_of_this_machine(base: TransformersBackend) -> None:
    assert base.setting["dtype"] == "float32" or base.setting["adapter"] == "beside the base"
    assert base.setting["batches"] == "8 rows, longest prompt first, padded left"
    assert str(BASE) not in json.dumps(dict(base.setting))
    assert base_model(TOKENS + 1).setting != base.setting


def test_examples_are_added_as_long_as_the_answer_still_fits_behind_them(base: TransformersBackend) -> None:
    rows = [Learned(f"e{i}", (*item("x", f"Repeat: tax {i} " + "lane " * 250, "tax").messages,)) for i in range(3)]
    suite = suite_of("s", "own", [item("q", "Repeat: tax lane", "tax lane")], PROMPT)
    found = with_examples(suite, NearestPrompts(rows, "s" * 64, suite.items), base.fits)
    [asked] = found.items
    assert 2 < len(asked.messages) < 8
    [batch] = batches(base, list(found.items))
    [one] = batch.predictions
    assert (one.row_id, one.answer_tokens) == ("q", said(base, list(suite.items))[0].answer_tokens)
    assert one.prompt_digest != said(base, list(suite.items))[0].prompt_digest


def test_times_are_measured_in_turns(base: TransformersBackend, adapter: Path) -> None:
    other = TransformersBackend(ModelToAsk("a", BASE, adapter), TOKENS)
    seconds = interleaved_seconds({"candidate": other, "champion": base}, questions(), PROMPT, sample_rows=3)
    assert list(seconds) == ["candidate", "champion"]
    assert seconds["candidate"].keys() == seconds["champion"].keys() and len(seconds["champion"]) == 3
    assert all(second > 0 for rows in seconds.values() for second in rows.values())


def test_a_model_of_the_lake_is_asked_on_the_base_that_it_was_trained_on(tmp_path: Path, adapter: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    base = lake.put_artifact("base_model", BASE)
    trained = tmp_path / "trained"
    trained.mkdir()
    for file in adapter.iterdir():
        (trained / file.name).write_bytes(file.read_bytes())
    (trained / "provenance.json").write_text(json.dumps({"base_digest": base.digest}))
    model = lake.put_artifact("adapter", trained)
    assert model_in_lake(lake, model.digest) == ModelToAsk(model.digest, base.path, model.path)
    suite = suite_of("small", "own", questions(3), PROMPT)
    found = evaluate_model(model.digest, [suite], [LENGTH], lake=lake, max_new_tokens=8)
    direct = answers_to(lake, TransformersBackend(ModelToAsk("d", BASE, adapter), 8), suite.items, PROMPT)
    asked = found.suites["small"].answers.predictions
    assert [one.answer for one in asked] == [one.answer for one in direct.predictions]
    assert found.aggregate["length"] == sum(one.n_tokens for one in asked) / 3


LENGTH = Metric("length", "tokens", False, each(lambda item, prediction: Points(prediction.n_tokens, 1)))
