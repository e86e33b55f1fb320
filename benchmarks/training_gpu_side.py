"""One configuration of the GPU benchmark in a process of its own: `python training_gpu_side.py JSON`, prints JSON.

`ours` is this project's trainer as a run makes it; `trl` is SFTTrainer with everything at its default but the adapter
and the number of steps. Both are given the same chats. Measured are the steps after the warm-up, the device waited for.
"""

import json
import random
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training_models import config_of
from training_rows import Chat as ChatRow
from training_rows import chats
from training_setup import trainer_of

from ft_assets.compute import compute_device, device_kind
from ft_assets.training.device_peaks import peak_flops_here
from ft_assets.training.model_shape import flops_per_token
from ft_assets.training.recipe import Recipe
from ft_assets.training.stage_data import SideRows

TOKENS_PER_CHAT = 80  # fewer than there are, so that the chats are enough for all steps
ANSWER_SHARE = 8  # of a pair's characters, an eighth is the answer
CHARACTERS_PER_TOKEN = 3.2  # of the shipped tokenizer on these words, rounded down


@dataclass(frozen=True)
class Pair:
    """A preference pair as training takes it."""

    pair_id: str
    prompt: tuple[dict[str, str], ...]
    chosen: tuple[dict[str, str], ...]
    rejected: tuple[dict[str, str], ...]


def long_pairs(count: int, max_length: int, seed: int) -> list[Pair]:
    """Pairs that nearly fill `max_length` tokens with either answer."""
    rng = random.Random(seed)
    words = [word for row in chats(50, seed) for message in row.messages for word in message["content"].split()]

    def text(characters: float) -> str:
        chosen: list[str] = []
        while sum(map(len, chosen)) + len(chosen) < characters:
            chosen.append(rng.choice(words))
        return " ".join(chosen)

    room = (max_length - 32) * CHARACTERS_PER_TOKEN * 0.8
    return [
        Pair(
            f"pair-{i}",
            ({"role": "user", "content": text(room * (1 - 1 / ANSWER_SHARE))},),
            ({"role": "assistant", "content": text(room / ANSWER_SHARE)},),
            ({"role": "assistant", "content": text(room / ANSWER_SHARE)},),
        )
        for i in range(count)
    ]


def recipe_of(asked: dict[str, Any]) -> Recipe:
    """Defaults but for what is measured: objective, method, length, accumulation."""
    knobs = {
        "approach": asked["objective"],
        "method": asked["method"],
        "max_length": asked["max_length"],
        "num_train_epochs": 1,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": asked["accumulation"],
        "outside_range": {"effective_batch": "short steps: only their speed counts"},
    }
    return Recipe.model_validate(knobs)


def our_trainer(base: Path, asked: dict[str, Any], folder: Path) -> Any:
    """This project's trainer on rows for the steps that are asked for."""
    recipe, forwards = recipe_of(asked), asked["steps"] * asked["accumulation"]
    if asked["objective"] == "dpo":
        rows, seen = (SideRows(pairs=long_pairs(n, asked["max_length"], seed=n)) for n in (forwards, 2))
    else:
        count = forwards * asked["max_length"] // TOKENS_PER_CHAT
        rows, seen = SideRows(examples=chats(count, seed=1)), SideRows(examples=chats(8, seed=2))
    return trainer_of(base, recipe, rows, seen, folder, log_each_step=True)


def trl_trainer(base: Path, asked: dict[str, Any], folder: Path) -> Any:
    """TRL with its defaults on the same chats."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(
        output_dir=str(folder),
        max_steps=asked["steps"],
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=compute_device() == "cpu",
    )
    rows: list[ChatRow] = chats(asked["steps"] * arguments.per_device_train_batch_size, seed=1)
    recipe = recipe_of(asked)
    adapter = LoraConfig(r=recipe.r, lora_alpha=recipe.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    data = Dataset.from_list([{"messages": list(row.messages)} for row in rows])
    return SFTTrainer(model=str(base), args=arguments, train_dataset=data, peft_config=adapter)


def timed(trainer: Any, warm_up: int, steps: int, pad: int) -> tuple[int, float]:
    """Trains, and gives the non-padding tokens and the wall seconds of the steps after the warm-up."""
    import torch
    from transformers import TrainerCallback

    on_gpu = torch.cuda.is_available()
    seen = {"steps": 0, "tokens": torch.zeros((), dtype=torch.long, device=compute_device())}
    marks: list[float] = []

    class Steps(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
            seen["steps"] += 1
            if seen["steps"] in (warm_up, steps):
                if on_gpu:
                    torch.cuda.synchronize()
                marks.append(time.perf_counter())
            control.should_training_stop = seen["steps"] >= steps
            return control

    one_forward = trainer.training_step

    def counted(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if warm_up <= seen["steps"] < steps:  # added on the device, so that nothing waits for it
            for ids in (value for name, value in inputs.items() if name.endswith("input_ids")):
                seen["tokens"] += (ids != pad).sum().to(seen["tokens"].device)
        return one_forward(model, inputs, *args, **kwargs)

    trainer.training_step = counted
    trainer.add_callback(Steps())
    trainer.train()
    return int(seen["tokens"]), marks[-1] - marks[0]


def main() -> None:
    asked = json.loads(sys.argv[1])
    import torch

    base = Path(asked["base"])
    config = config_of(asked["shape"]).to_dict() | {"architectures": ["LlamaForCausalLM"]}
    with tempfile.TemporaryDirectory() as folder:
        make = our_trainer if asked["side"] == "ours" else trl_trainer
        trainer = make(base, asked, Path(folder))
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        tokens, seconds = timed(trainer, asked["warm_up"], asked["steps"], config["pad_token_id"])
    speed, peak = tokens / seconds, peak_flops_here()
    steps = [entry for entry in trainer.state.log_history if "loss" in entry]
    on_gpu = torch.cuda.is_available()
    memory = torch.cuda.max_memory_allocated() if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    told = {
        "device": device_kind(),
        "tokens_per_second": speed,
        "mfu": flops_per_token(config, asked["method"]) * speed / peak if peak else None,
        "peak_gb": memory / 1e9,
        "first_loss": steps[0]["loss"],
        "loss": steps[-1]["loss"],
        "grad_norm": steps[-1]["grad_norm"],
        "attention": trainer.model.config._attn_implementation,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
