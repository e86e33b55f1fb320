import pytest

from ft_assets.errors import BadConfiguration
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_overrides import with_overrides

LINE = Recipe.model_validate({"approach": "sft+dpo", "r": 16, "dpo": {"beta": 0.2, "num_train_epochs": 2}})


def refusal(**overrides: object) -> str:
    with pytest.raises(BadConfiguration) as refused:
        with_overrides(LINE, overrides)
    return str(refused.value)


def test_without_overrides_the_recipe_is_the_line_s_own():
    assert with_overrides(LINE, {}) == LINE


def test_a_knob_is_replaced_and_the_rest_stays():
    changed = with_overrides(LINE, {"seed": 1})
    assert (changed.seed, changed.r, changed.stages()[1].beta) == (1, 16, 0.2)


def test_another_method_brings_its_own_defaults_once_the_adapter_s_knobs_are_taken_back():
    changed = with_overrides(LINE, {"method": "full", "r": None})
    assert (changed.method, changed.learning_rate) == ("full", 2e-5)


def test_the_second_stage_and_the_reasons_are_changed_key_by_key():
    changed = with_overrides(LINE, {"dpo": {"beta": 0.9, "num_train_epochs": None, "outside_range": {"beta": "why"}}})
    second = changed.stages()[1]
    assert (second.beta, second.num_train_epochs) == (0.9, 1)
    line = Recipe(r=2, outside_range={"r": "tiny"})
    both = with_overrides(line, {"learning_rate": 1e-3, "outside_range": {"learning_rate": "a trial"}})
    assert both.outside_range == {"r": "tiny", "learning_rate": "a trial"}


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ({"base_model": "llama-3.1-8b"}, "base_model: cannot be overridden for one run"),
        ({"approach": "sft"}, "approach: cannot be overridden for one run"),
        ({"learnign_rate": 1e-4}, "learnign_rate: unknown key; write learning_rate"),
        ({"epochs": 2}, "epochs: unknown key; write num_train_epochs"),
        ({"zzz": 2}, "zzz: unknown key; allowed here: method, r, lora_alpha"),
        ({"zzz": None}, "zzz: unknown key"),
        ({"r": "sixteen"}, "r: found 'sixteen' (text), allowed: a whole number"),
        ({"learning_rate": 0.5}, "learning_rate is 0.5, allowed 1e-05 to 0.0002"),
        ({"method": "full"}, "r has no effect under method full"),
        ({"dpo": 3}, "dpo: found 3 (int), allowed: keys with values"),
        ({"dpo": {"beta": 7}}, "dpo: beta is 7, allowed 0.1 to 0.5"),
    ],
)
def test_an_override_that_cannot_be_is_refused_with_key_found_and_allowed(overrides, told):
    assert told in refusal(**overrides)


def test_all_that_is_wrong_with_the_overrides_is_told_at_once():
    message = refusal(base_model="x", zzz=1, seed=-1)
    assert all(f"  - {key}:" in message for key in ("base_model", "zzz", "seed"))
