"""What follows from the objective and the method: defaults, ranges, and which knobs have a meaning at all.

The one place to change when an objective or a method is added. The numbers are those of SPEC 4.18 to 4.24 unless a
source is named.
"""

from collections.abc import Mapping
from typing import Any, Literal

Objective = Literal["sft", "dpo", "kto"]  # what one stage of training minimises
Approach = Literal["sft", "dpo", "kto", "sft+dpo"]
Method = Literal["full", "lora", "qlora"]
Range = tuple[float, float]

FULL_RATE, ADAPTER_RATE, PREFERENCE_RATE = 2e-5, 2e-4, 5e-6  # SPEC 13
# The rate belongs to the method: an adapter wants about ten times that of full fine-tuning (Biderman et al. 2024, "LoRA
# Learns Less and Forgets Less"; Schulman et al. 2025, "LoRA Without Regret"). 5e-5 lies between 2e-5 and 2e-4.
BETWEEN_THE_METHODS = 5e-5

_EVERYWHERE: dict[str, Range] = {
    "warmup_ratio": (0.03, 0.10),
    "weight_decay": (0.0, 0.1),
    "r": (4, 256),
    "lora_dropout": (0.0, 0.1),
}
_PREFERENCES: dict[str, Range] = {"learning_rate": (1e-6, 5e-5), "num_train_epochs": (1, 3)}
# What a recipe may use without saying why. Outside it, it must record a reason under `outside_range`.
# effective_batch: per_device_train_batch_size x gradient_accumulation_steps, in packed rows, pairs or judged answers.
RANGES: dict[Objective, dict[str, Range]] = {
    "sft": {
        "learning_rate": (1e-5, 2e-4),
        "num_train_epochs": (1, 5),
        "effective_batch": (4, 32),
        **_EVERYWHERE,
    },
    "dpo": {**_PREFERENCES, "effective_batch": (4, 16), **_EVERYWHERE, "beta": (0.1, 0.5)},
    # SPEC has no line for KTO. Its loss and beta are DPO's family (Ethayarajh et al. 2024 train with 5e-7 to 5e-6 and
    # batches of 32); its KL term is estimated from the batch, so larger ones are allowed.
    "kto": {**_PREFERENCES, "effective_batch": (4, 32), **_EVERYWHERE, "beta": (0.1, 0.5)},
}

ADAPTER_KNOBS = ("r", "lora_alpha", "lora_dropout", "target_modules", "use_rslora", "use_dora")
QUANTISATION_KNOBS = ("bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "bnb_4bit_compute_dtype")
_METHODS_OF: dict[str, tuple[Method, ...]] = {
    **dict.fromkeys(ADAPTER_KNOBS, ("lora", "qlora")),
    **dict.fromkeys(QUANTISATION_KNOBS, ("qlora",)),
}
_OBJECTIVES_OF: dict[str, tuple[Objective, ...]] = {
    **dict.fromkeys(("beta", "loss_type", "precompute_ref_log_probs", "disable_dropout"), ("dpo", "kto")),
    **dict.fromkeys(("label_smoothing", "ld_alpha"), ("dpo",)),
    **dict.fromkeys(("desirable_weight", "undesirable_weight"), ("kto",)),
}
LOSSES: dict[Objective, tuple[str, ...]] = {
    "sft": (),
    "dpo": ("sigmoid", "hinge", "ipo", "robust", "apo_zero"),
    "kto": ("kto", "apo_zero_unpaired"),
}

# Both stages of sft+dpo train the same weights, so the second cannot choose these anew.
ONE_FOR_BOTH_STAGES = ("approach", "method", *ADAPTER_KNOBS, *QUANTISATION_KNOBS)
# These the second stage takes over unless it says otherwise; rate, epochs, batch and decay follow its own objective.
CARRIED_ON = ("max_length", "seed", "optim", "max_grad_norm", "gradient_checkpointing", "lr_scheduler_type")


def stages_of(approach: object) -> tuple[Objective, ...]:
    """The objectives of an approach, in their order. What is no approach counts as sft; pydantic refuses it."""
    known: dict[object, tuple[Objective, ...]] = {"dpo": ("dpo",), "kto": ("kto",), "sft+dpo": ("sft", "dpo")}
    return known.get(approach, ("sft",)) if isinstance(approach, str) else ("sft",)


def defaults_for(approach: object, method: object) -> dict[str, Any]:
    """The defaults that depend on the approach (on its first stage) and on the method."""
    objective = stages_of(approach)[0]
    found: dict[str, Any] = {"learning_rate": FULL_RATE if method == "full" else ADAPTER_RATE}
    if objective != "sft":
        found = {
            "learning_rate": PREFERENCE_RATE,
            "num_train_epochs": 1,  # most of what preferences teach is learned in the first pass
            "beta": 0.1,
            "loss_type": LOSSES[objective][0],
            "precompute_ref_log_probs": True,  # once, and kept: no second model in memory
            "disable_dropout": True,  # otherwise the first margin is noise
        }
    if objective == "dpo":
        found |= {"label_smoothing": 0.0}
    if objective == "kto":  # four in a forward: the KL term compares each answer with its neighbours in the batch
        found |= {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
        found |= {"desirable_weight": 1.0, "undesirable_weight": 1.0}
    if method == "qlora":  # Dettmers et al. 2023
        found |= {
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": "bfloat16",
        }
    return found


def ranges_for(approach: Approach, method: Method) -> Mapping[str, Range]:
    """Name and range of each knob that has one, for the first stage of an approach."""
    found = RANGES[stages_of(approach)[0]]
    return {key: limits for key, limits in found.items() if method in _METHODS_OF.get(key, (method,))}


def why_without_effect(key: str, approach: Approach, method: Method) -> str | None:
    """Why a knob does nothing under an approach and a method, and what to do; None where it does something."""
    methods, objectives = _METHODS_OF.get(key), _OBJECTIVES_OF.get(key)
    if key == "dpo" and approach != "sft+dpo":
        return f"dpo is the second stage of sft+dpo, and approach is {approach}. Write its knobs beside the others"
    if methods and method not in methods:
        return f"{key} has no effect under method {method}; it belongs to {' and '.join(methods)}. Leave it out"
    if objectives and approach == "sft+dpo" and "dpo" in objectives:
        return f"{key} has no effect in the SFT stage. Write it under dpo, which holds the second stage"
    if objectives and stages_of(approach)[0] not in objectives:
        return f"{key} has no effect under approach {approach}; it belongs to {' and '.join(objectives)}. Leave it out"
    return None
