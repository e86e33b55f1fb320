"""Base models for the training benchmarks: the shipped tiny one, and Llama shapes with random weights made at run time.

Random weights cost what trained ones cost. All of them read the shipped tokenizer.
"""

import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TINY = ROOT / "data" / "tiny_base"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")

# hidden, intermediate, layers, heads, key-value heads, vocabulary, tied
SHAPES: dict[str, tuple[int, int, int, int, int, int, bool]] = {
    "toy": (64, 128, 2, 4, 2, 4096, True),
    "60M": (512, 1536, 16, 8, 4, 16384, True),
    "1B": (2048, 8192, 16, 32, 8, 128256, True),  # Llama 3.2 1B
    "8B": (4096, 14336, 32, 32, 8, 128256, False),  # Llama 3.1 8B
}


def config_of(size: str, longest: int = 8192) -> Any:
    """The transformers.LlamaConfig of a shape, for the shipped tokenizer's control tokens."""
    from transformers import LlamaConfig

    hidden, intermediate, layers, heads, kv_heads, vocabulary, tied = SHAPES[size]
    return LlamaConfig(
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=vocabulary,
        tie_word_embeddings=tied,
        max_position_embeddings=longest,
        rms_norm_eps=1e-5,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=3,
    )


def write_random_model(size: str, folder: Path) -> Path:
    """A model directory with random bfloat16 weights from seed 0, made where the processor is fastest."""
    import torch
    from transformers import AutoModelForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config_of(size), dtype=torch.bfloat16)
    model.save_pretrained(folder)
    for name in TOKENIZER_FILES:
        shutil.copyfile(TINY / name, folder / name)
    return folder
