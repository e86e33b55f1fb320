"""What can be read again from `training_log.json` in a trained model's artifact."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TRAINING_LOG = "training_log.json"
PREFERENCE_FIGURES = {
    "eval_rewards/margins": "preference margin (nats, times beta)",
    "eval_rewards/accuracies": "preference accuracy",
}


def preferences_in(folder: Path) -> dict[str, float]:
    """Margin and accuracy on validation pairs at the lowest validation loss; empty for a training by SFT alone.

    A KTO training has a margin and no accuracy: its answers stand alone.
    """
    log = json.loads((folder / TRAINING_LOG).read_text())
    entries = list(log.values())[-1] if isinstance(log, Mapping) else log
    looks: list[Mapping[str, Any]] = [entry for entry in entries if "eval_loss" in entry]
    best = min(looks, key=lambda entry: float(entry["eval_loss"]), default={})
    return {told: float(best[name]) for name, told in PREFERENCE_FIGURES.items() if name in best}
