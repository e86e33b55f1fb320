import re

import pytest

from ft_assets.specializations.loader import load_specializations
from ft_assets_tests.specializations.samples import ROOT, SHIPPED, loaded, refusal, with_line


@pytest.mark.parametrize("approach", ["sft", "dpo", "kto", "sft+dpo"])
def test_the_recipe_of_a_line_follows_its_approach(tmp_path, approach):
    spec = loaded(tmp_path, f"approach: {approach}\n")
    assert (spec.approach, spec.recipe.approach) == (approach, approach)
    assert spec.recipe.learning_rate == (2e-4 if approach.startswith("sft") else 5e-6)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("approach: dpo\nrecipe: {approach: sft}\n", r":7: recipe: its approach is sft, and the line's is dpo"),
        (
            "approach: dpo\nrecipe: {learning_rate: 2e-4}\n",
            r":7: recipe: learning_rate is 0\.0002, allowed 1e-06 to 5e-05",
        ),
        (
            "approach: sft+dpo\nrecipe: {beta: 0.2}\n",
            r":7: recipe: beta has no effect in the SFT stage. Write it under dpo",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_the_approach_of_its_line_is_refused(tmp_path, extra, told):
    message = refusal(with_line(tmp_path, extra))
    assert re.search(r"  - qa-engineer\.yaml" + told, message), message


def test_the_shipped_lines_keep_the_digest_that_their_finished_trainings_are_known_by():
    recipes = {spec.recipe.digest() for spec in load_specializations(SHIPPED, ROOT).values()}
    assert recipes == {"2f15c5c04d5526c2ae930922d8916ffa3cd95db85429c279a43e7b5983303621"}
