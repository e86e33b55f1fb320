import subprocess
import sys

import pytest
from pydantic import ValidationError

from ft_assets.training.recipe import RANGES, SftRecipe, derive_intervals


def test_the_defaults_are_inside_every_range():
    recipe = SftRecipe()
    assert (recipe.r, recipe.alpha, recipe.learning_rate) == (8, 16, 2e-4)
    assert all(low <= getattr(recipe, key) <= high for key, (low, high) in RANGES.items())


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("learning_rate", 3e-3, "1e-05 to 0.0002"),
        ("num_train_epochs", 9, "1 to 5"),
        ("gradient_accumulation_steps", 64, "4 to 32"),
        ("warmup_ratio", 0.5, "0.03 to 0.1"),
        ("weight_decay", 0.3, "0 to 0.1"),
        ("r", 512, "4 to 256"),
        ("lora_dropout", 0.2, "0 to 0.1"),
    ],
)
def test_a_knob_outside_its_range_is_refused_with_what_was_found_and_how_to_mean_it(key, value, allowed):
    with pytest.raises(ValidationError) as refused:
        SftRecipe.model_validate({key: value})
    ranged = "effective_batch" if key == "gradient_accumulation_steps" else key
    assert f"{ranged} is {value:g}, allowed {allowed}" in str(refused.value)
    assert f"outside_range: {{{ranged}: <reason>}}" in str(refused.value)


def test_a_recorded_reason_lets_a_knob_leave_its_range():
    recipe = SftRecipe(learning_rate=3e-3, outside_range={"learning_rate": "the optimum of a 4 M model"})
    assert recipe.learning_rate == 3e-3


@pytest.mark.parametrize("reasons", [{"learning_rate": "  "}, {"learnign_rate": "misspelt"}])
def test_an_empty_reason_or_an_unknown_knob_is_refused(reasons):
    with pytest.raises(ValidationError, match="outside_range"):
        SftRecipe(outside_range=reasons)


@pytest.mark.parametrize("method", ["qlora", "full"])
def test_a_method_that_is_not_built_says_which_one_is(method):
    with pytest.raises(ValidationError, match="allowed: lora"):
        SftRecipe.model_validate({"method": method})


@pytest.mark.parametrize("modules", ["lm_head", "q_proj,,v_proj", "q_proj,embed_tokens"])
def test_modules_that_cannot_be_adapted_are_refused(modules):
    with pytest.raises(ValidationError, match="target_modules"):
        SftRecipe(target_modules=modules)


def test_a_misspelt_knob_is_refused():
    with pytest.raises(ValidationError, match="learnign_rate"):
        SftRecipe.model_validate({"learnign_rate": 1e-4})


def test_the_digest_follows_what_changes_the_weights_and_nothing_else():
    plain = SftRecipe()
    assert SftRecipe(seed=1).digest() != plain.digest()
    assert SftRecipe(lora_alpha=16).digest() == plain.digest()  # the same number, written out
    assert SftRecipe(outside_range={"r": "a thought"}).digest() == plain.digest()


@pytest.mark.parametrize(
    ("steps", "epochs", "patience"), [(9, 3, 3), (47, 5, 3), (235, 5, 3), (235, 12, 2), (10_000, 3, 4)]
)
def test_every_run_evaluates_often_enough_for_early_stopping_to_act(steps, epochs, patience):
    intervals = derive_intervals(steps, epochs, patience)
    assert steps // intervals.eval_steps >= max(epochs, 3 * patience)
    assert intervals.save_steps == intervals.eval_steps >= intervals.logging_steps >= 1


def test_a_run_shorter_than_its_evaluations_evaluates_at_every_step():
    assert derive_intervals(4, 1, 3).eval_steps == 1


@pytest.mark.parametrize("steps", [1, 9, 10, 33, 1_000])
def test_the_warm_up_never_takes_more_than_a_tenth_of_the_steps(steps):
    assert derive_intervals(steps, 3, 3, warmup_ratio=0.10).warmup_steps <= steps / 10


def test_a_run_without_steps_is_refused():
    with pytest.raises(ValueError, match="0 optimizer steps"):
        derive_intervals(0, 1, 3)


def test_a_dagster_config_can_inherit_the_recipe():
    import dagster as dg

    class Config(dg.Config, SftRecipe):
        pass

    assert Config(seed=3).digest() == SftRecipe(seed=3).digest()


def test_the_recipe_loads_without_any_heavy_library():
    loaded = "import ft_assets.training.recipe, ft_assets.training.catalogue, sys; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "peft", "trl", "datasets", "mlflow", "polars", "dagster"} & set(names)
