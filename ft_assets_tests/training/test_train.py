"""Two stages, one artifact: DPO on top of the adapter that SFT made."""

import json
from pathlib import Path

import pytest

from ft_assets.lake import directory_digest
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets.training.result import TrainingResult
from ft_assets.training.stage_data import SideRows, TrainingRows
from ft_assets.training.train import train
from ft_assets_tests.training.samples import (
    BASE,
    TINY_REASONS,
    commit_rows,
    needs_base,
    preference_pairs,
    preference_recipe,
)

pytestmark = [pytest.mark.torch, needs_base]
SECOND = {"learning_rate": 1e-3, "gradient_accumulation_steps": 2, "outside_range": TINY_REASONS}


def trained(folder: Path, work: Path, **second: object) -> tuple[TrainingResult, list[dict]]:
    progress: list[dict] = []
    sides = [SideRows(commit_rows(count, seed), preference_pairs(count, seed)) for count, seed in ((16, 1), (4, 2))]
    result = train(
        base_dir=BASE,
        rows=TrainingRows(*sides),
        recipe=preference_recipe("sft+dpo", num_train_epochs=1, r=4, dpo={**SECOND, **second}),
        work_dir=work,
        checkpoints=lambda stage: CheckpointSaver(LocalCheckpoints(work / stage, "7" * 64)),
        out_dir=folder / "adapter",
        system_prompt=None,
        on_progress=progress.append,
        provenance={"snapshot": "5" * 64, "base_id": "tiny-base", "base_digest": "b" * 64},
    )
    return result, progress


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingResult, list[dict], Path]:
    folder = tmp_path_factory.mktemp("both")
    return *trained(folder, folder / "work"), folder


def test_the_artifact_is_one_adapter_with_the_log_of_each_stage(both: tuple[TrainingResult, list[dict], Path]) -> None:
    result, progress, folder = both
    texts = ["adapter_config.json", "provenance.json", "received.json", "training_log.json"]
    assert sorted(path.name for path in (folder / "adapter").iterdir()) == sorted([*texts, "adapter_model.safetensors"])
    assert not [name for name in texts if str(folder) in (folder / "adapter" / name).read_text()]
    logs = json.loads((folder / "adapter" / "training_log.json").read_text())
    assert logs == {stage.objective: stage.log_history for stage in result.stages}
    assert [stage.objective for stage in result.stages] == ["sft", "dpo"]
    assert {entry["stage"] for entry in progress} == {"sft", "dpo"}
    assert {key for entry in result.log_history for key in entry} >= {"step", "sft/eval_loss", "dpo/eval_loss"}
    assert result.tokens == sum(stage.tokens for stage in result.stages) > 0


def test_the_second_stage_starts_at_the_first_one_s_adapter(both: tuple[TrainingResult, list[dict], Path]) -> None:
    result, _, _ = both
    assert result.last.first_eval_loss == pytest.approx(0.6931, abs=0.01), "log 2: the policy is its reference"
    assert result.last.best_eval_loss < result.last.first_eval_loss


def test_a_run_after_the_end_trains_neither_stage_and_gives_the_same_artifact(
    both: tuple[TrainingResult, list[dict], Path], tmp_path: Path
) -> None:
    result, _, folder = both
    again, progress = trained(tmp_path, folder / "work")
    assert not [entry for entry in progress if "loss" in entry and not entry.get("earlier")]
    assert [stage.steps for stage in again.stages] == [stage.steps for stage in result.stages]
    assert directory_digest(tmp_path / "adapter") == directory_digest(folder / "adapter")
    assert not list((folder / "work").rglob("weights"))
