"""Chats for the training benchmarks, made from a seed: short ones with a long tail, as people write them.

What can be learned is a rule: the answer names a part of the question and an owner that follows from it, so that a side
which trains shows a lower loss on rows that it never saw.
"""

import random
from dataclasses import dataclass

PARTS = ("parser", "cache", "router", "index", "buffer", "logger", "socket", "queue", "planner", "gateway")
VERBS = ("fix", "add", "remove", "rename", "speed", "split")
OWNERS = dict(zip(PARTS, ("ada", "bo", "cem", "dia", "eli", "fay", "gus", "hal", "ida", "jon"), strict=True))
FILLERS = ("It failed again after the last release.", "The log says nothing about it.", "It is slow when many ask.")
# sentences of context by share of the rows: most chats are short, some are long (mean 100 tokens, maximum below 512)
CONTEXT = ((0, 0.30), (1, 0.30), (4, 0.25), (12, 0.11), (46, 0.04))


@dataclass(frozen=True)
class Chat:
    """A row as training takes it."""

    example_id: str
    messages: tuple[dict[str, str], ...]


def chats(count: int, seed: int) -> list[Chat]:
    """`count` conversations of two turns; the same seed gives the same ones."""
    rng = random.Random(seed)
    return [Chat(f"chat-{seed}-{i}", _messages(rng)) for i in range(count)]


def _messages(rng: random.Random) -> tuple[dict[str, str], ...]:
    part, place, verb = rng.choice(PARTS), rng.choice(PARTS), rng.choice(VERBS)
    sentences = rng.choices([n for n, _ in CONTEXT], [share for _, share in CONTEXT])[0]
    context = " ".join(rng.choice(FILLERS) for _ in range(sentences))
    asked = f"Write a commit message. {context}\nChange: {verb} the {part} in module {place}."
    answer = f"{verb}({place}): {verb} the {part} in module {place}\n\nOwner: {OWNERS[place]}\nReviewer: {OWNERS[part]}"
    return {"role": "user", "content": asked}, {"role": "assistant", "content": answer}
