import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import ValidationError

from ft_assets.training.problem import RecipeRefused
from ft_assets.training.recipe import ATTENTION_MODULES, Recipe
from ft_assets.training.recipe_ranges import ranges_for

EVERY_APPROACH = ("sft", "dpo", "kto", "sft+dpo")


def recipe(**knobs: object) -> Recipe:
    return Recipe.model_validate(knobs)


def refusal(**knobs: object) -> str:
    with pytest.raises(ValidationError) as refused:
        Recipe.model_validate(knobs)
    return str(refused.value)


# ---- defaults --------------------------------------------------------------------------------------------------------
def test_a_recipe_without_a_word_is_lora_on_every_linear_layer():
    plain = Recipe()
    assert (plain.approach, plain.method, plain.target_modules) == ("sft", "lora", "all-linear")
    assert (plain.r, plain.alpha, plain.lora_dropout) == (8, 16, 0.05)


@pytest.mark.parametrize(
    ("approach", "method", "learning_rate", "epochs"),
    [
        ("sft", "lora", 2e-4, 3),
        ("sft", "qlora", 2e-4, 3),
        ("sft", "full", 2e-5, 3),
        ("dpo", "lora", 5e-6, 1),
        ("dpo", "full", 5e-6, 1),
        ("kto", "qlora", 5e-6, 1),
        ("sft+dpo", "lora", 2e-4, 3),
    ],
)
def test_the_defaults_follow_the_objective_and_the_method(approach, method, learning_rate, epochs):
    found = recipe(approach=approach, method=method)
    assert (found.learning_rate, found.num_train_epochs) == (learning_rate, epochs)


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
@pytest.mark.parametrize("approach", EVERY_APPROACH)
def test_the_defaults_are_inside_every_range(approach, method):
    for stage in recipe(approach=approach, method=method).stages():
        ranges = ranges_for(stage.approach, stage.method)
        assert all(low <= getattr(stage, key) <= high for key, (low, high) in ranges.items())
        assert ("r" in ranges) == (method != "full")
        assert ("beta" in ranges) == (stage.approach != "sft")


def test_qlora_quantises_to_nf4_twice_and_lora_not_at_all():
    found = recipe(method="qlora")
    assert (found.bnb_4bit_quant_type, found.bnb_4bit_use_double_quant) == ("nf4", True)
    assert found.bnb_4bit_compute_dtype == "bfloat16"
    assert recipe().bnb_4bit_quant_type is None


def test_a_default_that_was_filled_in_does_not_count_as_written():
    assert recipe(method="full").model_dump(exclude_unset=True) == {"method": "full"}
    assert Recipe(seed=3).model_fields_set == {"seed"}


@pytest.mark.parametrize("knobs", [{}, {"method": "full"}, {"approach": "kto", "method": "qlora"}])
def test_a_full_dump_reads_back_as_the_same_recipe(knobs):
    found = recipe(**knobs)
    assert Recipe.model_validate(found.model_dump()) == found


def test_the_knobs_that_are_shown_are_those_with_an_effect():
    full, kto = recipe(method="full").knobs_with_effect(), recipe(approach="kto").knobs_with_effect()
    assert not {"r", "lora_alpha", "beta", "bnb_4bit_quant_type"} & set(full)
    assert (kto["lora_alpha"], kto["desirable_weight"], kto["loss_type"]) == (16, 1.0, "kto")
    assert "label_smoothing" not in kto


# ---- ranges ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("approach", "key", "value", "allowed"),
    [
        ("sft", "learning_rate", 3e-3, "1e-05 to 0.0002"),
        ("sft", "num_train_epochs", 9, "1 to 5"),
        ("sft", "gradient_accumulation_steps", 64, "4 to 32"),
        ("sft", "warmup_ratio", 0.5, "0.03 to 0.1"),
        ("sft", "weight_decay", 0.3, "0 to 0.1"),
        ("sft", "r", 512, "4 to 256"),
        ("sft", "lora_dropout", 0.2, "0 to 0.1"),
        ("dpo", "learning_rate", 2e-4, "1e-06 to 5e-05"),
        ("dpo", "num_train_epochs", 4, "1 to 3"),
        ("dpo", "gradient_accumulation_steps", 32, "4 to 16"),
        ("dpo", "beta", 0.05, "0.1 to 0.5"),
        ("kto", "beta", 0.6, "0.1 to 0.5"),
    ],
)
def test_a_knob_outside_its_range_is_refused_with_what_was_found_and_how_to_mean_it(approach, key, value, allowed):
    message = refusal(approach=approach, **{key: value})
    ranged = "effective_batch" if key == "gradient_accumulation_steps" else key
    assert f"{ranged} is {value:g}, allowed {allowed}" in message
    assert f"outside_range: {{{ranged}: <reason>}}" in message


def test_a_recorded_reason_lets_a_knob_leave_its_range():
    found = Recipe(learning_rate=3e-3, outside_range={"learning_rate": "the optimum of a 4 M model"})
    assert found.learning_rate == 3e-3


@pytest.mark.parametrize("reasons", [{"learning_rate": "  "}, {"learnign_rate": "misspelt"}, {"beta": "sft has none"}])
def test_an_empty_reason_or_one_for_a_knob_without_a_range_is_refused(reasons):
    assert "outside_range" in refusal(outside_range=reasons)


def test_every_problem_is_told_at_once_and_by_name():
    with pytest.raises(ValidationError) as refused:
        Recipe(learning_rate=1.0, num_train_epochs=9, warmup_steps=5, warmup_ratio=0.1, beta=0.1)
    cause = refused.value.errors()[0]["ctx"]["error"]
    assert isinstance(cause, RecipeRefused)
    assert [(problem.code, problem.key) for problem in cause.problems] == [
        ("outside_range", ("learning_rate",)),
        ("outside_range", ("num_train_epochs",)),
        ("no_effect", ("beta",)),
        ("contradiction", ("warmup_steps",)),
    ]


# ---- knobs that contradict or do nothing -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"method": "full", "r": 16}, "r has no effect under method full; it belongs to lora and qlora"),
        ({"bnb_4bit_quant_type": "nf4"}, "bnb_4bit_quant_type has no effect under method lora"),
        ({"beta": 0.1}, "beta has no effect under approach sft; it belongs to dpo and kto"),
        ({"approach": "dpo", "desirable_weight": 2}, "desirable_weight has no effect under approach dpo"),
        ({"approach": "sft+dpo", "beta": 0.1}, "Write it under dpo"),
        ({"approach": "dpo", "dpo": {"beta": 0.1}}, "Write its knobs beside the others"),
        ({"approach": "dpo", "loss_type": "kto"}, "loss_type is kto, allowed under dpo: sigmoid"),
        ({"approach": "dpo", "label_smoothing": 0.1}, "reads under loss_type robust only"),
        ({"approach": "kto", "per_device_train_batch_size": 1}, "it needs 2 or more"),
        ({"eval_steps": 40, "save_steps": 100}, "no multiple of eval_steps 40"),
        ({"target_modules": "lm_head"}, "target_modules"),
        ({"target_modules": "q_proj,,v_proj"}, "target_modules"),
        ({"target_modules": "q_proj,embed_tokens"}, "target_modules"),
        ({"learnign_rate": 1e-4}, "learnign_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
    ],
)
def test_a_knob_that_contradicts_another_or_does_nothing_is_refused(knobs, told):
    assert told in refusal(**knobs)


def test_warm_up_steps_below_one_are_the_ratio_as_in_transformers():
    found = recipe(warmup_steps=0.08)
    assert (found.warmup_ratio, found.warmup_steps) == (0.08, None)


# ---- two stages ------------------------------------------------------------------------------------------------------
def test_the_second_stage_trains_the_same_adapter_with_its_own_rate_epochs_and_batch():
    both = recipe(approach="sft+dpo", r=16, max_length=512, num_train_epochs=5, weight_decay=0.1, dpo={"beta": 0.3})
    first, second = both.stages()
    assert (first.approach, first.num_train_epochs, first.learning_rate) == ("sft", 5, 2e-4)
    assert (second.approach, second.num_train_epochs, second.learning_rate) == ("dpo", 1, 5e-6)
    assert (second.r, second.max_length, second.beta, second.weight_decay) == (16, 512, 0.3, 0.01)


def test_a_reason_for_the_adapter_holds_in_both_stages_and_others_in_their_own():
    both = recipe(
        approach="sft+dpo",
        r=2,
        learning_rate=3e-3,
        outside_range={"r": "tiny", "learning_rate": "tiny"},
        dpo={"learning_rate": 1e-3, "outside_range": {"learning_rate": "tiny, too"}},
    )
    assert both.stages()[1].outside_range == {"r": "tiny", "learning_rate": "tiny, too"}


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"r": 4}, "dpo.r: both stages train the same weights"),
        ({"beta": 3}, "dpo: beta is 3, allowed 0.1 to 0.5"),
        ({"lr": 1e-6}, "dpo.lr: unknown key; write learning_rate"),
        ({"num_train_epochs": "two"}, "dpo.num_train_epochs: found 'two' (text), allowed: a whole number"),
        ({"dpo": {"beta": 0.1}}, "dpo is the second stage of sft+dpo"),
        ({"outside_range": 3}, "dpo.outside_range: found 3 (int), allowed: keys with values"),
    ],
)
def test_what_is_wrong_with_the_second_stage_is_said_with_its_key(second, told):
    assert told in refusal(approach="sft+dpo", dpo=second)


# ---- digest ----------------------------------------------------------------------------------------------------------
def test_the_digest_follows_what_changes_the_weights_and_nothing_else():
    plain = Recipe()
    assert Recipe(seed=1).digest() != plain.digest()
    assert Recipe(lora_alpha=16).digest() == plain.digest()  # the same number, written out
    assert Recipe(outside_range={"r": "a thought"}).digest() == plain.digest()
    assert Recipe(logging_steps=1).digest() == plain.digest()


@pytest.mark.parametrize(
    "knobs",
    [
        {"approach": "dpo"},
        {"approach": "kto"},
        {"approach": "sft+dpo"},
        {"method": "qlora"},
        {"method": "full"},
        {"use_rslora": True},
        {"use_dora": True},
        {"optim": "adamw_torch"},
        {"warmup_steps": 3},
        {"eval_steps": 3},
    ],
)
def test_every_newer_knob_changes_the_digest_once_it_is_used(knobs):
    assert recipe(**knobs).digest() != Recipe().digest()


def test_the_second_stage_is_part_of_the_digest():
    assert recipe(approach="sft+dpo", dpo={"beta": 0.2}).digest() != recipe(approach="sft+dpo").digest()
    assert recipe(approach="sft+dpo", dpo={"beta": 0.1}).digest() == recipe(approach="sft+dpo").digest()


def test_a_recipe_of_the_first_issue_keeps_its_digest():
    first = Recipe(target_modules=ATTENTION_MODULES)  # q, k, v and o were the default then
    assert first.digest() == "d73c130918631a486463121ac984e4b838ae70118a95ceff9325a61682a8c693"


# ---- names -----------------------------------------------------------------------------------------------------------
OF_OUR_OWN = {
    "approach",
    "method",
    "warmup_ratio",  # transformers 5 has warmup_steps below 1 for it
    "dpo",
    "sweep",
    "outside_range",
}


def source(package: str, path: str) -> str:
    """A file of an installed library, read and not imported."""
    found = find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed")
    return (Path(found.origin).parent / path).read_text()


def test_every_knob_has_the_name_that_its_library_gives_it():
    manuals = [
        source("transformers", "training_args.py"),
        source("transformers", "trainer_callback.py"),
        source("transformers", "utils/quantization_config.py"),
        source("peft", "tuners/lora/config.py"),
        *(source("trl", f"trainer/{name}_config.py") for name in ("sft", "dpo", "kto")),
    ]
    known = set(re.findall(r"^\s+(\w+)(?::|=)", "\n".join(manuals), flags=re.MULTILINE))
    known |= set(re.findall(r"(\w+): (?:int|float)", manuals[1]))  # EarlyStoppingCallback takes its own in one line
    assert set(Recipe.model_fields) - OF_OUR_OWN - known == set()


# ---- where it is read ------------------------------------------------------------------------------------------------
def test_a_dagster_config_can_inherit_the_recipe():
    import dagster as dg

    class Config(dg.Config, Recipe):
        pass

    assert Config(seed=3).digest() == Recipe(seed=3).digest()


def test_the_recipe_loads_without_any_heavy_library():
    loaded = "import ft_assets.training.preflight_recipe, ft_assets.training.recipe_overrides, sys; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "peft", "trl", "datasets", "mlflow", "polars", "dagster"} & set(names)
