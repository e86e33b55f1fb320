"""What can be read again from `training_log.json` in a trained model's artifact."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ft_assets.errors import IncompleteArtifact

TRAINING_LOG = "training_log.json"
PREFERENCE_FIGURES = {
    "eval_rewards/margins": "preference margin (nats, times beta)",
    "eval_rewards/accuracies": "preference accuracy",
}


def preferences_in(folder: Path) -> dict[str, float]:
    """Margin and accuracy on validation pairs at the lowest validation loss; empty for a training by SFT alone.

    A KTO training has a margin and no accuracy: its answers stand alone. Empty too for a model that came without a
    log, because others trained it: what nobody measured is no reason to refuse a report about its answers.

    Raises:
        IncompleteArtifact: the log is no JSON.
    """
    log = _log_in(folder)
    entries = list(log.values())[-1] if isinstance(log, Mapping) else log
    looks: list[Mapping[str, Any]] = [entry for entry in entries if "eval_loss" in entry]
    best = min(looks, key=lambda entry: float(entry["eval_loss"]), default={})
    return {told: float(best[name]) for name, told in PREFERENCE_FIGURES.items() if name in best}


def _log_in(folder: Path) -> Any:
    path = folder / TRAINING_LOG
    if not path.is_file():
        return []
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise IncompleteArtifact(
            f"{path} is no JSON ({error}), so what the model reached on the validation side cannot be told. "
            "Train the model again."
        ) from error
