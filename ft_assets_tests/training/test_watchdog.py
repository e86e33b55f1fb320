"""Fifty faults in real trainings, each stopped in time under its name, and healthy trainings that are left alone."""

import random
import shutil
from pathlib import Path

import pytest

from ft_assets.errors import NotRerunnable, Rerunnable, TrainingDiverged, TrainingSlowed
from ft_assets.training.verdicts import IN_A_ROW, SLOW_STEPS
from ft_assets.training.watchdog import kept_log, watchdog
from ft_assets_tests.training.faulty_trainings import EVAL_STEPS, OTHER_TASK, STEPS, Training, run
from ft_assets_tests.training.preference_stages import trainer_of
from ft_assets_tests.training.samples import needs_base, preference_recipe

pytestmark = pytest.mark.torch

FAULTS = 50
# Steps between the one that meets the fault and the one at which training stops. Rows are loaded one batch ahead.
AHEAD, AT_ONCE, ROWS_AT_ONCE, SOON = 1, 0, 1, IN_A_ROW
EXPLODED_OR_DIVERGED = "exploding_gradients or loss_diverged"  # too high a rate does both; whichever is there first
KINDS: dict[str, tuple[str, int]] = {
    "weight not a number": ("non_finite", AT_ONCE),
    "gradient not a number": ("non_finite", AT_ONCE),
    "gradient infinite": ("non_finite", AT_ONCE),
    "loss not a number": ("non_finite", AT_ONCE),
    "loss infinite, gradient finite": ("non_finite", AT_ONCE),
    "no labels": ("non_finite", ROWS_AT_ONCE),
    "validation loss not a number": ("non_finite", EVAL_STEPS),
    "gradients scaled up": ("exploding_gradients", SOON),
    "loss scaled up": ("exploding_gradients", SOON),
    "learning rate times 1000": (EXPLODED_OR_DIVERGED, SOON + 4),
    "poisoned rows": ("loss_diverged", SOON + AHEAD),
    "loss scaled to zero": ("loss_at_zero", SOON),
    "slow loader": ("throughput_collapsed", SLOW_STEPS + AHEAD + 4),
    "another task to validate": ("validation_only_rises", 3 * EVAL_STEPS),
}


def injected() -> list[Training]:
    rng, names = random.Random(5), list(KINDS)
    made = []
    for number in range(FAULTS):
        name = names[number % len(names)]
        if name == "another task to validate":
            made.append(Training(name, seed=number, validation_task=OTHER_TASK))
            continue
        learned = 28 if name in ("poisoned rows", "loss scaled to zero") else 12  # before, nothing is known to unlearn
        made.append(Training(name, at=rng.randrange(learned, 41), seed=number))
    return made


@pytest.mark.parametrize("training", injected(), ids=lambda training: f"{training.fault}-{training.seed}")
def test_a_fault_is_stopped_in_time_under_its_name(training: Training, tmp_path: Path) -> None:
    name, most_steps = KINDS[training.fault]
    may_go_on = training.fault == "slow loader"  # the machine's fault, and not the recipe's
    with pytest.raises(TrainingSlowed if may_go_on else TrainingDiverged) as stopped:
        run(training, tmp_path)
    assert stopped.value.verdict in name.split(" or ")
    assert isinstance(stopped.value, Rerunnable if may_go_on else NotRerunnable)
    assert training.at <= training.step <= training.at + most_steps
    assert training.alerts == [str(stopped.value)], "one alert, and it says what the error says"
    assert training.weights_are_finite or training.fault == "weight not a number", "stopped before the optimizer step"
    assert not list(tmp_path.rglob("*.safetensors"))


HEALTHY = {
    **{f"plain-{seed}": Training(seed=seed) for seed in range(3)},
    **{f"batches of one row-{seed}": Training(seed=seed, batch=1) for seed in range(4)},
    **{f"too high a rate that recovers-{seed}": Training(seed=seed, learning_rate=0.15) for seed in range(3)},
    **{f"two bad batches-{seed}": Training("poisoned rows", 40, 42, seed) for seed in range(2)},
    **{f"two huge gradients-{seed}": Training("gradients scaled up", 30, 32, seed) for seed in range(2)},
    **{f"three slow steps-{seed}": Training("slow loader", 30, 33, seed) for seed in range(2)},
    **{f"loss at zero for two steps-{seed}": Training("loss scaled to zero", 30, 32, seed) for seed in range(2)},
    "learned by heart": Training(rows=4, steps=150, learning_rate=0.1, arguments={"eval_steps": 50}),
    "learned by heart, then stopped early": Training(rows=4, steps=150, learning_rate=0.1),
    "learned all there is": Training(steps=150, learning_rate=0.1, arguments={"weight_decay": 0.0, "eval_steps": 50}),
    "logged every fifth step": Training(arguments={"logging_steps": 5}),
    "accumulated, without warm-up": Training(arguments={"gradient_accumulation_steps": 2, "warmup_steps": 0}),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_training_gets_no_verdict(name: str, tmp_path: Path) -> None:
    training = HEALTHY[name]
    trainer = run(training, tmp_path)
    assert trainer.state.global_step == training.steps or "early" in name
    assert training.alerts == []


@needs_base
@pytest.mark.parametrize("objective", ["dpo", "kto"])
def test_preferences_that_start_at_their_reference_get_no_verdict(objective: str, tmp_path: Path) -> None:
    trainer = trainer_of(preference_recipe(objective, r=4, num_train_epochs=3), tmp_path)
    alerts: list[str] = []
    trainer.add_callback(watchdog(trainer, on_alert=alerts.append))
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert losses[0] == pytest.approx(0.693 if objective == "dpo" else 0.5, abs=0.01)
    assert alerts == []
    margin = "eval_rewards/margins"
    assert any(margin in entry for entry in kept_log(trainer.state.log_history)), "preference metrics are kept"


@pytest.mark.parametrize("fault", ["poisoned rows", "loss scaled to zero", "gradients scaled up"])
def test_a_resumed_training_is_stopped_where_an_uninterrupted_one_is(fault: str, tmp_path: Path) -> None:
    at = 35  # two bad entries, then the cut
    whole = Training(fault, at=33, seed=1, arguments={"save_strategy": "steps", "save_steps": at})
    with pytest.raises(TrainingDiverged) as uninterrupted:
        run(whole, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole" / f"checkpoint-{at}", tmp_path / "kept")
    resumed = Training(fault, at=33, seed=1)
    with pytest.raises(TrainingDiverged) as again:
        run(resumed, tmp_path / "resumed", resume=tmp_path / "kept")
    assert (again.value.verdict, resumed.step) == (uninterrupted.value.verdict, whole.step)
    assert len(resumed.alerts) == 1


def test_a_healthy_resumed_training_gets_no_verdict(tmp_path: Path) -> None:
    run(Training(seed=3, arguments={"save_strategy": "steps", "save_steps": 40}), tmp_path / "whole")
    resumed = Training(seed=3)
    run(resumed, tmp_path / "resumed", resume=tmp_path / "whole" / "checkpoint-40")
    assert (resumed.step, resumed.alerts) == (STEPS, [])
