import math
from pathlib import Path
from typing import Any

import pytest

from ft_assets.chat import Chat
from ft_assets.training.kto import kto_data
from ft_assets.training.preference_trainer import first_rewards
from ft_assets.training.stage_data import SideRows
from ft_assets_tests.training.preference_stages import random_adapter, trainer_of
from ft_assets_tests.training.samples import BASE, judged_answers, needs_base, preference_recipe

pytestmark = [pytest.mark.torch, needs_base]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A KTO stage after its last step, on a new adapter."""
    trainer = trainer_of(preference_recipe("kto", num_train_epochs=1), tmp_path_factory.mktemp("kto"), rows=40)
    trainer.train()
    return trainer


def test_liked_answers_are_more_probable_and_the_others_less_on_rows_that_were_not_trained_on(trained: Any) -> None:
    looks = [entry for entry in trained.state.log_history if "eval_loss" in entry]
    assert looks[0]["eval_loss"] == pytest.approx(0.5, abs=0.01)
    assert abs(looks[0]["eval_rewards/margins"]) < 0.05
    assert looks[-1]["eval_rewards/chosen"] > 0 > looks[-1]["eval_rewards/rejected"]
    assert looks[-1]["eval_rewards/margins"] > 1
    assert looks[-1]["eval_loss"] < 0.4


def test_the_loss_is_the_formula_of_the_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ethayarajh et al. 2024, equations 7 and 8, on one forward with both thumbs."""
    import torch
    from peft import PeftModel

    from ft_assets.chat import load_model
    from ft_assets_tests.training.test_dpo import log_probability

    monkeypatch.setattr("ft_assets.chat.fastest_dtype", lambda: torch.float32)  # bf16 rounds at the second decimal
    monkeypatch.setattr("ft_assets.training.trainer_arguments.fastest_dtype", lambda: torch.float32)
    recipe = preference_recipe("kto", beta=0.1, desirable_weight=1.5, undesirable_weight=0.5)
    trainer = trainer_of(recipe, tmp_path, random_adapter(tmp_path / "sft", seed=1), rows=4)
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            if ".default." in name:
                parameter.mul_(1.2)
        reference = PeftModel.from_pretrained(load_model(BASE), str(tmp_path / "sft")).eval()
        trainer.model.eval()
        rows = [trainer.train_dataset[number] for number in range(4)]
        loss = float(trainer.compute_loss(trainer.model, trainer.data_collator(rows)))

        def gain(row: dict[str, Any], key: str) -> float:
            told = [log_probability(model, row["prompt_ids"], row[key]) for model in (trainer.model, reference)]
            return float(told[0] - told[1])

        kl = max(0.0, sum(gain(row, "KL_completion_ids") for row in rows) / 4)
        wanted = [
            1.5 * (1 - sigmoid(0.1 * (gain(row, "completion_ids") - kl)))
            if row["label"]
            else 0.5 * (1 - sigmoid(0.1 * (kl - gain(row, "completion_ids"))))
            for row in rows
        ]
    assert len({row["label"] for row in rows}) == 2
    assert loss == pytest.approx(sum(wanted) / 4, abs=1e-4)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_the_answers_of_a_forward_are_compared_with_each_other_and_none_with_itself() -> None:
    recipe = preference_recipe("kto", seed=3)
    rows = kto_data(SideRows(judged=judged_answers(9, 1)), "train", recipe, Chat(BASE), None)
    answers = [row["completion_ids"] for row in rows]
    mismatched = [row["KL_completion_ids"] for row in rows]
    assert mismatched[:4] == [answers[3], *answers[:3]]
    assert mismatched[4:8] == [answers[7], *answers[4:7]]
    assert mismatched[8] == answers[7]  # alone in the last forward


def test_the_order_of_rows_comes_from_the_seed() -> None:
    sides = SideRows(judged=judged_answers(12, 1))
    orders = [
        kto_data(sides, "train", preference_recipe("kto", seed=seed), Chat(BASE), None)["completion_ids"]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_without_a_kl_term_rows_are_drawn_anew_and_the_knobs_arrive(tmp_path: Path) -> None:
    knobs = {"loss_type": "apo_zero_unpaired", "beta": 0.2, "desirable_weight": 2.0, "undesirable_weight": 0.5}
    trainer = trainer_of(preference_recipe("kto", **knobs), tmp_path, rows=6)
    assert {key: getattr(trainer.args, key) for key in knobs} == knobs
    assert trainer.args.train_sampling_strategy == "random"
    assert "KL_completion_ids" not in trainer.train_dataset.column_names
    assert all(abs(reward) < 0.05 for reward in first_rewards(trainer).values())
