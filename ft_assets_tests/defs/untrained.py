"""A model that was trained on nothing and answers otherwise than its base."""

from pathlib import Path

from ft_assets_tests.defs.evaluated_lines import BASE_DIR


def untrained(folder: Path, seed: int) -> Path:
    """A real adapter of the embedded base, with weights that change its answers."""
    import torch
    from peft import LoraConfig, get_peft_model

    from ft_assets.chat import load_model

    torch.manual_seed(seed)
    base = load_model(BASE_DIR, None, torch.float32)
    model = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    model.save_pretrained(folder / f"weights-{seed}")
    return folder / f"weights-{seed}"
