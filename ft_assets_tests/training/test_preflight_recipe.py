import pytest

from ft_assets.training.preflight_recipe import RowCounts, divides_by_devices, recipe_problems
from ft_assets.training.recipe import Recipe
from ft_assets_tests.training.older_forms import FINE_TUNING, FINETUNING

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def refusals(recipe: object, rows: RowCounts | int, **more: object) -> list[str]:
    return [problem.code for problem in recipe_problems(recipe, rows, **more) if problem.refuses]


def warnings(recipe: object, rows: RowCounts | int, **more: object) -> list[str]:
    return [problem.code for problem in recipe_problems(recipe, rows, **more) if not problem.refuses]


def recipe(**knobs: object) -> Recipe:
    return Recipe.model_validate(knobs)


def source(base_model: str = "tiny-base", **training: object) -> dict[str, object]:
    """The first configuration of the sources, with other training keys and a base that can be trained."""
    own = FINE_TUNING["fine_tuning"]
    return {"fine_tuning": {**own, "base_model": base_model, "training": {**own["training"], **training}}}


# ---- the sources' own configurations ---------------------------------------------------------------------------------
def test_the_first_configuration_of_the_sources_is_refused_at_100_rows_with_its_reasons():
    assert refusals(source(eval_steps=100, save_steps=1000), 100) == [
        "warmup_never_ends",
        "evaluation_never_happens",
        "saving_never_happens",
        "learning_rate_against_method",
    ]
    assert refusals(FINE_TUNING, 100) == [
        "base_model_not_trainable",
        "warmup_never_ends",
        "learning_rate_against_method",
    ]


def test_the_reasons_name_the_numbers():
    told = "\n".join(problem.message for problem in recipe_problems(source(eval_steps=100), 90))
    assert "warmup_steps is 500 and the run has 9 steps (90 examples, 32 at a time, 3 epochs)" in told
    assert "eval_steps is 100 and the run has 9 steps" in told
    assert "learning_rate is 2e-05 under method lora" in told
    assert "90 examples, 910 fewer than the 1,000 recommended" in told


def test_the_second_configuration_of_the_sources_is_refused_at_100_rows_with_its_reasons():
    assert refusals(FINETUNING, 100) == ["base_model_not_pinned", "learning_rate_against_method"]
    assert warnings(FINETUNING, 100) == ["rows_under_recommended"]


def test_the_first_configuration_mended_as_it_was_told_is_accepted():
    mended = source(learning_rate=2e-4, warmup_steps=0.05)
    assert refusals(mended, 100) == []
    assert recipe_problems(mended, 1_000) == []


# ---- what should not be refused --------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
@pytest.mark.parametrize("approach", ["sft", "dpo", "kto", "sft+dpo"])
def test_the_defaults_of_every_approach_and_method_train_on_a_thousand_rows(approach, method):
    assert recipe_problems(recipe(approach=approach, method=method), 1_000) == []


def test_a_hundred_rows_are_few_and_not_refused():
    assert refusals(recipe(), 100) == []


@pytest.mark.parametrize("base", ["tiny-base", {"path": "models/mine"}, {"hub": "owner/name", "revision": COMMIT}])
def test_a_base_that_can_be_trained_says_nothing(base):
    assert recipe_problems(recipe(), 1_000, base_model=base) == []


def test_warm_up_steps_up_to_a_tenth_of_a_long_run_are_fine():
    assert recipe_problems(source(learning_rate=1e-4, warmup_steps=500), 60_000) == []


# ---- one reason each -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("knobs", "rows", "code"),
    [
        ({"warmup_steps": 375}, 1_000, "warmup_never_ends"),
        ({"warmup_steps": 38}, 1_000, "warmup_over_a_tenth"),
        ({"eval_steps": 376}, 1_000, "evaluation_never_happens"),
        ({"eval_steps": 100, "save_steps": 400}, 1_000, "saving_never_happens"),
        ({"learning_rate": 4e-5}, 1_000, "learning_rate_against_method"),
        ({"method": "qlora", "learning_rate": 2e-5}, 1_000, "learning_rate_against_method"),
        ({"method": "full", "learning_rate": 2e-4}, 1_000, "learning_rate_against_method"),
        ({}, 0, "no_rows"),
        ({}, RowCounts(examples=99, least={"sft": 100}), "rows_under_floor"),
        ({}, RowCounts(examples=1_000, validation_examples=0), "no_validation_rows"),
        ({"approach": "dpo"}, RowCounts(examples=1_000), "no_rows"),
        ({"approach": "sft+dpo"}, RowCounts(examples=1_000, pairs=3, least={"dpo": 50}), "rows_under_floor"),
        ({"approach": "kto"}, RowCounts(liked=2_000), "one_kind_of_thumb"),
    ],
)
def test_a_run_that_cannot_succeed_is_refused_by_name(knobs, rows, code):
    assert code in refusals(recipe(**knobs), rows)


@pytest.mark.parametrize(
    ("knobs", "rows", "code"),
    [
        ({}, 999, "rows_under_recommended"),
        ({}, 10, "few_evaluations"),
        ({"eval_steps": 100}, 1_000, "few_evaluations"),
        ({"approach": "kto"}, RowCounts(liked=1_800, disliked=200), "thumbs_out_of_balance"),
    ],
)
def test_what_is_only_a_pity_warns(knobs, rows, code):
    assert code in warnings(recipe(**knobs), rows)
    assert refusals(recipe(**knobs), rows) == []


def test_a_recorded_reason_answers_for_the_rate_and_for_a_long_warm_up():
    reasons = {"learning_rate": "continues an adapter", "warmup_ratio": "the schedule of a paper"}
    assert recipe_problems(recipe(learning_rate=2e-5, warmup_steps=60, outside_range=reasons), 1_000) == []


def test_the_weight_that_balances_the_thumbs_is_named_and_balances_them():
    rows = RowCounts(liked=1_800, disliked=200)
    problem = next(found for found in recipe_problems(recipe(approach="kto"), rows) if found.key)
    weight = float(problem.message.split("desirable_weight: ")[1].split()[0])
    assert recipe_problems(recipe(approach="kto", desirable_weight=weight), rows) == []


def test_packing_makes_fewer_steps_than_rows_suggest():
    written = recipe(eval_steps=20)
    assert refusals(written, RowCounts(examples=1_000)) == []
    assert refusals(written, RowCounts(examples=1_000, steps={"sft": 12})) == ["evaluation_never_happens"]


def test_an_accumulation_that_does_not_divide_by_the_devices_is_refused_by_name():
    (problem,) = divides_by_devices(recipe(gradient_accumulation_steps=8), 3)
    assert problem.refuses and problem.code == "accumulation_not_divisible"
    assert "gradient_accumulation_steps is 8 and there are 3 devices" in problem.message
    assert divides_by_devices(recipe(gradient_accumulation_steps=8), 4) == []


@pytest.mark.parametrize(
    ("base", "code"),
    [
        ("gpt-4", "base_model_not_trainable"),
        ("llama-3.1-8b", "base_model_not_pinned"),
        ({"hub": "owner/name", "revision": "main"}, "base_model_not_pinned"),
        ("nobody-knows", "base_model_unknown"),
        (7, "base_model_unknown"),
    ],
)
def test_a_base_that_cannot_be_trained_is_refused_by_name(base, code):
    assert refusals(recipe(), 1_000, base_model=base) == [code]


def test_rows_longer_than_the_base_can_read_are_refused():
    assert refusals(recipe(max_length=2048), 1_000, base_model="tiny-base") == ["max_length_over_context"]


def test_knobs_that_make_no_recipe_are_told_with_the_base():
    found = refusals({"learning_rate": 3e-3, "r": 9999, "num_train_epochs": 9}, 100, base_model="gpt-4")
    assert found == ["outside_range", "outside_range", "outside_range", "base_model_not_trainable"]
    assert refusals({"lr": 1e-4, "seed": "x"}, 100) == ["value_not_allowed", "unknown_key"]
