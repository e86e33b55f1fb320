"""Makes the tiny base model that ships in `data/tiny_base/`: a byte-level BPE tokenizer and a 4.2 M Llama.

    python data/make_tiny_base.py --out data/tiny_base --work .tiny_base_work

Three stages, each counted in steps (never in minutes), each from a fixed seed:

1. `pretrain`: plain next-token loss on the documentation and source of the Python standard library (PSF licence),
   with generated dialogues mixed in, so that the model knows words and the chat format.
2. `skills`: full parameters, loss on the answer's tokens only, generic skills (copy, list, read a field, fill slots,
   route by keyword). Random token runs fade out over the stage: they are the strongest signal for the induction
   heads that copying needs. This is where copying emerges; plain pre-training never gets there.
3. `anneal`: the last quarter of stage 2, in which the learning rate falls linearly to zero.

About one CPU-hour. The result depends on the CPU kind and on the Python patch version (the corpus is the standard
library itself), so the digest that is shipped is what `ft_assets` verifies, and `made_by.json` says where it was made.
"""

import argparse
import ast
import hashlib
import json
import math
import os
import platform
import random
import re
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PAD, END = "<|pad|>", "<|im_end|>"
CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", END, PAD]
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ m['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
VOCABULARY = 4096
PRETRAIN_STEPS, PRETRAIN_ROWS, PRETRAIN_LENGTH = 1_500, 8, 256
SKILL_STEPS, SKILL_BATCH_TOKENS, ANNEAL_FRACTION = 7_000, 2_048, 0.3

Skill = tuple[str, str, str]  # kind, prompt, answer


# ---- corpus ---------------------------------------------------------------------------------------------------------
SKIPPED = ("site-packages", "/test/", "/tests/", "/idlelib/", "/lib2to3/", "/encodings/", "_data/", "/__pycache__")


def standard_library() -> tuple[list[str], list[str]]:
    """Docstrings over 60 characters, and whole source files, of this Python's standard library, in path order."""
    root = Path(sysconfig.get_paths()["stdlib"])
    prose: list[str] = []
    code: list[str] = []
    for path in sorted(root.rglob("*.py")):
        name = "/" + path.relative_to(root).as_posix()
        if any(part in name for part in SKIPPED):
            continue
        try:
            source = path.read_text(encoding="utf-8")
            tree = ast.parse(source)
        except (UnicodeDecodeError, SyntaxError):  # a handful of files hold bad syntax on purpose
            continue
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        texts = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented))
        prose += [text for text in texts if text and len(text) > 60]
        code.append(source)
    return prose, code


# ---- generic skills -------------------------------------------------------------------------------------------------
CONSONANTS, VOWELS = "bcdfghjklmnprstvwz", "aeiou"
TEAMS = {
    "payments": ["tax", "price", "coin", "sale"],
    "mobile": ["phone", "touch", "swipe", "android"],
    "search": ["query", "rank", "filter", "lookup"],
    "infra": ["node", "cluster", "kernel", "memory"],
    "docs": ["guide", "manual", "page", "example"],
    "people": ["hire", "leave", "payroll", "office"],
}
PRIORITIES = {
    "high": ["stops", "breaks", "loses", "blocks"],
    "medium": ["delays", "confuses", "warns", "drops"],
    "low": ["shows", "lists", "moves", "colors"],
}
SYSTEM_PROMPTS = ["You are helpful.", "Answer exactly.", "You are a careful clerk.", "You are a writer of notes."]


class Words:
    """Words to copy: half made up, most of the rest from documentation, some numbers and two-part identifiers."""

    def __init__(self, rng: random.Random, pool: list[str], made_up: float = 0.45):
        self.rng, self.pool, self.made_up = rng, pool, made_up

    def one(self) -> str:
        kind = self.rng.random()
        if kind < self.made_up:
            return self.pseudo()
        if kind < 0.90:
            return self.rng.choice(self.pool)
        if kind < 0.95:
            return f"{self.rng.choice(self.pool)}_{self.rng.choice(self.pool)}"
        return str(self.rng.randint(0, 9999))

    def pseudo(self) -> str:
        rng = self.rng
        syllable = lambda: (
            rng.choice(CONSONANTS) + rng.choice(VOWELS) + (rng.choice(CONSONANTS) if rng.random() < 0.4 else "")
        )
        return "".join(syllable() for _ in range(rng.randint(1, 3)))

    def some(self, least: int, most: int) -> list[str]:
        return list(dict.fromkeys(self.one() for _ in range(self.rng.randint(least, most))))


def repeat(r: random.Random, w: Words) -> Skill:
    x = " ".join(w.some(2, 12))
    return "repeat", f"{r.choice(['Repeat: ', 'Say again: ', 'Copy this. '])}{x}", x


def bullets(r: random.Random, w: Words) -> Skill:
    x = w.some(2, 7)
    return "list", "List the words.\n" + " ".join(x), "\n".join("- " + t for t in x)


def read_field(r: random.Random, w: Words) -> Skill:
    keys = w.some(2, 7)
    values = [w.one() for _ in keys]
    i = r.randrange(len(keys))
    return (
        "read",
        f"Read the field {keys[i]}.\n" + " ".join(f"{k}={v}" for k, v in zip(keys, values, strict=True)),
        values[i],
    )


def read_fields(r: random.Random, w: Words) -> Skill:
    """Two or three named fields out of a noisy line, one per line of the answer."""
    keys = w.some(3, 6)
    pairs = [(k, w.one()) for k in keys]
    asked = r.sample(pairs, min(len(pairs), r.randint(2, 3)))
    style = r.choice(["{k}={v}", "{k}: {v}", "[{k} {v}]", "{k}<{v}>"])
    line = r.choice([" ", ", ", " | "]).join(style.format(k=k, v=v) for k, v in pairs)
    return "fields", f"Report {' and '.join(k for k, _ in asked)}.\n{line}", "\n".join(f"{k}: {v}" for k, v in asked)


def fill(r: random.Random, w: Words) -> Skill:
    a, b, c = w.one(), w.one(), w.one()
    shape = r.choice(["{a} then {b} with {c}", "{b} after {a} for {c}", "no {c} without {a} or {b}", "{a}({b}, {c})"])
    asked = shape.format(a="A", b="B", c="C")
    return "fill", f"Fill: {asked}. A={a} B={b} C={c}", shape.format(a=a, b=b, c=c)


def follow(r: random.Random, w: Words) -> Skill:
    x = w.some(4, 9)
    i = r.randrange(len(x) - 1) if len(x) > 1 else 0
    return "follow", f"What follows {x[i]}?\n" + " ".join(x), x[min(i + 1, len(x) - 1)]


def note(r: random.Random, w: Words) -> Skill:
    a, b, c, d = (w.one() for _ in range(4))
    if r.random() < 0.5:
        return "note", f"Turn into a note.\n{a.capitalize()} the {b} {c} of {d}", f"note({d}): {a.lower()} {b} {c}"
    return "note", f"Turn into a note.\nIn {d}, {a} {b} and {c}", f"note({d}): {a} {b}, {c}"


def sentence(r: random.Random, w: Words) -> Skill:
    a, b, c, d = (w.one() for _ in range(4))
    return "sentence", f"Make a sentence.\nwho={a} does={b} what={c} where={d}", f"{a} will {b} the {c} in {d}."


def lines(r: random.Random, w: Words) -> Skill:
    keys = w.some(2, 5)
    values = [w.one() for _ in keys]
    spoken = ", ".join(f"{k} is {v}" for k, v in zip(keys, values, strict=True))
    return "lines", "As lines.\n" + spoken, "\n".join(f"{k}: {v}" for k, v in zip(keys, values, strict=True))


def joined(r: random.Random, w: Words) -> Skill:
    x = [w.pseudo() if r.random() < 0.4 else r.choice(w.pool) for _ in range(r.randint(2, 3))]
    y = r.choice(w.pool)
    kind = r.randrange(3)
    if kind == 0:
        return "join", f"Join with underscores: {' '.join(x)}", "_".join(x)
    if kind == 1:
        return "join", f"Call it: the {' '.join(x)} of {y}", f"{y}.{'_'.join(x)}"
    return "join", f"Stub: {' '.join(x)} takes {y}", f"{'_'.join(x)}({y})"


def swap(r: random.Random, w: Words) -> Skill:
    x = w.some(4, 9)
    i, new = r.randrange(len(x)), w.one()
    return "swap", f"Put {new} for {x[i]}: {' '.join(x)}", " ".join(new if k == i else t for k, t in enumerate(x))


def lowercase(r: random.Random, w: Words) -> Skill:
    x = w.some(2, 5)
    up = r.choice([str.capitalize, str.upper])
    return "lower", "Lowercase: " + " ".join(up(t) for t in x), " ".join(t.lower() for t in x)


def route(r: random.Random, w: Words) -> Skill:
    team, priority = r.choice(list(TEAMS)), r.choice(list(PRIORITIES))
    a, b, c = w.one(), w.one(), w.one()
    prompt = f"Route the ticket.\nThe {r.choice(TEAMS[team])} {a} {r.choice(PRIORITIES[priority])} {b} in {c}"
    return "route", prompt, f"team: {team}\npriority: {priority}\nwhere: {c}"


def plan(r: random.Random, w: Words) -> Skill:
    a, b, c = w.one(), w.one(), w.one()
    return "plan", f"Plan: to {a} the {b} for {c}", f"First open the {b}\nThen {a} the {b}\nTell {c} the {b} is done"


SKILLS: list[Callable[[random.Random, Words], Skill]] = [
    *(repeat, repeat, bullets, read_field, read_fields, read_fields, fill, fill, follow, note, note),
    *(sentence, lines, joined, joined, swap, lowercase, route, plan),
]


def any_skill(rng: random.Random, words: Words) -> Skill:
    return rng.choice(SKILLS)(rng, words)


def chat_prompt(rng: random.Random, prompt: str) -> str:
    system = f"<|im_start|>system\n{rng.choice(SYSTEM_PROMPTS)}{END}\n" if rng.random() < 0.3 else ""
    return f"{system}<|im_start|>user\n{prompt}{END}\n<|im_start|>assistant\n"


def split_words(prose: list[str]) -> tuple[list[str], list[str]]:
    """Words of the documentation: those the skills use, and 800 that no skill ever uses (to measure on)."""
    words = sorted({word for text in prose for word in re.findall(r"[a-z]{3,11}", text)})
    random.Random(5).shuffle(words)
    return words[:-800], words[-800:]


# ---- tokenizer and model --------------------------------------------------------------------------------------------
def build_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=CONTROL_TOKENS, initial_alphabet=alphabet, show_progress=False
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        bos_token=None,
        unk_token=None,
        additional_special_tokens=CONTROL_TOKENS[:2],
        padding_side="left",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def new_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        bos_token_id=None,
        eos_token_id=CONTROL_TOKENS.index(END),
        pad_token_id=CONTROL_TOKENS.index(PAD),
    )
    return LlamaForCausalLM(config).float()


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[list[int]]:
    return [e.ids for e in tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)]


# ---- stage 1 --------------------------------------------------------------------------------------------------------
def pretrain(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: list[str], pool: list[str]) -> float:
    """Next-token loss over packed text; a quarter of each batch is skill dialogues. Returns the last running loss."""
    rng = random.Random(1)
    order = texts[:]
    rng.shuffle(order)
    text_ids = torch.tensor([t for ids in encode(tokenizer, order) for t in [*ids, 0]])
    words = Words(rng, pool)
    dialogues = []
    for _ in range(12_000):
        _, prompt, answer = any_skill(rng, words)
        dialogues.append(f"{chat_prompt(rng, prompt)}{answer}{END}\n")
    skill_ids = torch.tensor([t for ids in encode(tokenizer, dialogues) for t in [*ids, 0]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    draw, running, started = np.random.default_rng(0), 0.0, time.time()
    for step in range(PRETRAIN_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = (
                3e-3 * min(1, (step + 1) / 40) * max(0.1, 0.5 * (1 + math.cos(math.pi * step / PRETRAIN_STEPS)))
            )
        windows = []
        for row in range(PRETRAIN_ROWS):
            source = skill_ids if row < PRETRAIN_ROWS // 4 else text_ids
            at = int(draw.integers(0, len(source) - PRETRAIN_LENGTH - 1))
            windows.append(source[at : at + PRETRAIN_LENGTH])
        batch = torch.stack(windows)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        running = update(model, optimizer, loss, running, step)
        if (step + 1) % 100 == 0:
            print(f"pretrain {step + 1}/{PRETRAIN_STEPS} loss {running:.3f} {time.time() - started:.0f} s", flush=True)
    return running


def update(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor, running: float, step: int
) -> float:
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss.item() if step == 0 else 0.97 * running + 0.03 * loss.item()


# ---- stage 2 and 3 --------------------------------------------------------------------------------------------------
Pair = tuple[list[int], list[int]]  # prompt ids, answer ids


def random_run(rng: random.Random, before: list[int], after: list[int]) -> Pair:
    run = [rng.randrange(300, VOCABULARY) for _ in range(rng.randint(8, 48))]
    return before + run + after, [*run, CONTROL_TOKENS.index(END)]


def skill_pairs(tokenizer: PreTrainedTokenizerFast, rng: random.Random, words: Words, count: int) -> list[Pair]:
    skills = [any_skill(rng, words) for _ in range(count)]
    prompts = encode(tokenizer, [chat_prompt(rng, prompt) for _, prompt, _ in skills])
    answers = encode(tokenizer, [answer + END for _, _, answer in skills])
    return list(zip(prompts, answers, strict=True))


def batches_by_length(pairs: list[Pair], rng: random.Random) -> list[list[Pair]]:
    size = lambda pair: len(pair[0]) + len(pair[1])
    batches: list[list[Pair]] = [[]]
    for pair in sorted(pairs, key=size):
        if batches[-1] and (len(batches[-1]) + 1) * size(pair) > SKILL_BATCH_TOKENS:
            batches.append([])
        batches[-1].append(pair)
    rng.shuffle(batches)
    return batches


def answer_loss(model: LlamaForCausalLM, batch: list[Pair]) -> torch.Tensor:
    width = max(len(p) + len(a) for p, a in batch)
    ids = torch.full((len(batch), width), CONTROL_TOKENS.index(PAD))
    labels = torch.full_like(ids, -100)
    for row, (prompt, answer) in enumerate(batch):
        ids[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        asked = labels[:, 1:] != -100
        return F.cross_entropy(model.lm_head(hidden[asked]).float(), labels[:, 1:][asked])


def learn_skills(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    pool: list[str],
    held_out: list[str],
    save: Callable[[int], None],
) -> float:
    """Answer-only loss over generated skills; returns the last running loss. Prints copy accuracy as it goes."""
    rng = random.Random(5)
    words = Words(rng, pool)
    before, after = encode(tokenizer, ["<|im_start|>user\nRepeat: ", f"{END}\n<|im_start|>assistant\n"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.5e-3, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    step, running, tokens, started = 0, 0.0, 0, time.time()
    while step < SKILL_STEPS:
        share = max(0.04, 0.5 - step / SKILL_STEPS)
        drawn = [rng.random() < share for _ in range(256)]
        pairs = [random_run(rng, before, after) for is_run in drawn if is_run]
        pairs += skill_pairs(tokenizer, rng, words, drawn.count(False))
        for batch in batches_by_length(pairs, rng)[: SKILL_STEPS - step]:
            left = (SKILL_STEPS - step) / (SKILL_STEPS * ANNEAL_FRACTION)
            for group in optimizer.param_groups:
                group["lr"] = 1.5e-3 * min(1.0, (step + 1) / 50, max(left, 0.02))
            running = update(model, optimizer, answer_loss(model, batch), running, step)
            step, tokens = step + 1, tokens + sum(len(p) + len(a) for p, a in batch)
            if step % 500 == 0:
                save(step)
                seen = copy_accuracy(model, tokenizer, Words(random.Random(77), pool, made_up=0.9), 60)
                unseen = copy_accuracy(model, tokenizer, Words(random.Random(78), held_out, made_up=0.0), 60)
                print(
                    f"skills {step}/{SKILL_STEPS} loss {running:.3f} tokens {tokens} {time.time() - started:.0f} s "
                    f"made-up {seen[0]:.2f} held-out {unseen[0]:.2f}",
                    flush=True,
                )
    return running


@torch.no_grad()
def copy_accuracy(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, words: Words, count: int
) -> tuple[float, dict[str, float]]:
    """Share of skills answered exactly, over all kinds and per kind."""
    model.eval()
    right: dict[str, list[bool]] = {}
    for _ in range(count):
        kind, prompt, answer = any_skill(words.rng, words)
        asked, expected = encode(tokenizer, [chat_prompt(words.rng, prompt), answer + END])
        ids = torch.tensor([asked])
        with torch.autocast("cpu", torch.bfloat16):
            out = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=len(expected) + 2, do_sample=False
            )
        right.setdefault(kind, []).append(out[0, len(asked) :].tolist() == expected)
    model.train()
    everything = [ok for oks in right.values() for ok in oks]
    return sum(everything) / count, {kind: round(sum(oks) / len(oks), 2) for kind, oks in sorted(right.items())}


# ---- the whole ------------------------------------------------------------------------------------------------------
def machine() -> dict[str, object]:
    flags = re.findall(r"\b(avx512_bf16|amx_bf16|avx512f|avx2)\b", Path("/proc/cpuinfo").read_text())
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": platform.machine(),
        "cpu_flags": sorted(set(flags)),
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="keeps the stages, so that a cut-off run goes on")
    args = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(2)
    prose, code = standard_library()
    texts = prose + code
    pool, held_out = split_words(prose)
    started = time.process_time()
    args.work.mkdir(parents=True, exist_ok=True)
    base = args.work / "pretrained"
    if not base.exists():
        tokenizer, model = build_tokenizer(texts), new_model()
        pretrain(model, tokenizer, texts, pool)
        tokenizer.save_pretrained(base)
        model.save_pretrained(base)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).train()
    loss = learn_skills(
        model, tokenizer, pool, held_out, lambda step: keep(model, tokenizer, args.work / f"skills-{step}")
    )
    made_up, by_skill = copy_accuracy(model, tokenizer, Words(random.Random(81), pool, made_up=0.9), 300)
    unseen, unseen_by_skill = copy_accuracy(model, tokenizer, Words(random.Random(82), held_out, made_up=0.0), 300)
    keep(model, tokenizer, args.out)
    facts = {
        **machine(),
        "corpus_sha256": hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest(),
        "corpus_characters": sum(map(len, texts)),
        "parameters": sum(p.numel() for p in model.parameters()),
        "cpu_seconds": round(time.process_time() - started),
        "final_answer_loss": round(loss, 4),
        "exact_copy_made_up_words": round(made_up, 3),
        "exact_copy_made_up_words_by_skill": by_skill,
        "exact_copy_held_out_words": round(unseen, 3),
        "exact_copy_held_out_words_by_skill": unseen_by_skill,
    }
    (args.out / "made_by.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(json.dumps(facts, indent=2))


def keep(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Saves a bf16 copy; the model that is being trained stays in fp32."""
    import copy

    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main()
