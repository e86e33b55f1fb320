from ft_assets.training.provenance import code_version, training_id
from ft_assets.training.recipe import Recipe


def test_a_training_id_changes_with_snapshot_recipe_seed_and_base():
    recipe = Recipe()
    ids = {
        training_id("snapshot", recipe, "base"),
        training_id("other", recipe, "base"),
        training_id("snapshot", Recipe(seed=1), "base"),
        training_id("snapshot", Recipe(r=16), "base"),
        training_id("snapshot", recipe, "other"),
    }
    assert len(ids) == 5
    assert training_id("snapshot", Recipe(), "base") in ids


def test_the_code_version_is_a_digest_that_stays():
    assert code_version() == code_version()
    assert len(code_version()) == 64
