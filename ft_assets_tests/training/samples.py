"""What the training tests train on: the tiny base model, and rows that it can learn, made from a seed."""

import os
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from ft_assets.records import Message
from ft_assets.training.recipe import Recipe

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "tiny_base"
BASE = Path(os.environ.get("FT_ASSETS_TEST_BASE") or SHIPPED)
needs_base = pytest.mark.skipif(not (BASE / "config.json").exists(), reason="data/tiny_base is not there")

PARTS = ["parser", "cache", "router", "index", "buffer", "token", "logger", "socket", "queue", "planner", "gateway"]
VERBS = ["fix", "add", "remove", "rename", "speed", "split"]
TINY_REASONS = {
    "learning_rate": "the optimum of a 4 M model is near 3e-3",
    "effective_batch": "few rows: small batches give it enough steps",
}


@dataclass(frozen=True)
class Row:
    example_id: str
    messages: tuple[Message, ...]


def row(example_id: str, *turns: tuple[str, str]) -> Row:
    return Row(example_id, tuple(Message(role=role, content=content) for role, content in turns))


def commit_rows(count: int, seed: int) -> list[Row]:
    """Commit messages to be written from a described change: the same form, other words."""
    rng = random.Random(seed)
    rows = []
    for i in range(count):
        part, place, verb = rng.choice(PARTS), rng.choice(PARTS), rng.choice(VERBS)
        asked = f"Write a commit message.\nChange: {verb} the {part} in module {place}."
        rows.append(
            row(f"row-{seed}-{i}", ("user", asked), ("assistant", f"{verb}({place}): {verb} {part}\nOwner: {place}"))
        )
    return rows


def tiny_recipe(**knobs: object) -> Recipe:
    given = {
        "r": 8,
        "target_modules": "all-linear",
        "learning_rate": 3e-3,
        "num_train_epochs": 2,
        "gradient_accumulation_steps": 2,
        "max_length": 256,
        "outside_range": TINY_REASONS,
    }
    return Recipe.model_validate({**given, **knobs})


@dataclass(frozen=True)
class Pair:
    pair_id: str
    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]


@dataclass(frozen=True)
class Judged:
    example_id: str
    messages: tuple[Message, ...]
    liked: bool


def preference_pairs(count: int, seed: int) -> list[Pair]:
    """The wanted commit message of `commit_rows`, preferred to one that talks instead."""
    return [
        Pair(f"pair-{wanted.example_id}", wanted.messages[:-1], wanted.messages[-1:], (_talk(wanted),))
        for wanted in commit_rows(count, seed)
    ]


def judged_answers(count: int, seed: int) -> list[Judged]:
    """Every other answer is the wanted commit message and liked; the others talk instead and are not."""
    return [
        Judged(
            wanted.example_id,
            wanted.messages if number % 2 else (*wanted.messages[:-1], _talk(wanted)),
            bool(number % 2),
        )
        for number, wanted in enumerate(commit_rows(count, seed))
    ]


def _talk(wanted: Row) -> Message:
    place = wanted.messages[-1].content.rsplit(" ", 1)[-1]
    return Message(role="assistant", content=f"Sure, here is a message about {place}, I hope it helps you.")


def preference_recipe(approach: str, **knobs: object) -> Recipe:
    given = {
        "approach": approach,
        "r": 8,
        "learning_rate": 1e-3,
        "num_train_epochs": 2,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "max_length": 256,
        "outside_range": TINY_REASONS,
    }
    return Recipe.model_validate({**given, **knobs})
