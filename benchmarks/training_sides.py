"""One side of the CPU benchmark in a process of its own: `python training_sides.py SIDE MODEL_DIR ROWS`, prints JSON.

Every side trains the same LoRA once over the same rows with the same learning rate. Steps are measured, from the
end of the second one, when a CPU has its kernels, to the end of the last. Evaluating and saving are not in.

- `trl`: SFTTrainer with a model path, messages and a LoraConfig. Everything else is its default.
- `ours`: this project's trainer as a run makes it, with its watchdog and its sealed checkpoints.
- `hand`: a loop with peft and nothing else: rows sorted by length into batches, right padding that causal attention
  needs no mask for, the LM head on answer tokens only.
"""

import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from training_rows import Chat as ChatRow
from training_rows import chats
from training_setup import trainer_of

from ft_assets.chat import Chat, load_model
from ft_assets.training.packed_rows import IGNORED, tokenised
from ft_assets.training.recipe import Recipe
from ft_assets.training.stage_data import SideRows

WARM_UP_STEPS = 2
MAX_LENGTH = 512
HAND_BATCH_TOKENS = 1024  # as many conversations to a step as `ours`: two packed rows
RATE = {"4M": 3e-3, "60M": 1e-3, "toy": 3e-3}
REASONS = dict.fromkeys(
    ("learning_rate", "effective_batch"), "a small model wants a high rate and small batches; the same on every side"
)
HELD_OUT = 48


class Clock:
    """CPU seconds, steps and non-padding tokens after the warm-up."""

    def __init__(self, pad: int) -> None:
        self.pad, self.steps, self.tokens, self.seconds, self._since = pad, 0, 0, 0.0, 0.0

    def read(self, ids: Any) -> None:
        """Counts a batch."""
        if self.steps >= WARM_UP_STEPS:
            self.tokens += int((ids != self.pad).sum())

    def step(self) -> None:
        """A step has ended."""
        self.steps += 1
        if self.steps == WARM_UP_STEPS:
            self._since = time.process_time()
        self.seconds = time.process_time() - self._since


def recipe_of(size: str) -> Recipe:
    """The recipe of `ours`, whose rate and adapter the other sides take over."""
    return Recipe.model_validate(
        {
            "learning_rate": RATE[size],
            "num_train_epochs": 1,
            "per_device_train_batch_size": 2,  # one forward of two packed rows, which attention takes apart
            "gradient_accumulation_steps": 1,
            "lora_dropout": 0.0,
            "max_length": MAX_LENGTH,
            "outside_range": REASONS,
        }
    )


def lora_of(recipe: Recipe) -> Any:
    """The same adapter for the sides that do not read a recipe."""
    from peft import LoraConfig

    return LoraConfig(
        r=recipe.r, lora_alpha=recipe.alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def trl(base: Path, rows: list[ChatRow], recipe: Recipe, clock: Clock, folder: Path) -> Any:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(
        output_dir=str(folder),
        learning_rate=recipe.learning_rate,  # its 2e-5 would learn nothing here
        num_train_epochs=1,
        max_length=MAX_LENGTH,  # as the rows; its 1,024 cuts nothing either
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = SFTTrainer(
        model=str(base),
        args=arguments,
        train_dataset=Dataset.from_list([{"messages": list(row.messages)} for row in rows]),
        peft_config=lora_of(recipe),
    )
    _timed(trainer, clock).train()
    return trainer.model


def ours(base: Path, rows: list[ChatRow], recipe: Recipe, clock: Clock, folder: Path) -> Any:
    trainer = trainer_of(base, recipe, SideRows(examples=rows), SideRows(examples=rows[:2]), folder)
    _timed(trainer, clock).train()
    return trainer.model


def hand(base: Path, rows: list[ChatRow], recipe: Recipe, clock: Clock, folder: Path) -> Any:
    import torch
    from peft import get_peft_model
    from torch.nn.functional import cross_entropy, linear

    chat = Chat(base)
    examples = tokenised(rows, "train", chat, None, MAX_LENGTH)
    torch.manual_seed(recipe.seed)
    model = get_peft_model(load_model(base), lora_of(recipe)).train()
    core, head = model.base_model.model.model, model.base_model.model.lm_head
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    batches = _batches(examples)
    for number, batch in enumerate(batches):
        ids, labels = _padded(batch, chat.pad_token_id)
        clock.read(ids)
        for group in optimizer.param_groups:  # to zero in a line, as the other sides' schedules do
            group["lr"] = recipe.learning_rate * (1 - number / len(batches))
        with torch.autocast("cpu", torch.bfloat16, enabled=model.dtype == torch.bfloat16):
            hidden = core(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
            answers = labels[:, 1:] != IGNORED
            logits = linear(hidden[answers], head.weight).float()
        cross_entropy(logits, labels[:, 1:][answers]).backward()
        torch.nn.utils.clip_grad_norm_(trained, recipe.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        clock.step()
    return model


SIDES: dict[str, Callable[[Path, list[ChatRow], Recipe, Clock, Path], Any]] = {"trl": trl, "ours": ours, "hand": hand}


def held_out_loss(model: Any, base: Path) -> float:
    """Nats per answer token on rows that no side trained on, one row at a time, the same way for every side."""
    import torch

    examples = tokenised(chats(HELD_OUT, seed=2), "validation", Chat(base), None, MAX_LENGTH)
    model.eval()
    total, answers = 0.0, 0
    with torch.no_grad():
        for example in examples:
            ids, labels = (torch.tensor([example[key]]) for key in ("input_ids", "labels"))
            logits = model(input_ids=ids, use_cache=False).logits.float()[0, :-1]
            found = torch.nn.functional.cross_entropy(logits, labels[0, 1:], ignore_index=IGNORED, reduction="sum")
            total, answers = total + float(found), answers + int((labels[0, 1:] != IGNORED).sum())
    return total / answers


def _batches(examples: list[dict[str, list[int]]]) -> list[list[dict[str, list[int]]]]:
    """Rows of near lengths together, `HAND_BATCH_TOKENS` with their padding at most; batches in random order."""
    batches: list[list[dict[str, list[int]]]] = [[]]
    for example in sorted(examples, key=lambda e: -len(e["input_ids"])):
        longest = len(batches[-1][0]["input_ids"]) if batches[-1] else 0
        if (len(batches[-1]) + 1) * longest > HAND_BATCH_TOKENS:
            batches.append([])
        batches[-1].append(example)
    random.Random(0).shuffle(batches)
    return batches


def _padded(batch: list[dict[str, list[int]]], pad: int) -> tuple[Any, Any]:
    import torch

    longest = max(len(example["input_ids"]) for example in batch)
    ids = [example["input_ids"] + [pad] * (longest - len(example["input_ids"])) for example in batch]
    labels = [example["labels"] + [IGNORED] * (longest - len(example["labels"])) for example in batch]
    return torch.tensor(ids), torch.tensor(labels)


def _timed(trainer: Any, clock: Clock) -> Any:
    """The trainer with a clock on its batches and steps."""
    from transformers import TrainerCallback

    class Steps(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            clock.step()

    one_forward = trainer.training_step

    def counted(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        clock.read(inputs["input_ids"])
        return one_forward(model, inputs, *args, **kwargs)

    trainer.training_step = counted
    trainer.add_callback(Steps())
    return trainer


def main() -> None:
    side, size, base, count = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    rows, recipe, clock = chats(count, seed=1), recipe_of(size), Clock(Chat(base).pad_token_id)
    with tempfile.TemporaryDirectory() as folder:
        model = SIDES[side](base, rows, recipe, clock, Path(folder))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    told = {
        "tokens_per_cpu_second": clock.tokens / clock.seconds,
        "cpu_seconds": clock.seconds,
        "steps": clock.steps,
        "peak_mb": peak_mb,
        "loss_before": held_out_loss(load_model(base), base),
        "loss": held_out_loss(model, base),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
