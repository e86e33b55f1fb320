import hashlib
import math
from pathlib import Path
from typing import Any

import pytest

from ft_assets.chat import load_model
from ft_assets.training.preference_trainer import first_rewards
from ft_assets_tests.training.preference_stages import random_adapter, trainer_of
from ft_assets_tests.training.samples import BASE, needs_base, preference_recipe

pytestmark = [pytest.mark.torch, needs_base]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A DPO stage after its last step, on a new adapter, one epoch."""
    trainer = trainer_of(preference_recipe("dpo", num_train_epochs=1), tmp_path_factory.mktemp("dpo"))
    trainer.train()
    return trainer


def log_probability(model: Any, prompt: list[int], answer: list[int]) -> Any:
    """ln of the probability of `answer` behind `prompt`, from the model's logits alone."""
    import torch

    logits = model(input_ids=torch.tensor([prompt + answer]).to(model.device)).logits[0, :-1].float()
    told = torch.log_softmax(logits, dim=-1)[range(len(logits)), prompt[1:] + answer]
    return told[len(prompt) - 1 :].sum()


def by_hand(policy: Any, reference: Any, rows: list[dict[str, list[int]]], beta: float) -> float:
    """Rafailov et al. 2023, equation 7: the mean of -ln sigmoid of beta x the difference of the log-ratios."""
    losses = []
    for row in rows:
        gains = [
            log_probability(policy, row["prompt_ids"], row[key])
            - log_probability(reference, row["prompt_ids"], row[key])
            for key in ("chosen_ids", "rejected_ids")
        ]
        losses.append(math.log1p(math.exp(-beta * float(gains[0] - gains[1]))))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("precomputed", [True, False])
def test_the_loss_is_the_formula_of_the_paper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precomputed: bool
) -> None:
    import torch
    from peft import PeftModel

    monkeypatch.setattr("ft_assets.chat.fastest_dtype", lambda: torch.float32)  # bf16 rounds at the second decimal
    monkeypatch.setattr("ft_assets.training.trainer_arguments.fastest_dtype", lambda: torch.float32)
    recipe = preference_recipe("dpo", beta=0.3, precompute_ref_log_probs=precomputed)
    trainer = trainer_of(recipe, tmp_path, random_adapter(tmp_path / "sft", seed=1), rows=4)
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if ".default." in name:  # the policy has moved, its frozen reference has not
                parameter.mul_(1.2)
        reference = PeftModel.from_pretrained(load_model(BASE), str(tmp_path / "sft")).eval()
        trainer.model.eval()
        rows = [trainer.train_dataset[number] for number in range(4)]
        loss = trainer.compute_loss(trainer.model, trainer.data_collator(rows))
        wanted = by_hand(trainer.model, reference, rows, beta=0.3)
    assert abs(wanted - math.log(2)) > 0.01
    assert float(loss) == pytest.approx(wanted, abs=1e-4)


def test_margin_and_accuracy_rise_on_pairs_that_were_not_trained_on(trained: Any) -> None:
    looks = [entry for entry in trained.state.log_history if "eval_loss" in entry]
    first, last = looks[0], looks[-1]
    assert first["eval_loss"] == pytest.approx(math.log(2), abs=0.01)
    assert abs(first["eval_rewards/margins"]) < 0.05
    assert last["eval_rewards/margins"] > 1
    assert last["eval_rewards/accuracies"] > max(0.9, first["eval_rewards/accuracies"])
    assert trained.state.best_metric == min(entry["eval_loss"] for entry in looks)


def test_the_base_is_the_reference_of_a_new_adapter(trained: Any) -> None:
    assert trained.reference.kind == "base"
    assert trained.reference.digest == trained.reference.base
    assert set(trained.model.peft_config) == {"default"}


def test_after_sft_the_frozen_adapter_is_the_reference_and_is_neither_trained_nor_changed(tmp_path: Path) -> None:
    from ft_assets.training.reference import adapter_digest

    adapter = random_adapter(tmp_path / "sft", seed=1)
    digest = hashlib.sha256((adapter / "adapter_model.safetensors").read_bytes()).hexdigest()
    trainer = trainer_of(preference_recipe("dpo", num_train_epochs=1), tmp_path / "work", adapter, rows=8)
    assert (trainer.reference.kind, trainer.reference.digest) == ("adapter", digest)
    trainer.train()
    assert not [
        name for name, parameter in trainer.model.named_parameters() if parameter.requires_grad and ".ref." in name
    ]
    assert adapter_digest(trainer.model, "ref") == digest
    assert adapter_digest(trainer.model, "default") != digest


def test_under_full_the_model_is_kept_once_and_its_first_weights_are_the_reference(tmp_path: Path) -> None:
    recipe = preference_recipe("dpo", method="full", r=8)
    trainer = trainer_of(recipe, tmp_path, rows=4)
    assert trainer.ref_model is None
    assert trainer.reference.kind == "model"
    assert abs(first_rewards(trainer)["rewards/margins"]) < 0.05


def test_every_knob_of_the_recipe_arrives(tmp_path: Path) -> None:
    knobs = {
        "beta": 0.2,
        "loss_type": "robust",
        "label_smoothing": 0.1,
        "ld_alpha": 0.5,
        "gradient_checkpointing": True,
    }
    told = trainer_of(preference_recipe("dpo", **knobs, disable_dropout=False), tmp_path, rows=4).args
    assert {key: getattr(told, key) for key in knobs} == {**knobs, "loss_type": ["robust"]}
    assert (told.disable_dropout, told.precompute_ref_log_probs) == (False, True)
