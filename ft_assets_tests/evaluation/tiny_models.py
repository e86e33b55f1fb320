"""The tiny base, an adapter that changes its answers, and short questions for them."""

import os
import random
from pathlib import Path

import pytest

from ft_assets.evaluation.asking.model_to_ask import ModelToAsk
from ft_assets.evaluation.asking.transformers_backend import TransformersBackend
from ft_assets.evaluation.items import EvalItem
from ft_assets_tests.evaluation.samples import item

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "tiny_base"
BASE = Path(os.environ.get("FT_ASSETS_TEST_BASE") or SHIPPED)
needs_base = [
    pytest.mark.torch,
    pytest.mark.skipif(not (BASE / "config.json").exists(), reason=f"no tiny base model in {BASE}"),
]
TOKENS = 16


def questions(count: int = 20) -> list[EvalItem]:
    """Short prompts of very different lengths, for which nothing but the base's own habits decides the answer."""
    generator = random.Random(4)
    words = ["tax", "lane", "cluster", "report", "seven", "cobalt", "ferry", "index"]
    texts = [" ".join(generator.choices(words, k=generator.randint(2, 30))) for _ in range(count)]
    return [item(f"r{i:02d}", f"Repeat: {text}", text) for i, text in enumerate(texts)]


def base_model(max_new_tokens: int = TOKENS, batch_rows: int = 8) -> TransformersBackend:
    """The tiny base, not loaded yet."""
    return TransformersBackend(ModelToAsk("b" * 64, BASE), max_new_tokens, batch_rows)


def untrained_adapter(directory: Path) -> Path:
    """An untrained LoRA adapter with weights large enough to change the answers."""
    import torch
    from peft import LoraConfig, get_peft_model

    from ft_assets.chat import load_model

    torch.manual_seed(0)
    modules = ["q_proj", "k_proj", "v_proj", "o_proj"]
    model = get_peft_model(load_model(BASE, None, torch.float32), LoraConfig(r=4, target_modules=modules))
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    model.save_pretrained(directory)
    return directory
