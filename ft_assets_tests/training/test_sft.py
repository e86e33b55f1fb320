import hashlib
import json
import math
import shutil
from pathlib import Path

import pytest

from ft_assets.chat import Chat, load_model
from ft_assets.errors import BadConfiguration, BadInput, TrainingDiverged
from ft_assets.lake import directory_digest
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets.training.packed_rows import tokenised
from ft_assets.training.result import StageResult
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets.training.train import train
from ft_assets_tests.training.samples import BASE, TINY_REASONS, commit_rows, needs_base, tiny_recipe

pytestmark = [pytest.mark.torch, needs_base]

NOWHERE = CheckpointSaver(LocalCheckpoints(Path("nowhere"), "7" * 64))
NO_ROWS = TrainingRows(SideRows(), SideRows())
GIVEN = {"snapshot": "5" * 64, "base_id": "tiny-base", "base_digest": "b" * 64}


def sft(folder: Path, count: int = 60, progress: list | None = None, **knobs: object) -> StageResult:
    return train(
        base_dir=BASE,
        rows=TrainingRows(SideRows(commit_rows(count, 1)), SideRows(commit_rows(12, 2))),
        recipe=tiny_recipe(**knobs),
        work_dir=folder / "work",
        checkpoints=lambda stage: CheckpointSaver(LocalCheckpoints(folder / "work" / stage, "7" * 64)),
        out_dir=folder / "adapter",
        system_prompt="You write commit messages.",
        on_progress=(progress if progress is not None else []).append,
        provenance=GIVEN,
    ).last


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[StageResult, Path, list]:
    folder, progress = tmp_path_factory.mktemp("trained"), []
    return sft(folder, progress=progress), folder, progress


def test_sixty_rows_and_two_epochs_lower_the_perplexity_and_raise_the_token_accuracy(trained):
    result, _, _ = trained
    evaluations = [entry for entry in result.log_history if "eval_loss" in entry]
    assert math.exp(result.first_eval_loss - result.best_eval_loss) > 2
    assert evaluations[-1]["eval_mean_token_accuracy"] > evaluations[0]["eval_mean_token_accuracy"] + 0.05


def test_the_saved_adapter_on_the_base_is_the_model_that_was_validated(trained):
    import torch

    _, folder, _ = trained
    examples = tokenised(commit_rows(12, 2), "validation", Chat(BASE), "You write commit messages.", 256)

    def loss(adapter: Path | None) -> float:
        model = load_model(BASE, adapter)
        batches = ({key: torch.tensor([value]).to(model.device) for key, value in e.items()} for e in examples)
        with torch.no_grad():
            return sum(model(**batch).loss.item() for batch in batches) / len(examples)

    assert loss(folder / "adapter") < loss(None) - 0.5


def test_the_artifact_holds_five_files_and_no_path_of_this_machine(trained):
    _, folder, _ = trained
    adapter = folder / "adapter"
    texts = ["adapter_config.json", "provenance.json", "received.json", "training_log.json"]
    assert sorted(path.name for path in adapter.iterdir()) == sorted([*texts, "adapter_model.safetensors"])
    for name in texts:
        text = (adapter / name).read_text()
        assert str(folder) not in text
        assert str(BASE) not in text
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny-base"
    assert config["target_modules"] == sorted(config["target_modules"])


def test_the_provenance_names_what_the_adapter_was_made_from(trained):
    _, folder, _ = trained
    record = json.loads((folder / "adapter" / "provenance.json").read_text())
    assert {key: record[key] for key in GIVEN} == GIVEN
    assert (record["seed"], record["recipe"]["learning_rate"]) == (0, 3e-3)
    assert record["recipe_digest"] == tiny_recipe().digest()
    assert record["libraries"]["trl"][0].isdigit()
    assert record["device"]["kind"]


def test_the_run_evaluates_and_saves_as_often_as_its_intervals_say(trained):
    result, folder, progress = trained
    steps = [entry["step"] for entry in result.log_history if "eval_loss" in entry]
    assert steps[0] == 0
    assert len(steps) - 1 >= min(9, result.planned_steps)
    assert result.best_step in steps
    assert len(list((folder / "work" / "sft").glob("checkpoint-*"))) in (2, 3)
    assert [entry["step"] for entry in progress if "eval_loss" in entry] == steps
    assert all(entry["steps"] == result.planned_steps for entry in progress)


def test_the_same_seed_gives_the_same_artifact_and_another_seed_another_one(trained, tmp_path):
    _, folder, _ = trained
    sft(tmp_path / "again")
    sft(tmp_path / "other", seed=1)
    assert directory_digest(tmp_path / "again" / "adapter") == directory_digest(folder / "adapter")
    weights = [f / "adapter" / "adapter_model.safetensors" for f in (folder, tmp_path / "other")]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in weights}) == 2


def test_a_run_after_the_end_trains_nothing_and_gives_the_same_artifact(trained, tmp_path):
    result, folder, _ = trained
    shutil.copytree(folder / "work", tmp_path / "work")
    (tmp_path / "work" / "sft" / "checkpoint-999").mkdir()  # torn: never taken
    progress: list = []
    again = sft(tmp_path, progress=progress)
    assert directory_digest(tmp_path / "adapter") == directory_digest(folder / "adapter")
    assert (again.steps, again.best_step, again.train_loss) == (result.steps, result.best_step, result.train_loss)
    assert not [entry for entry in progress if "loss" in entry and not entry.get("earlier")]


def test_a_loss_that_is_not_a_number_stops_the_run_and_saves_nothing(tmp_path):
    with pytest.raises(TrainingDiverged, match="not finite at step"):
        sft(tmp_path, count=20, learning_rate=1e30, outside_range=TINY_REASONS)
    assert not (tmp_path / "adapter").exists()
    assert not list((tmp_path / "work").rglob("adapter_model.safetensors"))


def test_modules_or_a_length_that_the_base_does_not_have_are_refused(tmp_path):
    with pytest.raises(BadConfiguration, match=r"target_modules names qkv_proj.*k_proj"):
        sft(tmp_path, count=4, target_modules="qkv_proj,o_proj")
    with pytest.raises(BadConfiguration, match="reads 1024 tokens at most"):
        sft(tmp_path, count=4, max_length=4096)


def test_an_adapter_that_could_not_be_traced_is_not_trained(tmp_path):
    with pytest.raises(BadInput, match="provenance lacks base_id, base_digest"):
        train(BASE, NO_ROWS, tiny_recipe(), tmp_path, lambda _: NOWHERE, tmp_path, None, print, {"snapshot": "s"})
