import json
import shutil
from pathlib import Path

import pytest

from ft_assets.chat import Chat
from ft_assets.training.preflight import Preflight, preflight
from ft_assets.training.preflight_tokens import packed_count
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets.training.training_device import TrainingDevice
from ft_assets_tests.training.samples import (
    BASE,
    commit_rows,
    needs_base,
    preference_pairs,
    preference_recipe,
    tiny_recipe,
)

pytestmark = [pytest.mark.torch, needs_base]
ROWS = TrainingRows(SideRows(commit_rows(30, 1)), SideRows(commit_rows(4, 2)))
CARD = TrainingDevice("cuda", "a card", 1, 1e12, 10**9)


def looked_at(base: Path, tokens: Path) -> Preflight:
    return preflight(tiny_recipe(), ROWS, Chat(base), None, tokens, device=CARD)


def test_what_a_run_will_take_follows_from_the_tokens_that_were_counted(tmp_path):
    found = looked_at(BASE, tmp_path)
    assert found.expected is not None
    (counted,) = [each for each in found.sides if each.side == "train"]
    assert found.expected.tokens == sum(counted.lengths) * tiny_recipe().num_train_epochs
    assert found.expected.stages[0].question.learned_share == counted.learned / sum(counted.lengths)
    assert found.expected.hours is not None and found.expected.hours > 0


def test_each_of_two_stages_reads_its_own_rows_and_a_pair_is_two_conversations(tmp_path):
    recipe = preference_recipe("sft+dpo")
    train, validation = (
        SideRows(commit_rows(count, seed), preference_pairs(count, seed)) for count, seed in ((30, 1), (4, 2))
    )
    found = preflight(recipe, TrainingRows(train, validation), Chat(BASE), None, tmp_path, device=CARD)
    assert found.expected is not None
    sft, dpo = found.expected.stages
    lengths = {each.objective: each.lengths for each in found.sides if each.side == "train"}
    assert (len(lengths["sft"]), len(lengths["dpo"])) == (30, 60)
    assert sft.steps == recipe.stages()[0].steps(packed_count(lengths["sft"], 256)) < recipe.stages()[0].steps(30)
    assert dpo.steps == recipe.stages()[1].steps(30)
    assert (sft.tokens_per_epoch, dpo.tokens_per_epoch) == (sum(lengths["sft"]), sum(lengths["dpo"]))


def test_a_base_of_unknown_shape_is_a_warning_and_no_estimate(tmp_path):
    base = tmp_path / "base"
    shutil.copytree(BASE, base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "architectures": ["MixtralForCausalLM"]}))
    found = looked_at(base, tmp_path / "tokens")
    assert found.expected is None and not found.refusing
    (problem,) = [each for each in found.warnings if each.code == "memory_and_hours_unknown"]
    assert "MixtralForCausalLM" in problem.message
