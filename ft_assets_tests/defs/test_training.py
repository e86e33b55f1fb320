"""What stops a training before anything is loaded."""

import pytest

from ft_assets.defs.conventions import SPECIALIZATIONS
from ft_assets.defs.training import refuse_senseless, refuse_what_is_not_built
from ft_assets.errors import BadConfiguration
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_overrides import with_overrides

LINE = SPECIALIZATIONS["software-developer"]


def test_the_shipped_line_may_train_and_hears_how_few_rows_it_has() -> None:
    refuse_what_is_not_built(LINE.recipe)
    (warning,) = refuse_senseless(LINE, LINE.recipe, 692, 80)
    assert warning.startswith("rows_under_recommended")
    assert "692" in warning


@pytest.mark.parametrize("asked", [{"method": "qlora"}, {"method": "full"}, {"approach": "dpo"}])
def test_what_cannot_be_trained_yet_is_refused_and_never_trained_as_something_else(asked: dict[str, str]) -> None:
    with pytest.raises(BadConfiguration, match="only sft with lora is trained today"):
        refuse_what_is_not_built(Recipe.model_validate(asked))


def test_a_senseless_recipe_is_refused_with_its_named_reasons() -> None:
    low = with_overrides(LINE.recipe, {"learning_rate": 2e-5, "outside_range": {"learning_rate": None}})
    with pytest.raises(BadConfiguration, match=r"senseless.*learning_rate_against_method"):
        refuse_senseless(LINE, low, 692, 80)
    with pytest.raises(BadConfiguration, match="rows_under_floor"):
        refuse_senseless(LINE, LINE.recipe, 99, 11)
