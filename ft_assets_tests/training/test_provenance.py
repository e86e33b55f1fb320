import pytest

from ft_assets.training import provenance
from ft_assets.training.provenance import code_version, stage_ids, training_id
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


def test_a_training_does_not_go_on_under_other_libraries(monkeypatch: pytest.MonkeyPatch):
    before = training_id("snapshot", Recipe(), "base")
    versions = {**provenance.library_versions(), "trl": "0.0.1"}
    monkeypatch.setattr(provenance, "library_versions", lambda: versions)
    assert training_id("snapshot", Recipe(), "base") != before


def test_another_second_stage_goes_on_from_the_same_first_one():
    plain = stage_ids("snapshot", Recipe(), "base")
    both = stage_ids("snapshot", Recipe(approach="sft+dpo"), "base")
    other = stage_ids("snapshot", Recipe(approach="sft+dpo", dpo={"beta": 0.3}), "base")
    assert list(both) == ["sft", "dpo"]
    assert plain["sft"] == both["sft"] == other["sft"]
    assert both["dpo"] != other["dpo"]
    assert both["dpo"] != stage_ids("snapshot", Recipe(approach="sft+dpo", r=16), "base")["dpo"]
    assert both["dpo"] != stage_ids("snapshot", Recipe(approach="dpo"), "base")["dpo"]
