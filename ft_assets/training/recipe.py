"""How an adapter is trained: every knob with its range, and the intervals that follow from the number of steps.

Light on purpose (pydantic only): the specialization loader and the Dagster config read it at load time.
A knob keeps the name it has in transformers, peft or trl, so that a search finds its manual.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# What SFT of an adapter may use without saying why. Outside it a recipe must record a reason under `outside_range`.
RANGES: dict[str, tuple[float, float]] = {
    "learning_rate": (1e-5, 2e-4),
    "num_train_epochs": (1, 5),
    "effective_batch": (4, 32),  # per_device_train_batch_size x gradient_accumulation_steps, in packed rows
    "warmup_ratio": (0.03, 0.10),
    "weight_decay": (0.0, 0.1),
    "r": (4, 256),
    "lora_dropout": (0.0, 0.1),
}
ATTENTION_MODULES = "q_proj,k_proj,v_proj,o_proj"
EVALUATIONS_PER_PATIENCE = 3
MOST_WARMUP_FRACTION = 0.10


class SftRecipe(BaseModel):
    """Supervised fine-tuning of a LoRA adapter. Plain fields only, so that a Dagster config can inherit them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["lora"] = Field("lora", description="Only lora today; qlora and full are not built yet.")
    r: int = Field(8, ge=1, description="Rank of the adapter matrices.")
    lora_alpha: int | None = Field(None, ge=1, description="Scale of the adapter; empty means twice r.")
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the adapter's first matrix.")
    target_modules: str = Field(
        ATTENTION_MODULES, description="'all-linear', or module names with commas between them. Never lm_head."
    )
    learning_rate: float = Field(2e-4, gt=0, description="Peak rate after warm-up.")
    num_train_epochs: int = Field(3, ge=1, description="Passes over the train side, unless early stopping ends it.")
    per_device_train_batch_size: int = Field(1, ge=1, description="Packed rows of max_length tokens in one forward.")
    gradient_accumulation_steps: int = Field(8, ge=1, description="Forwards per optimizer step.")
    lr_scheduler_type: Literal["cosine", "linear", "constant_with_warmup"] = Field(
        "cosine", description="Shape of the learning rate after warm-up."
    )
    warmup_ratio: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decay of the adapter's weights.")
    max_length: int = Field(1024, ge=16, description="Tokens of a packed row. A longer example is refused, never cut.")
    seed: int = Field(0, ge=0, description="Seed of initialisation, data order and dropout.")
    early_stopping_patience: int = Field(3, ge=1, description="Evaluations without improvement before it stops.")
    early_stopping_threshold: float = Field(
        0.01, ge=0, description="Least fall of the validation loss, in nats per token, that counts as improvement."
    )
    outside_range: dict[str, str] = Field(
        default_factory=dict, description="Knobs that leave their range on purpose, each with its reason."
    )

    @field_validator("method", mode="before")
    @classmethod
    def _only_lora_is_built(cls, value: object) -> object:
        if value in ("qlora", "full"):
            raise ValueError(
                f"method is '{value}', allowed: lora. qlora and full are not built yet; write method: lora."
            )
        return value

    @field_validator("target_modules")
    @classmethod
    def _names_trainable_modules(cls, value: str) -> str:
        names = [name.strip() for name in value.split(",")]
        if not all(names) or "lm_head" in names or "embed_tokens" in names:
            raise ValueError(
                f"target_modules is '{value}', allowed: all-linear, or names such as {ATTENTION_MODULES}. "
                "peft cannot adapt lm_head or embed_tokens of a model that ties them."
            )
        return ",".join(names)

    @model_validator(mode="after")
    def _is_in_range_or_says_why(self) -> Self:
        problems = [*self._unusable_reasons(), *self._unexplained_values()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _unusable_reasons(self) -> list[str]:
        unknown = sorted(set(self.outside_range) - set(RANGES))
        empty = sorted(key for key, reason in self.outside_range.items() if not reason.strip())
        return [
            *(f"outside_range names '{key}', which has no range (known: {', '.join(RANGES)})" for key in unknown),
            *(f"outside_range.{key} is empty; write the reason, it goes into the decision log" for key in empty),
        ]

    def _unexplained_values(self) -> list[str]:
        return [
            f"{key} is {getattr(self, key):g}, allowed {low:g} to {high:g}; "
            f"if that is meant, record why: outside_range: {{{key}: <reason>}}"
            for key, (low, high) in RANGES.items()
            if not low <= getattr(self, key) <= high and key not in self.outside_range
        ]

    @property
    def effective_batch(self) -> int:
        """Packed rows per optimizer step."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    @property
    def alpha(self) -> int:
        """`lora_alpha`, or twice `r` where the recipe leaves it empty."""
        return self.lora_alpha if self.lora_alpha is not None else 2 * self.r

    def digest(self) -> str:
        """SHA-256 over every knob that changes the weights. A reworded reason under `outside_range` changes nothing."""
        knobs = {**{key: getattr(self, key) for key in SftRecipe.model_fields}, "lora_alpha": self.alpha}
        del knobs["outside_range"]
        return hashlib.sha256(json.dumps(knobs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class Intervals:
    """When a run evaluates, saves and logs, and how long it warms up: all in optimizer steps."""

    eval_steps: int
    save_steps: int
    logging_steps: int
    warmup_steps: int


def derive_intervals(steps: int, epochs: int, patience: int, warmup_ratio: float = 0.05) -> Intervals:
    """Intervals that fire on small data too: at least max(epochs, 3 x patience) evaluations, a checkpoint at each.

    `steps` counts optimizer steps of the whole run. A run with fewer steps than evaluations evaluates at every step.
    Warm-up never exceeds a tenth of the steps, so under ten steps there is none.

    Raises:
        ValueError: `steps` is below 1; there is nothing to train.
    """
    if steps < 1:
        raise ValueError(f"a run of {steps} optimizer steps trains nothing; give it at least one row and one epoch")
    evaluations = max(epochs, EVALUATIONS_PER_PATIENCE * patience)
    eval_steps = max(1, steps // evaluations)
    warmup_steps = min(math.ceil(steps * warmup_ratio), int(steps * MOST_WARMUP_FRACTION))
    logging_steps = max(1, min(eval_steps, steps // 50))
    return Intervals(
        eval_steps=eval_steps, save_steps=eval_steps, logging_steps=logging_steps, warmup_steps=warmup_steps
    )
