"""What a training needs in memory, estimated and measured: a table of both, and what their ratio is.

    python benchmarks/memory.py [--objectives sft,dpo,kto --methods lora,full --lengths 512,1024 --layers 12]

Each line is a process of its own: a Llama shape with random weights (60 M parameters unless told otherwise), the
trainer that `lora_checkpoint` uses, full rows of random tokens of which half are learned (packed ones for SFT, pairs
for DPO, answers with a thumb for KTO), on this machine's CPU. Measured is the peak of resident memory less resident
memory after loading, while a preference's reference answers and while it trains: VmHWM of /proc/self/status, reset
through /proc/self/clear_refs, so Linux only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ft_assets.chat import Chat
from ft_assets.compute import fastest_dtype, use_available_cores
from ft_assets.training.checkpoint_saver import CheckpointSaver
from ft_assets.training.checkpoint_store import LocalCheckpoints
from ft_assets.training.intervals import Intervals
from ft_assets.training.memory import MemoryQuestion, estimate_memory
from ft_assets.training.model_shape import model_shape
from ft_assets.training.recipe import Recipe
from ft_assets.training.recipe_ranges import Objective
from ft_assets.training.stage import StageSetup
from ft_assets.training.train import TRAINERS
from ft_assets.training.trainable_model import adapter_config, trainable_model

ROOT = Path(__file__).resolve().parent.parent
TOKENIZER = ROOT / "data" / "tiny_base"
LEARNED_SHARE, CONVERSATION_TOKENS, STEPS = 0.5, 128, 3
MIB = 2**20


@dataclass(frozen=True)
class Case:
    """One training to measure."""

    objective: Objective = "sft"
    method: str = "lora"
    max_length: int = 512
    micro_batch: int = 1
    gradient_checkpointing: bool = False
    lora_dropout: float = 0.0
    hidden: int = 640
    layers: int = 12
    intermediate: int = 1728
    heads: int = 10
    kv_heads: int = 10
    vocab: int = 4096

    def config(self) -> dict[str, Any]:
        """The config.json of a Llama of this shape."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "intermediate_size": self.intermediate,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "vocab_size": self.vocab,
            "max_position_embeddings": max(8192, self.max_length),
            "tie_word_embeddings": True,
        }

    def recipe(self) -> Recipe:
        """The recipe that trains it."""
        knobs: dict[str, Any] = {"lora_dropout": self.lora_dropout} if self.method != "full" else {}
        return Recipe.model_validate(
            {
                **knobs,
                "approach": self.objective,
                "method": self.method,
                "max_length": self.max_length,
                "per_device_train_batch_size": self.micro_batch,
                "gradient_accumulation_steps": 2,
                "gradient_checkpointing": self.gradient_checkpointing,
                "num_train_epochs": 1,
                "outside_range": {"effective_batch": "a measurement", "lora_dropout": "a measurement"}
                if self.method != "full"
                else {"effective_batch": "a measurement"},
            }
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", help="measure this case in this process, as JSON, and print the result as JSON")
    parser.add_argument("--objectives", default="sft", help="which of sft, dpo, kto")
    parser.add_argument(
        "--micro-batches", default="1", help="rows of a forward: pairs, or answers of which KTO wants 2"
    )
    parser.add_argument("--methods", default="lora,full", help="which of lora, qlora, full")
    parser.add_argument("--lengths", default="512,1024")
    parser.add_argument("--dropout", type=float, default=0.0)
    for size in ("hidden", "layers", "intermediate", "heads", "kv_heads", "vocab"):
        parser.add_argument(f"--{size}", type=int, default=getattr(Case, size))
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(Case(**json.loads(arguments.one)))))
        return
    print("objective method  rows length  checkpointing  estimated MiB  measured MiB  measured/estimated")
    for case in _cases(arguments):
        found = measured_apart(case)
        print(  # each line as soon as it is known
            f"{case.objective:9} {case.method:7} {case.micro_batch:4} {case.max_length:6} "
            f"{case.gradient_checkpointing!s:>14} {found['estimated'] / MIB:14.0f} "
            f"{found['measured'] / MIB:13.0f} {found['measured'] / found['estimated']:10.2f}",
            flush=True,
        )


def _cases(arguments: argparse.Namespace) -> Iterator[Case]:
    sizes = {key: getattr(arguments, key) for key in ("hidden", "layers", "intermediate", "heads", "kv_heads", "vocab")}
    asked = (arguments.objectives.split(","), arguments.methods.split(","), arguments.micro_batches.split(","))
    for objective, method, rows, length, checkpointing in product(*asked, arguments.lengths.split(","), (False, True)):
        yield Case(objective, method, int(length), int(rows), checkpointing, arguments.dropout, **sizes)


def measured_apart(case: Case) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--one", json.dumps(asdict(case))]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env={**os.environ, **QUIET})
    return dict(json.loads(done.stdout.splitlines()[-1]))


QUIET = {"TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}


def measure(case: Case) -> dict[str, Any]:
    """Bytes beyond the loaded model that three optimizer steps needed, and what was estimated."""
    import trl

    module, name = TRAINERS[case.objective]
    make = getattr(import_module(module), name)
    _ = trl.SFTTrainer, trl.DPOTrainer, trl.KTOTrainer  # libraries are no part of what is measured
    with tempfile.TemporaryDirectory() as folder:
        setup = _setup(case, Path(folder))
        trainer = make(setup) if case.objective == "sft" else None
        _read_every_weight(setup.model)
        before = _resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again from here
        (trainer or make(setup)).train()  # a preference's reference answers while its trainer is made
        peak = _resident("VmHWM")
    return {**estimated(case), "measured": peak - before}


def estimated(case: Case) -> dict[str, Any]:
    """What `measure` is compared with."""
    estimate = estimate_memory(
        MemoryQuestion(
            model_shape(case.config()),
            case.recipe(),
            device="cpu",
            half=fastest_dtype().itemsize == 2,
            learned_share=LEARNED_SHARE,
        )
    )
    return {"estimated": estimate.beyond_weights, "parts": asdict(estimate)}


def _read_every_weight(model: Any) -> None:
    """Weights are mapped from their file and count as resident only once they were read."""
    for parameter in model.parameters():
        parameter.detach().abs().max()


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _setup(case: Case, folder: Path) -> StageSetup:
    use_available_cores()
    _write_base(case, folder / "base")
    recipe = case.recipe()
    model = trainable_model(folder / "base", recipe)
    return StageSetup(
        recipe=recipe,
        intervals=Intervals(eval_steps=STEPS, save_steps=STEPS, logging_steps=1, warmup_steps=0),
        chat=Chat(TOKENIZER),
        model=model,
        peft_config=adapter_config(recipe, model),
        train=_rows(case, STEPS * recipe.effective_batch),
        validation=_rows(case, case.micro_batch),
        work_dir=folder / "work",
        saver=CheckpointSaver(LocalCheckpoints(folder / "work", "0" * 64)),
        callbacks=[],
    )


def _write_base(case: Case, directory: Path) -> None:
    """Random weights; made in another process, so that this one's memory is that of a training."""
    program = (
        "import json, sys, torch\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "torch.manual_seed(0)\n"
        "config = LlamaConfig(**json.loads(sys.argv[1]), dtype='bfloat16')\n"
        "LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(sys.argv[2])\n"
    )
    subprocess.run([sys.executable, "-c", program, json.dumps(case.config()), str(directory)], check=True)


def _rows(case: Case, count: int) -> Any:
    import datasets

    drawn = np.random.default_rng(0)
    make = _packed_row if case.objective == "sft" else _preference_row
    return datasets.Dataset.from_list([make(case, drawn, number) for number in range(count)])


def _packed_row(case: Case, drawn: np.random.Generator, number: int) -> dict[str, Any]:
    conversations = [CONVERSATION_TOKENS] * (case.max_length // CONVERSATION_TOKENS)
    asked = round(CONVERSATION_TOKENS * (1 - LEARNED_SHARE))
    tokens = _tokens(case, drawn, sum(conversations))
    learned = np.where(np.arange(len(tokens)) % CONVERSATION_TOKENS < asked, -100, tokens)
    return {"input_ids": tokens, "labels": learned.tolist(), "seq_lengths": conversations}


def _preference_row(case: Case, drawn: np.random.Generator, number: int) -> dict[str, Any]:
    """A pair, or an answer with a thumb, whose prompt and answer are `max_length` tokens."""
    answer = round(case.max_length * LEARNED_SHARE)
    prompt = {"prompt_ids": _tokens(case, drawn, case.max_length - answer)}
    first, second = (_tokens(case, drawn, answer) for _ in range(2))
    if case.objective == "dpo":
        return {**prompt, "chosen_ids": first, "rejected_ids": second}
    return {**prompt, "completion_ids": first, "KL_completion_ids": second, "label": bool(number % 2)}


def _tokens(case: Case, drawn: np.random.Generator, count: int) -> list[int]:
    return [int(token) for token in drawn.integers(5, min(case.vocab, 4096), size=count)]


if __name__ == "__main__":
    main()
