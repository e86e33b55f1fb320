"""Every weight, and a base of four bits: what each leaves, and that evaluation can load it."""

import json
from pathlib import Path

import pytest

from ft_assets.chat import Chat, load_model
from ft_assets.errors import BadConfiguration
from ft_assets.evaluation.asking.backend import questions_of
from ft_assets.evaluation.asking.model_to_ask import ModelToAsk
from ft_assets.evaluation.asking.transformers_backend import TransformersBackend
from ft_assets.evaluation.items import EvalItem
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets.training.packed_rows import tokenised
from ft_assets.training.recipe import Recipe
from ft_assets.training.result import TrainingResult
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets.training.train import train
from ft_assets.training.trainable_model import adapter_config, keep_adapter_in_float32, trainable_model
from ft_assets.training.trainer_arguments import refuse_unusable_optimizer
from ft_assets_tests.training.samples import BASE, TINY_REASONS, commit_rows, needs_base

pytestmark = [pytest.mark.torch, needs_base]
Trained = tuple[TrainingResult, Path]
PROMPT = "You write commit messages."
KNOBS = {
    "full": {"method": "full", "learning_rate": 3e-4},
    "qlora": {"method": "qlora", "learning_rate": 3e-3, "optim": "adamw_bnb_8bit"},
}


def small(method: str) -> Recipe:
    few = {"num_train_epochs": 1, "gradient_accumulation_steps": 1, "max_length": 256, "outside_range": TINY_REASONS}
    return Recipe.model_validate({**KNOBS[method], **few, "eval_steps": 2, "save_steps": 2})


def trained_by(method: str, folder: Path) -> TrainingResult:
    return train(
        base_dir=BASE,
        rows=TrainingRows(SideRows(commit_rows(30, 1)), SideRows(commit_rows(6, 2))),
        recipe=small(method),
        work_dir=folder / "work",
        checkpoints=lambda stage: CheckpointSaver(LocalCheckpoints(folder / "work" / stage, "7" * 64)),
        out_dir=folder / "model",
        system_prompt=PROMPT,
        on_progress=lambda _: None,
        provenance={"snapshot": "5" * 64, "base_id": "tiny-base", "base_digest": "b" * 64},
    )


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("full")
    return trained_by("full", folder), folder / "model"


@pytest.fixture(scope="module")
def qlora(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("qlora")
    return trained_by("qlora", folder), folder / "model"


def validation_loss(trained: Path | None) -> float:
    import torch

    model = load_model(BASE, trained, torch.float32)
    examples = tokenised(commit_rows(6, 2), "validation", Chat(BASE), PROMPT, 256)
    with torch.no_grad():
        losses = [model(**{key: torch.tensor([value]) for key, value in e.items()}).loss.item() for e in examples]
    return sum(losses) / len(losses)


def test_full_leaves_a_whole_model_with_the_base_s_own_config_and_no_path_of_this_machine(full: Trained) -> None:
    result, model = full
    kept = ["config.json", "generation_config.json"]
    written = ["model.safetensors", "provenance.json", "received.json", "training_log.json"]
    assert sorted(path.name for path in model.iterdir()) == sorted([*kept, *written])
    assert all((model / name).read_bytes() == (BASE / name).read_bytes() for name in kept)
    assert (model / "model.safetensors").stat().st_size == (BASE / "model.safetensors").stat().st_size
    assert str(model.parent) not in "".join((model / name).read_text() for name in written[1:])
    assert result.last.trainable_parameters == load_model(BASE).num_parameters()


def test_a_whole_model_takes_the_place_of_the_base_in_evaluation(full: Trained) -> None:
    result, model = full
    assert validation_loss(model) == pytest.approx(result.last.best_eval_loss, abs=0.3)
    assert validation_loss(model) < validation_loss(None) - 1
    item = EvalItem("row", "cluster", "commit_message", "all", commit_rows(1, 2)[0].messages)
    (batch,) = TransformersBackend(ModelToAsk("m", BASE, model), 8).batches(questions_of([item], PROMPT))
    (said,) = batch.predictions
    assert said.answer_nll / said.answer_tokens < validation_loss(None)


def test_full_is_trained_in_float32_and_written_in_the_base_s_format(full: Trained) -> None:
    import torch
    from safetensors.torch import load_file

    _, model = full
    assert {value.dtype for value in load_file(model / "model.safetensors").values()} == {torch.bfloat16}
    assert {p.dtype for p in trainable_model(BASE, small("full")).parameters()} == {torch.float32}


def test_an_adapter_learned_on_four_bits_lowers_the_loss_of_the_base_as_it_was(qlora: Trained) -> None:
    from safetensors.torch import load_file

    result, adapter = qlora
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny-base"
    assert {str(value.dtype) for value in load_file(adapter / "adapter_model.safetensors").values()} == {
        "torch.float32"
    }
    assert result.last.best_eval_loss < result.last.first_eval_loss - 1
    assert validation_loss(adapter) < validation_loss(None) - 1


def test_the_base_of_qlora_has_nf4_layers_with_quantised_constants_and_evaluation_does_not_change_them() -> None:
    import torch

    recipe = small("qlora")
    model = trainable_model(BASE, recipe)
    layer = model.model.layers[0].mlp.gate_proj
    assert (type(layer).__name__, layer.weight.dtype) == ("Linear4bit", torch.uint8)
    assert (layer.weight.quant_state.quant_type, layer.weight.quant_state.nested) == ("nf4", True)
    before = layer.weight.detach().clone()
    with torch.no_grad():
        model.eval()(input_ids=torch.tensor([[5, 6, 7]]))
    assert torch.equal(layer.weight, before)
    assert type(model.lm_head).__name__ == "Linear"


def test_a_former_adapter_goes_on_from_its_own_float32_and_not_from_rounded_weights(qlora: Trained) -> None:
    import torch
    from safetensors.torch import load_file

    _, adapter = qlora
    model = trainable_model(BASE, small("qlora"), former=adapter)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)  # as TRL does
    keep_adapter_in_float32(model, adapter)
    kept = load_file(adapter / "adapter_model.safetensors")
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert len(trained) == len(kept)
    assert all(torch.equal(p, kept[name.replace(".default", "")]) for name, p in trained.items())


def test_full_puts_no_adapter_on() -> None:
    assert adapter_config(small("full"), load_model(BASE)) is None


def test_an_optimizer_that_pages_is_refused_where_there_is_nothing_to_page() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(BadConfiguration, match=r"paged_adamw_8bit.*no GPU.*adamw_bnb_8bit"):
        refuse_unusable_optimizer(Recipe(optim="paged_adamw_8bit"))
    refuse_unusable_optimizer(Recipe(optim="adamw_bnb_8bit"))
