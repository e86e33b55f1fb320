import json
from pathlib import Path
from typing import Any

import pytest

from ft_assets.errors import IncompleteArtifact
from ft_assets.training.training_log import preferences_in


def written(folder: Path, log: Any) -> Path:
    (folder / "training_log.json").write_text(json.dumps(log))
    return folder


def look(step: int, loss: float, **metrics: float) -> dict[str, float]:
    return {"step": step, "eval_loss": loss, **{f"eval_rewards/{name}": value for name, value in metrics.items()}}


def test_preference_figures_are_those_of_the_best_checkpoint_of_the_last_stage(tmp_path: Path) -> None:
    pairs = [look(0, 0.69, margins=0.0, accuracies=0.5), look(4, 0.3, margins=1.5, accuracies=0.9), look(8, 0.4)]
    log = {"sft": [look(2, 0.1)], "dpo": [{"step": 1, "loss": 0.6}, *pairs]}
    figures = {"preference margin (nats, times beta)": 1.5, "preference accuracy": 0.9}
    assert preferences_in(written(tmp_path, log)) == figures
    assert preferences_in(written(tmp_path, pairs)) == figures


def test_a_training_by_sft_has_no_preference_figures(tmp_path: Path) -> None:
    assert preferences_in(written(tmp_path, [look(2, 0.1)])) == {}


def test_a_model_without_a_log_has_no_figures_and_one_with_a_torn_log_is_refused(tmp_path: Path) -> None:
    assert preferences_in(tmp_path) == {}
    (tmp_path / "training_log.json").write_text('{"sft": [')
    with pytest.raises(IncompleteArtifact, match=r"training_log\.json is no JSON"):
        preferences_in(tmp_path)
