"""The shape of a decoder-only transformer, from its config.json: parameters, matrices, operations per token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ft_assets.errors import UnknownShape
from ft_assets.training.recipe_ranges import Method

# Architectures whose layers are q, k, v, o and a gated MLP of three matrices (fused or not). Others have other sums.
GATED_DECODERS = (
    *("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"),
    *("Phi3ForCausalLM", "GemmaForCausalLM", "Gemma2ForCausalLM", "SmolLM3ForCausalLM", "OlmoForCausalLM"),
)
NEEDED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
# Multiply-adds per weight and token, times two: 2 forward, 2 for the gradient of the inputs, 2 for that of the weights,
# which a frozen base does not have (Kaplan et al. 2020, section 2.1; Dettmers et al. 2023 for the frozen base).
# Recomputed forwards, dequantisation and attention's own products are not counted.
FLOPS_PER_WEIGHT: dict[Method, int] = {"full": 6, "lora": 4, "qlora": 4}
FORWARD_FLOPS_PER_WEIGHT = 2


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a decoder-only transformer with grouped-query attention and a gated MLP."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool
    qkv_bias: bool = False

    def linears(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of each matrix of one layer, by the name that peft knows it by."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q_proj": (self.hidden, queries),
            "k_proj": (self.hidden, keys),
            "v_proj": (self.hidden, keys),
            "o_proj": (queries, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def layer_weights(self) -> int:
        """Weights of all matrices inside the layers: what quantisation and LoRA reach."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linears().values())

    @property
    def matmul_parameters(self) -> int:
        """N of the MFU formula: every matrix that is multiplied with, LM head included, embedding lookup left out."""
        return self.layer_weights + self.hidden * self.vocab

    @property
    def parameters(self) -> int:
        """Everything that is stored: matrices, embedding (once where it is tied), norms and biases."""
        biases = (self.heads + 2 * self.kv_heads) * self.head_dim if self.qkv_bias else 0
        norms = (2 * self.layers + 1) * self.hidden
        return self.layer_weights + self.hidden * self.vocab * (1 if self.tied else 2) + norms + self.layers * biases

    def adapter_parameters(self, r: int, target_modules: str) -> int:
        """Trained numbers of a LoRA of rank `r` on those modules: r x (inputs + outputs) each (Hu et al. 2021)."""
        return self.layers * sum(r * (inputs + outputs) for inputs, outputs in self.targets(target_modules).values())

    def targets(self, target_modules: str) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of the matrices of one layer that an adapter sits on."""
        names = target_modules.split(",")
        return {name: size for name, size in self.linears().items() if names == ["all-linear"] or name in names}


def model_shape(config: Mapping[str, Any]) -> ModelShape:
    """The shape that a base model's config.json describes.

    Raises:
        UnknownShape: the architecture is not one of GATED_DECODERS, or the config lacks a size; nothing is guessed.
    """
    found = ", ".join(map(str, config.get("architectures") or ["none"]))
    lacking = [key for key in NEEDED if not config.get(key)]
    if lacking or not any(name in GATED_DECODERS for name in config.get("architectures") or ()):
        because = f"lacks {', '.join(lacking)}" if lacking else f"names the architecture {found}"
        raise UnknownShape(
            f"config.json of the base model {because}, so its parameters are not counted and memory, hours and cost "
            f"stay unknown. Known are {', '.join(GATED_DECODERS)}; another is a line in training/model_shape.py."
        )
    heads = int(config["num_attention_heads"])
    return ModelShape(
        hidden=int(config["hidden_size"]),
        layers=int(config["num_hidden_layers"]),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
        intermediate=int(config["intermediate_size"]),
        vocab=int(config["vocab_size"]),
        tied=bool(config.get("tie_word_embeddings", found.startswith("Gemma"))),
        qkv_bias=bool(config.get("attention_bias", found.startswith("Qwen2"))),
    )


def matmul_parameters(config: Mapping[str, Any]) -> int:
    """N of the MFU formula, from a config.json: see `ModelShape.matmul_parameters`."""
    return model_shape(config).matmul_parameters


def flops_per_token(config: Mapping[str, Any], method: Method) -> int:
    """k x N: floating-point operations that one trained token needs; k is 6 under full, 4 with a frozen base."""
    return FLOPS_PER_WEIGHT[method] * matmul_parameters(config)
