"""How a model is trained: every knob with its default and its range, for SFT, DPO, KTO, and SFT followed by DPO.

Light on purpose (pydantic only): the specialization loader and the Dagster config read it at load time.
A knob keeps the name it has in transformers, peft, trl or bitsandbytes, so that a search finds its manual. Sections 4
and 13 of the specification hold the numbers; what depends on objective and method stands in `recipe_ranges.py`.
"""

import hashlib
import json
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, field_validator, model_validator

from ft_assets.training.intervals import Intervals, derive_intervals
from ft_assets.training.problem import RecipeRefused
from ft_assets.training.recipe_checks import problems_of
from ft_assets.training.recipe_ranges import (
    CARRIED_ON,
    ONE_FOR_BOTH_STAGES,
    Approach,
    Method,
    Objective,
    defaults_for,
    stages_of,
    why_without_effect,
)
from ft_assets.training.recipe_sweep import Sweep

ATTENTION_MODULES = "q_proj,k_proj,v_proj,o_proj"
# Knobs that came after the first adapters, each with the value that trains as it did before the knob existed. At that
# value they stay out of the digest, so that no finished training looks like a new one. Never change a value here.
AS_BEFORE_IT_EXISTED: dict[str, Any] = {
    "approach": "sft",
    "use_rslora": False,
    "use_dora": False,
    "optim": "adamw_torch_fused",
    "max_grad_norm": 1.0,
    "gradient_checkpointing": False,
    **dict.fromkeys(("bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "bnb_4bit_compute_dtype")),
    **dict.fromkeys(("warmup_steps", "eval_steps", "save_steps")),
    **dict.fromkeys(("beta", "loss_type", "precompute_ref_log_probs", "disable_dropout")),
    **dict.fromkeys(("label_smoothing", "ld_alpha", "desirable_weight", "undesirable_weight")),
    "sweep": {},
}


class Recipe(BaseModel):
    """One training, of one stage or of two. Plain fields only, so that a Dagster config can inherit them.

    The knobs are those of the first stage. Under `dpo` stands what the second stage of sft+dpo does otherwise; it
    trains the same adapter. A default that depends on objective or method is filled in and does not count as written.

    SFT: cross-entropy of the assistant's tokens. DPO: Rafailov et al. 2023, from pairs. KTO: Ethayarajh et al. 2024,
    from single thumbs. LoRA: Hu et al. 2021, on every linear layer. QLoRA: Dettmers et al. 2023.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    approach: Approach = Field("sft", description="What is minimised; a model line says it beside its recipe.")
    method: Method = Field("lora", description="full trains every weight; qlora a LoRA on a base of four bits.")

    # the adapter (peft.LoraConfig)
    r: int = Field(8, ge=1, description="Rank of the adapter matrices.")
    lora_alpha: int | None = Field(None, ge=1, description="Scale of the adapter; empty means twice r.")
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="Dropout before the adapter's first matrix.")
    target_modules: str = Field(
        "all-linear", description="'all-linear', or module names with commas between them. Never lm_head."
    )
    use_rslora: bool = Field(False, description="Scale by alpha / sqrt(r), steady at high ranks; Kalajdzievski 2023.")
    use_dora: bool = Field(False, description="Learn magnitude and direction apart, slower; Liu et al. 2024.")

    # the base under qlora (transformers.BitsAndBytesConfig)
    bnb_4bit_quant_type: Literal["nf4", "fp4"] | None = Field(None, description="nf4 unless written.")
    bnb_4bit_use_double_quant: bool | None = Field(None, description="Quantise the constants too; true unless written.")
    bnb_4bit_compute_dtype: Literal["bfloat16", "float16", "float32"] | None = Field(
        None, description="What the four bits are unpacked to for a product; bfloat16 unless written."
    )

    # optimisation (transformers.TrainingArguments)
    learning_rate: float = Field(
        2e-4,
        gt=0,
        description="Peak rate after warm-up; unless written 2e-4 for adapters, 2e-5 full, 5e-6 dpo and kto.",
    )
    num_train_epochs: int = Field(
        3, ge=1, description="Passes over the train side, unless early stopping ends it; dpo and kto: 1 unless written."
    )
    per_device_train_batch_size: int = Field(
        1,
        ge=1,
        description="Packed rows of max_length tokens in one forward; pairs under dpo, judged answers under kto.",
    )
    gradient_accumulation_steps: int = Field(8, ge=1, description="Forwards per optimizer step.")
    lr_scheduler_type: Literal["cosine", "linear", "constant_with_warmup"] = Field(
        "cosine", description="Shape of the learning rate after warm-up."
    )
    warmup_ratio: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    warmup_steps: int | None = Field(
        None, ge=0, description="Instead of warmup_ratio: steps, a tenth of the run at most; below 1 it is the ratio."
    )
    optim: Literal["adamw_torch_fused", "adamw_torch", "adamw_bnb_8bit", "paged_adamw_8bit"] = "adamw_torch_fused"
    weight_decay: float = Field(0.01, ge=0, description="AdamW's decay of the trained weights.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients above this norm are scaled down to it.")
    gradient_checkpointing: bool = Field(False, description="Compute activations twice and keep fewer of them.")
    max_length: int = Field(1024, ge=16, description="Tokens of a packed row. A longer example is refused, never cut.")
    seed: int = Field(0, ge=0, description="Seed of initialisation, data order and dropout.")

    # looking, saving, stopping
    eval_steps: int | None = Field(None, ge=1, description="Empty: from the number of steps, see intervals.py.")
    save_steps: int | None = Field(None, ge=1, description="A multiple of eval_steps; empty: at each evaluation.")
    logging_steps: int | None = Field(None, ge=1, description="Empty: about fifty entries a run.")
    early_stopping_patience: int = Field(3, ge=1, description="Evaluations without improvement before it stops.")
    early_stopping_threshold: float = Field(
        0.01, ge=0, description="Least fall of the validation loss, in nats, that counts as improvement."
    )

    # preferences (trl.DPOConfig, trl.KTOConfig)
    beta: float | None = Field(None, gt=0, description="How dear distance from the reference is; 0.1 unless written.")
    loss_type: Literal["sigmoid", "hinge", "ipo", "robust", "apo_zero", "kto", "apo_zero_unpaired"] | None = None
    label_smoothing: float | None = Field(None, ge=0, lt=0.5, description="robust: share of pairs that are flipped.")
    ld_alpha: float | None = Field(None, ge=0, le=1, description="Weight of what the longer answer has more of.")
    precompute_ref_log_probs: bool | None = Field(None, description="Ask the reference once; true unless written.")
    disable_dropout: bool | None = Field(None, description="True unless written.")
    desirable_weight: float | None = Field(None, gt=0, description="kto: weight of liked answers; 1 unless written.")
    undesirable_weight: float | None = Field(None, gt=0, description="kto: weight of the others; 1 unless written.")
    dpo: dict[str, Any] = Field(default_factory=dict, description="sft+dpo: knobs of its second stage.")

    sweep: dict[str, Any] = Field(
        default_factory=dict, description="Several values of some knobs, within a budget; see recipe_sweep.py."
    )
    outside_range: dict[str, str] = Field(
        default_factory=dict, description="Knobs that leave their range on purpose, each with its reason."
    )

    @model_validator(mode="wrap")
    @classmethod
    def _filled_in(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        written = dict(data)
        ratio = written.get("warmup_steps")
        if isinstance(ratio, float) and 0 < ratio < 1 and "warmup_ratio" not in written:  # transformers 5 reads it so
            written["warmup_ratio"] = written.pop("warmup_steps")
        recipe = handler({**defaults_for(written.get("approach"), written.get("method")), **written})
        recipe.model_fields_set.intersection_update(written)  # so that another method brings its own defaults
        return recipe

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
    def _holds_together(self) -> Self:
        if problems := problems_of(self):
            raise RecipeRefused(problems)
        return self

    @property
    def objective(self) -> Objective:
        """What the first stage minimises: the only one, but for sft+dpo."""
        return stages_of(self.approach)[0]

    @property
    def effective_batch(self) -> int:
        """Packed rows (pairs, judged answers) per optimizer step on one device."""
        return self.per_device_train_batch_size * self.gradient_accumulation_steps

    @property
    def alpha(self) -> int:
        """`lora_alpha`, or twice `r` where the recipe leaves it empty."""
        return self.lora_alpha if self.lora_alpha is not None else 2 * self.r

    def stages(self) -> "tuple[Recipe, ...]":
        """The trainings to run one after the other, each with one objective and all its knobs."""
        if self.approach != "sft+dpo":
            return (self,)
        written = self.model_dump(exclude_unset=True, exclude={"approach", "dpo", "sweep"})
        taken_over = {key: written[key] for key in (*ONE_FOR_BOTH_STAGES, *CARRIED_ON) if key in written}
        reasons = {key: why for key, why in self.outside_range.items() if key in ONE_FOR_BOTH_STAGES}
        own = self.dpo.get("outside_range", {})
        second = {**taken_over, **self.dpo, "outside_range": {**reasons, **own} if isinstance(own, dict) else own}
        return (
            Recipe.model_validate({**written, "approach": "sft"}),
            Recipe.model_validate({**second, "approach": "dpo"}),
        )

    def swept(self) -> Sweep | None:
        """What the recipe sweeps; None where it is one training."""
        return Sweep.model_validate(self.sweep) if self.sweep else None

    def steps(self, rows: int) -> int:
        """Optimizer steps of the first stage, on any number of devices; under SFT `rows` are packed ones."""
        return -(-rows // self.effective_batch) * self.num_train_epochs

    def intervals(self, steps: int) -> Intervals:
        """When a run of `steps` optimizer steps evaluates, saves and logs, and how long it warms up."""
        return derive_intervals(
            steps,
            self.num_train_epochs,
            self.early_stopping_patience,
            self.warmup_ratio,
            warmup_steps=self.warmup_steps,
            eval_steps=self.eval_steps,
            save_steps=self.save_steps,
            logging_steps=self.logging_steps,
        )

    def knobs_with_effect(self) -> dict[str, Any]:
        """Every knob that this approach and method read, with its value; for people, MLflow and the training spec."""
        found = {
            key: value
            for key, value in self.model_dump(exclude={"outside_range"}).items()
            if value not in (None, {}) and why_without_effect(key, self.approach, self.method) is None
        }
        return {**found, "lora_alpha": self.alpha} if "r" in found else found

    def digest(self) -> str:
        """SHA-256 over every knob that changes the weights. A reworded reason under `outside_range` changes nothing."""
        missing = object()
        knobs = {
            key: getattr(self, key)
            for key in Recipe.model_fields
            if key not in ("outside_range", "dpo", "logging_steps")
            and getattr(self, key) != AS_BEFORE_IT_EXISTED.get(key, missing)
        }
        knobs["lora_alpha"] = self.alpha
        if sweep := self.swept():
            knobs["sweep"] = sweep.model_dump()
        if self.approach == "sft+dpo":
            knobs["dpo"] = self.stages()[1].digest()
        return hashlib.sha256(json.dumps(knobs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
