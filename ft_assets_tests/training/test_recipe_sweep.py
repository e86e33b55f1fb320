from typing import Any

import pytest

from ft_assets.errors import BadConfiguration
from ft_assets.training.preflight_recipe import recipe_problems
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_overrides import with_overrides
from ft_assets.training.recipe_sweep import SWEPT, WHY_NOT_SWEPT, swept_values, trial_recipes

GRID = {"search": "grid", "knobs": {"r": [4, 8], "learning_rate": [1e-4, "2e-4"]}, "trials": 4, "budget_trainings": 3}
DRAWN = {
    "knobs": {"learning_rate": {"low": "1e-5", "high": 2e-4}, "r": {"low": 4, "high": 64}, "use_dora": [True, False]},
    **{"trials": 9, "budget_trainings": 4, "seed": 3},
}


def refusal(sweep: dict[str, Any], **knobs: Any) -> tuple[str, str]:
    """Code and message of the only problem of a recipe with that sweep."""
    (problem,) = recipe_problems({**knobs, "sweep": sweep}, 1_000)
    assert problem.key[0] == "sweep"
    return problem.code, problem.message


def test_a_grid_is_every_combination_in_the_order_in_which_it_is_written() -> None:
    recipe = Recipe(weight_decay=0.05, sweep=GRID)
    trials = trial_recipes(recipe)
    assert [(each.r, each.learning_rate) for each in trials] == [(4, 1e-4), (4, 2e-4), (8, 1e-4), (8, 2e-4)]
    assert trials[1] == Recipe(weight_decay=0.05, r=4, learning_rate=2e-4), "a trial is the recipe written by hand"
    assert trials[1].digest() == Recipe(weight_decay=0.05, r=4, learning_rate=2e-4).digest()
    assert swept_values(recipe, trials[1]) == {"r": 4, "learning_rate": 2e-4}


def test_draws_come_from_the_sweep_s_seed_and_lie_within_their_span() -> None:
    drawn = trial_recipes(Recipe(sweep=DRAWN))
    assert drawn == trial_recipes(Recipe(sweep=DRAWN)) != trial_recipes(Recipe(sweep={**DRAWN, "seed": 4}))
    assert len({each.digest() for each in drawn}) == 9
    assert all(1e-5 <= each.learning_rate <= 2e-4 and 4 <= each.r <= 64 for each in drawn)
    assert drawn[:5] == trial_recipes(Recipe(sweep={**DRAWN, "trials": 5, "budget_trainings": 4}))


def test_a_sweep_is_part_of_the_digest_and_a_recipe_without_keeps_the_one_it_had() -> None:
    assert Recipe().digest() == Recipe(sweep={}).digest()
    digests = {Recipe(sweep=sweep).digest() for sweep in ({}, GRID, DRAWN, {**GRID, "budget_trainings": 2.5})}
    assert len(digests) == 4
    assert Recipe(sweep={**GRID, "eta": 3}).digest() == Recipe(sweep=GRID).digest(), "a default that is written out"


def test_under_two_stages_the_second_one_is_swept_and_the_first_is_the_same_for_all() -> None:
    sweep = {"search": "grid", "knobs": {"dpo.learning_rate": ["1e-6", "5e-6"]}, "trials": 2, "budget_trainings": 2}
    recipe = Recipe(approach="sft+dpo", dpo={"beta": 0.2}, sweep=sweep)
    first, second = zip(*(each.stages() for each in trial_recipes(recipe)), strict=True)
    assert first[0] == first[1] == recipe.stages()[0]
    assert [(each.learning_rate, each.beta) for each in second] == [(1e-6, 0.2), (5e-6, 0.2)]
    assert [swept_values(recipe, each) for each in trial_recipes(recipe)][1] == {"dpo.learning_rate": 5e-6}


def test_a_sweep_reads_back_from_its_dump_and_an_override_can_take_it_away() -> None:
    recipe = Recipe(sweep=GRID)
    assert Recipe.model_validate(recipe.model_dump()).digest() == recipe.digest()
    assert with_overrides(recipe, {"sweep": None}) == Recipe()
    with pytest.raises(BadConfiguration, match=r"sweep.budget_trainings is 1.1, and 4 trials .* cost 1\.33"):
        with_overrides(recipe, {"sweep": {**GRID, "budget_trainings": 1.1}})


def test_every_knob_can_be_swept_or_says_why_not() -> None:
    others = {"dpo", "sweep", "outside_range"}
    assert set(SWEPT) | set(WHY_NOT_SWEPT) | others == set(Recipe.model_fields)
    assert not set(SWEPT) & set(WHY_NOT_SWEPT)


@pytest.mark.parametrize(
    ("sweep", "knobs", "code", "told"),
    [
        ({"knobs": {"lerning_rate": [1e-4]}}, {}, "unknown_key", "sweep.knobs.lerning_rate: unknown key; write learn"),
        ({"knobs": {"seed": [1, 2]}}, {}, "not_swept", "luck"),
        ({"knobs": {"beta": [0.1, 0.2]}}, {"approach": "dpo"}, "not_swept", "could not be compared"),
        ({"knobs": {"max_length": [512, 1024]}}, {}, "not_swept", "could not be compared"),
        ({"knobs": {"per_device_train_batch_size": [2, 4]}}, {"approach": "kto"}, "not_swept", "KL term"),
        ({"knobs": {"r": [4, 8]}}, {"method": "full"}, "no_effect", "no effect under method full"),
        ({"knobs": {"r": [4, 512]}}, {}, "outside_range", "sweep.knobs.r: with r: 512: r is 512, allowed 4 to 256"),
        ({"knobs": {"r": [4, "many"]}}, {}, "value_not_allowed", "allowed: a whole number"),
        ({"knobs": {"r": 4}}, {}, "value_not_allowed", "sweep.knobs.r.values: found 4 (int), allowed: a list"),
        ({"knobs": {"r": []}}, {}, "value_not_allowed", "found no value"),
        ({"knobs": {}}, {}, "value_not_allowed", "at least 1"),
        ({"knobs": {"r": {"low": 4, "high": 8}}}, {}, "value_not_allowed", "allowed under grid: a list"),
        ({"knobs": {"r": {"lo": 4, "low": 4, "high": 8}}}, {}, "unknown_key", "unknown key; write low"),
        ({"search": "random", "knobs": {"r": {"low": 8, "high": 4}}}, {}, "value_not_allowed", "low below high"),
        (
            {"search": "random", "knobs": {"weight_decay": {"low": 0, "high": 0.1}}},
            {},
            "value_not_allowed",
            "scale: linear",
        ),
        ({"search": "random", "knobs": {"r": {"low": 4, "high": 512}}}, {}, "outside_range", "512"),
        ({"search": "random", "knobs": {"r": [4, 8]}}, {}, "trials_do_not_fit", "2 combinations"),
        ({"knobs": {"r": [4, 8, 16, 32, 64]}}, {}, "trials_do_not_fit", "allowed: 2 to 4. Raise trials"),
        ({"knobs": {"r": [4]}}, {}, "trials_do_not_fit", "Add values"),
        ({"knobs": {"r": ["4", 4]}}, {}, "trials_alike", "trials 1 and 2 are the same training"),
        ({"knobs": {"r": [4, 8, 16, 32]}, "budget_trainings": 1.2}, {}, "budget_too_small", "1.33 full trainings"),
        ({"knobs": {"r": [4, 8]}, "budget_trainings": 1}, {}, "value_not_allowed", "greater than 1"),
        ({"knobs": {"r": [4, 8]}, "etta": 3}, {}, "unknown_key", "write eta"),
        ({"knobs": {"r": [4, 8]}}, {"approach": "sft+dpo"}, "not_swept", "Sweep it under sft"),
        ({"knobs": {"learning_rate": [1e-4]}}, {"approach": "sft+dpo"}, "not_swept", "Write dpo.learning_rate"),
        ({"knobs": {"dpo.learning_rate": [1e-4]}}, {}, "unknown_key", "write learning_rate"),
        ({"knobs": {"dpo.weight_decay": [0, 0.5]}}, {"approach": "sft+dpo"}, "outside_range", "weight_decay is 0.5"),
    ],
)
def test_a_slip_is_refused_at_its_place_with_the_way_out(
    sweep: dict[str, Any], knobs: dict[str, Any], code: str, told: str
) -> None:
    found = refusal({"search": "grid", "trials": 4, "budget_trainings": 3, **sweep}, **knobs)
    assert found[0] == code and told in found[1]


def test_two_knobs_that_are_a_range_together_are_judged_together() -> None:
    sizes = {"per_device_train_batch_size": [1, 4], "gradient_accumulation_steps": [8, 2]}
    sweep = {"search": "grid", "knobs": sizes, "trials": 4, "budget_trainings": 3}
    code, told = refusal(sweep)
    assert code == "outside_range" and "effective_batch is 2" in told
    reason = {"effective_batch": "few rows"}
    assert [each.effective_batch for each in trial_recipes(Recipe(sweep=sweep, outside_range=reason))] == [8, 2, 32, 8]
