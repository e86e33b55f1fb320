"""The weights that a stage starts from, by method, and the adapter that goes on them.

full: every weight, in float32 while it is trained. A step of AdamW moves a weight by about the learning rate, and
bfloat16 has three digits: at a weight of 0.02 a step under 4e-5 rounds to nothing. Measured on the tiny base, 16 steps
at 2e-5: the validation loss falls by 0.56 nats, in bfloat16 by 0.03. Products run in bfloat16 under autocast where the
machine is fast at it.
lora: the base as it is, frozen, in the fastest format, and the adapter in float32.
qlora (Dettmers et al. 2023): the base's linear layers in four bits; the adapter in float32. Evaluation puts the adapter
on the base as it was before. That is how such adapters are shipped and merged, and it is the better model: on the tiny
base 3.74 nats, against 3.80 on the four bits that it was trained on.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from ft_assets.chat import load_model
from ft_assets.errors import BadConfiguration
from ft_assets.training.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import BitsAndBytesConfig, PreTrainedModel


def trainable_model(base_dir: Path, recipe: Recipe, former: Path | None = None) -> "PreTrainedModel | PeftModel":
    """The model that a stage trains: the base as the method wants it, with the former stage's adapter on it.

    Under full the former stage's weights take the base's place.

    Raises:
        BadConfiguration: the recipe asks for a length that this base model does not read, or for a library that is
            not installed.
    """
    import torch

    if recipe.method == "full":
        model = load_model(base_dir, former, dtype=torch.float32)
    elif recipe.method == "qlora":
        model = _without_repacking(load_model(base_dir, quantisation=_four_bits(recipe)))
    else:
        model = load_model(base_dir)
    _refuse_length(recipe, model)
    if former is None or recipe.method == "full":
        return model
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(former), is_trainable=True)


def adapter_config(recipe: Recipe, model: "PreTrainedModel") -> "LoraConfig | None":
    """The LoRA adapter that the trainer puts on; None under method full.

    Raises:
        BadConfiguration: `target_modules` names what this base model does not have.
    """
    if recipe.method == "full":
        return None
    from peft import LoraConfig

    names = recipe.target_modules.split(",")
    known = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    unknown = sorted(set(names) - known - {"all-linear"})
    if unknown:
        raise BadConfiguration(
            f"target_modules names {', '.join(unknown)}, which this base model does not have. "
            "Write all-linear, or names out of: " + ", ".join(sorted(n for n in known if n.endswith("_proj")))
        )
    return LoraConfig(
        r=recipe.r,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.lora_dropout,
        use_rslora=recipe.use_rslora,
        use_dora=recipe.use_dora,
        target_modules=names[0] if names == ["all-linear"] else names,
        task_type="CAUSAL_LM",
    )


def keep_adapter_in_float32(model: "PeftModel", former: Path | None) -> None:
    """Undoes TRL's rounding of an adapter to bfloat16 on a base of four bits, before the first step.

    The paper keeps adapters so; at the rates of DPO, 5e-6, most of its steps would round to nothing. A former stage's
    adapter is read again, because TRL rounded it, and the frozen reference beside it not. The first weights of a fresh
    one are random and may stay rounded.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if former is not None:
        from peft import load_peft_weights, set_peft_model_state_dict

        set_peft_model_state_dict(model, load_peft_weights(str(former), device="cpu"), adapter_name="default")


def dtype_of_base(base_dir: Path) -> "torch.dtype":
    """The number format of the base's files, in which a fully trained model is written too."""
    import torch
    from transformers import AutoConfig

    found = AutoConfig.from_pretrained(base_dir, local_files_only=True, trust_remote_code=False).dtype
    return found if isinstance(found, torch.dtype) else torch.float32


def _four_bits(recipe: Recipe) -> "BitsAndBytesConfig":
    import torch
    from transformers import BitsAndBytesConfig
    from transformers.utils import is_bitsandbytes_available

    if not is_bitsandbytes_available():
        raise BadConfiguration(
            "method qlora packs the base with bitsandbytes, which is not installed here. Install it, or write lora."
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=recipe.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=recipe.bnb_4bit_use_double_quant,
        bnb_4bit_compute_dtype=getattr(torch, str(recipe.bnb_4bit_compute_dtype)),
    )


def _without_repacking(model: "PreTrainedModel") -> "PreTrainedModel":
    """Keeps bitsandbytes from packing the weights anew, in place, at the first evaluation on a CPU with AVX-512 bf16.

    Its faster form rounds the scales to bfloat16, so training would go on with another base than before, and it stops
    at layers whose outputs are no multiple of 32.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def _refuse_length(recipe: Recipe, model: "PreTrainedModel") -> None:
    context = getattr(model.config, "max_position_embeddings", None)
    if context is not None and recipe.max_length > context:
        raise BadConfiguration(
            f"max_length is {recipe.max_length}, but this base model reads {context} tokens at most. Lower max_length."
        )
