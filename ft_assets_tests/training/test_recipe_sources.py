import pytest

from ft_assets.errors import BadConfiguration
from ft_assets.training.recipe_sources import recipe_from_source
from ft_assets_tests.training.older_forms import FINE_TUNING, FINETUNING


def training(**knobs: object) -> dict[str, object]:
    return {"fine_tuning": {"training": knobs}}


def test_the_first_form_becomes_the_keys_of_a_line():
    read = recipe_from_source(FINE_TUNING)
    assert read.problems == []
    assert read.line["base_model"] == "gpt-4-0125-preview"
    assert read.line["split"] == {"validation_fraction": 0.1}
    assert read.metrics == ("accuracy", "perplexity", "exact_match", "rouge_l", "custom_code_quality")
    recipe = read.recipe()
    assert (recipe.num_train_epochs, recipe.effective_batch, recipe.warmup_steps) == (3, 32, 500)
    assert (recipe.early_stopping_patience, recipe.early_stopping_threshold) == (3, 0.01)
    assert (recipe.learning_rate, recipe.weight_decay, recipe.lr_scheduler_type) == (2e-5, 0.01, "cosine")


def test_the_second_form_becomes_the_keys_of_a_line():
    read = recipe_from_source(FINETUNING)
    assert read.problems == []
    assert (read.line["enabled"], read.line["trigger"]) == (True, {"new_examples": 100})
    recipe = read.recipe()
    assert (recipe.num_train_epochs, recipe.per_device_train_batch_size, recipe.learning_rate) == (3, 4, 2e-5)


def test_every_key_under_an_old_name_is_told_with_todays():
    told = "\n".join(recipe_from_source(FINE_TUNING).notes)
    assert "fine_tuning.training.epochs is read as recipe.num_train_epochs" in told
    assert "val_loss is eval_loss" in told
    assert "warmup_ratio fits runs of any length" in told
    assert "learning_rate" not in told
    assert "models/finetuned" not in told
    assert "output_dir is not used" in "\n".join(recipe_from_source(FINETUNING).notes)


def test_a_form_may_use_todays_names_and_hold_the_adapter_and_reasons():
    read = recipe_from_source(
        {
            "fine_tuning": {
                "approach": "sft+dpo",
                "lora": {"rank": 2, "alpha": 8, "dropout": 0},
                "training": {"num_train_epochs": 2, "evaluation_strategy": "steps", "warmup_steps": 0.05},
                "outside_range": {"r": "a tiny model"},
                "dpo": {"beta": 0.2},
            }
        }
    )
    assert read.problems == []
    recipe = read.recipe()
    assert (recipe.approach, recipe.r, recipe.alpha, recipe.warmup_ratio) == ("sft+dpo", 2, 8, 0.05)
    assert recipe.stages()[1].beta == 0.2


@pytest.mark.parametrize(
    ("source", "code", "told"),
    [
        (training(group_by_length=True), "unknown_key", "fine_tuning.training.group_by_length: unknown key"),
        (training(learnign_rate=1e-4), "unknown_key", "write learning_rate"),
        (training(epochs=3, num_train_epochs=3), "said_twice", "num_train_epochs: says the same as fine_tuning"),
        (training(evaluation_strategy="epoch"), "value_not_allowed", "allowed: steps; evaluations, checkpoints"),
        (training(eval_strategy=False), "evaluation_never_happens", "no best checkpoint"),
        (training(save_strategy="no"), "saving_never_happens", "no best checkpoint"),
        (training(load_best_model_at_end=False), "value_not_allowed", "allowed: True; the best checkpoint"),
        (training(batch_size="big"), "value_not_allowed", "fine_tuning.training.batch_size: per_device_train_batch_"),
        (training(epochs=40), "outside_range", "fine_tuning.training.epochs: num_train_epochs is 40, allowed 1 to 5"),
        ({"fine_tuning": {"early_stopping": {"monitor": "rouge"}}}, "value_not_allowed", "allowed: eval_loss"),
        ({"fine_tuning": {"validation": {"metrics": "f1"}}}, "value_not_allowed", "allowed: a list of names"),
        ({"fine_tuning": {"training": 3}}, "value_not_allowed", "fine_tuning.training: found 3 (int)"),
        ({"fine_tuning": {"training": {"lora": {"r": 8}}}}, "unknown_key", "fine_tuning.training.lora"),
        ({"fine_tuning": None}, "value_not_allowed", "allowed: keys with values"),
        ({**FINE_TUNING, **FINETUNING}, "root_unclear", "found fine_tuning and finetuning"),
        ({}, "root_unclear", "found neither"),
        ({**FINETUNING, "seed": 3}, "unknown_key", "seed: unknown key"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(source, code, told):
    _, problems = recipe_from_source(source).try_recipe()
    assert [problem.code for problem in problems] == [code]
    assert told in problems[0].message
    assert problems[0].refuses


def test_asking_for_the_recipe_of_a_source_with_problems_lists_them_all():
    read = recipe_from_source(training(epochs=40, colour="red", learning_rate=5))
    with pytest.raises(BadConfiguration) as refused:
        read.recipe()
    assert all(part in str(refused.value) for part in ("colour", "num_train_epochs is 40", "learning_rate is 5"))
