"""Why each knob of a run has its value: where the value comes from, and what speaks for it. One line per knob."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_ranges import ranges_for

Origin = Literal["default", "chosen by the line", "this run"]

# What speaks for the default, or what to weigh when another value is chosen.
WHY: dict[str, str] = {
    "approach": "what the snapshot holds decides: examples, pairs, or answers with one thumb",
    "method": "an adapter needs an eighth of the memory of full fine-tuning and forgets less (Biderman et al. 2024)",
    "r": "4 to 16 carry what a few thousand examples teach",
    "lora_alpha": "twice the rank",
    "lora_dropout": "0.05 against learning few rows by heart",
    "target_modules": "every linear layer: attention alone learns less (Dettmers et al. 2023)",
    "use_rslora": "keeps the scale steady at high ranks only (Kalajdzievski 2023)",
    "use_dora": "slower, and better at low ranks (Liu et al. 2024)",
    "bnb_4bit_quant_type": "made for weights that are normally distributed (Dettmers et al. 2023)",
    "bnb_4bit_use_double_quant": "saves 0.37 bits a weight at no loss (Dettmers et al. 2023)",
    "bnb_4bit_compute_dtype": "the range of float32 at half of its size",
    "learning_rate": "follows from the method: 2e-4 for an adapter, 2e-5 full, 5e-6 for preferences",
    "num_train_epochs": "3 passes for examples, 1 for preferences; early stopping ends them sooner",
    "per_device_train_batch_size": "one packed row of max_length, so that attention's mask stays small",
    "gradient_accumulation_steps": "with the micro-batch it makes a batch of 4 to 32, 4 to 16 for pairs",
    "lr_scheduler_type": "cosine",
    "warmup_ratio": "a share of the steps, so that it ends in a run of any length",
    "warmup_steps": "a fixed number in place of the ratio; a tenth of the run at most",
    "optim": "AdamW, fused; the 8-bit forms save six bytes for each trained number",
    "weight_decay": "0 to 0.1",
    "max_grad_norm": "cuts off the rare batch whose gradient is far above the others",
    "gradient_checkpointing": "off: it costs a third more time, and packed short rows fit without",
    "max_length": "the longest example fits, or is refused; nothing is cut",
    "sweep": "several values are tried, and the validation side chooses",
    "seed": "the same rows, seed and machine give the same bytes",
    "eval_steps": "from the number of steps: at least max(epochs, 3 x patience) evaluations",
    "save_steps": "a checkpoint at each evaluation, so that the best one is kept",
    "logging_steps": "about fifty entries a run",
    "early_stopping_patience": "3 evaluations",
    "early_stopping_threshold": "0.01 of validation loss",
    "beta": "0.1: far enough from the reference to learn, near enough to stay fluent",
    "loss_type": "the loss of the paper",
    "label_smoothing": "0 unless labels are known to be noisy",
    "ld_alpha": "only against answers that win by length",
    "precompute_ref_log_probs": "the reference is asked once, and no second model is in memory",
    "disable_dropout": "otherwise the first margin is noise",
    "desirable_weight": "1, unless the two kinds of thumbs are far from balance",
    "undesirable_weight": "1, unless the two kinds of thumbs are far from balance",
    "dpo": "knobs of the second stage; the others follow its own objective",
}


@dataclass(frozen=True)
class KnobReason:
    """One knob with its value, where the value comes from, and why it is that."""

    key: str
    value: Any
    origin: Origin
    reason: str


def knob_reasons(recipe: Recipe, overrides: Mapping[str, Any]) -> list[KnobReason]:
    """Every knob with effect on one stage, in the recipe's order. `overrides` are those of this run's launch.

    A value outside its range has the reason that the recipe records for it; any other one that from `WHY`.
    """
    ranges = ranges_for(recipe.approach, recipe.method)
    found = []
    for key, value in recipe.knobs_with_effect().items():
        if overrides.get(key) is not None:
            origin: Origin = "this run"
        else:
            origin = "chosen by the line" if key in recipe.model_fields_set else "default"
        found.append(KnobReason(key, value, origin, _reason(key, recipe, ranges)))
    return found


def outside_ranges(recipe: Recipe) -> dict[str, str]:
    """Knobs of one stage whose value leaves its range, each with value, range and the reason that was recorded."""
    told = {}
    for key, (low, high) in ranges_for(recipe.approach, recipe.method).items():
        value = getattr(recipe, key)
        if not low <= value <= high:
            told[key] = f"{value:g}, outside {low:g} to {high:g}: {recipe.outside_range[key]}"
    return told


def _reason(key: str, recipe: Recipe, ranges: Mapping[str, tuple[float, float]]) -> str:
    outside = outside_ranges(recipe)
    batch = outside.get("effective_batch")
    if key in outside:
        return outside[key]
    if key in ("per_device_train_batch_size", "gradient_accumulation_steps") and batch:
        return f"effective batch {batch}"
    if key in ranges:
        low, high = ranges[key]
        return f"{WHY[key]}; within {low:g} to {high:g}"
    return WHY[key]
