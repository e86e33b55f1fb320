import json
from pathlib import Path

import pytest

from ft_assets.errors import UnknownShape
from ft_assets.training.catalogue import CATALOGUE
from ft_assets.training.model_shape import flops_per_token, matmul_parameters, model_shape

LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128_256,
    "tie_word_embeddings": False,
}
QWEN_HALF_B = {
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": 896,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "vocab_size": 151_936,
    "tie_word_embeddings": True,
}
TINY = Path(__file__).resolve().parents[2] / "data" / "tiny_base" / "config.json"


@pytest.mark.parametrize(
    ("config", "name"),
    [(LLAMA_8B, "llama-3.1-8b"), (QWEN_HALF_B, "qwen2.5-0.5b"), (json.loads(TINY.read_text()), "tiny-base")],
)
def test_the_parameters_are_exactly_those_that_are_published(config, name):
    assert model_shape(config).parameters == CATALOGUE[name].parameters


def test_the_matrices_count_the_lm_head_once_and_leave_the_lookup_and_the_norms_out():
    lookup, norms = 4096 * 128_256, 65 * 4096
    assert matmul_parameters(LLAMA_8B) == CATALOGUE["llama-3.1-8b"].parameters - lookup - norms
    tied = {**LLAMA_8B, "tie_word_embeddings": True}
    assert matmul_parameters(tied) == matmul_parameters(LLAMA_8B)


def test_a_frozen_base_costs_four_operations_a_weight_and_a_trained_one_six():
    weights = matmul_parameters(QWEN_HALF_B)
    assert [flops_per_token(QWEN_HALF_B, method) / weights for method in ("lora", "qlora", "full")] == [4, 4, 6]


def test_an_adapter_has_a_column_and_a_row_per_rank_on_each_target():
    shape = model_shape(LLAMA_8B)
    assert shape.adapter_parameters(8, "q_proj,o_proj") == 32 * 8 * 2 * (4096 + 4096)
    assert shape.adapter_parameters(16, "all-linear") == 41_943_040


@pytest.mark.parametrize(
    "config", [{**LLAMA_8B, "architectures": ["MixtralForCausalLM"]}, {"architectures": ["LlamaForCausalLM"]}, {}]
)
def test_an_architecture_that_is_not_known_is_told_and_never_guessed(config):
    with pytest.raises(UnknownShape, match="stay unknown"):
        model_shape(config)
