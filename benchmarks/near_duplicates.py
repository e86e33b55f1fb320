"""Near-duplicates against datasketch, both held to brute force; and what the thirtieth day costs beside the second.

    python benchmarks/near_duplicates.py [rows, default 100000] [days, default 30] [rows a day, default 33333]

Rows are generated: about 1 KB each, 8 % repeat an earlier one to the letter, 10 % with a few words edited. The job of
both sides: drop the exact copies, then name for each row the first earlier row whose prompt and answer both have a
Jaccard similarity of 0.8 or more over word 5-grams, verified. datasketch: 128 permutations over the same shingles,
each tagged with its side, MinHashLSH at 0.8, then the sets themselves. CPU seconds, every run in a process of its own,
median of three; compiled kernels are in the cache before, and what compiling costs is printed.
"""

import hashlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from datasketch import MinHash, MinHashLSH
from scipy.sparse import csr_array

from ft_assets.curation.near_duplicates import assign, exact_copies
from ft_assets.curation.segment import Segment, key_words
from ft_assets.curation.shingles import fingerprint
from ft_assets.example_ids import ID_DIGITS

EXACT, NEAR = 0.08, 0.10
TRUTH_ROWS, RUNS = 20_000, 3
ENDINGS = ("Hope this helps!", "Let me know if you need more.", "Thanks.")
WORD = re.compile(r"[a-z0-9_]+|[^\x00-\x7f]+")


# rows


def vocabulary() -> list[str]:
    """30,000 words, most frequent first."""
    rng = random.Random(5)
    syllables = re.findall("..", "ratiomelovialprecodexmusiferquabelostingerlynetcordalestparken")
    words = {"".join(rng.choices(syllables, k=rng.choice((1, 2, 2, 3, 3, 4)))) for _ in range(60_000)}
    return sorted(words, key=lambda word: (len(word), word))[:30_000]


def chat_rows(rows: int, seed: int, kept: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Prompts and answers; words by Zipf's law, sentences of 6 to 18 words. Repeats what is kept, and keeps a fifth."""
    words, rng = np.array(vocabulary(), dtype=object), random.Random(seed)
    shares = 1 / np.arange(1, len(words) + 1) ** 0.95
    stream = iter(())  # type: Iterator[str]
    numbers = np.random.default_rng(seed)

    def said(sentences: int) -> str:
        nonlocal stream
        out = []
        for _ in range(sentences):
            sentence = [word for _, word in zip(range(rng.randint(6, 18)), stream, strict=False)]
            if len(sentence) < 6:
                stream = iter(words[numbers.choice(len(words), 500_000, p=shares / shares.sum())])
                sentence = [next(stream) for _ in range(12)]
            out.append(" ".join(sentence).capitalize() + rng.choice("....?!"))
        return " ".join(out)

    for _ in range(rows):
        chance = rng.random()
        if kept and chance < EXACT:
            yield rng.choice(kept)
        elif kept and chance < EXACT + NEAR:
            prompt, answer = rng.choice(kept)
            answer = edited(answer, words, rng) + (f" {rng.choice(ENDINGS)}" if rng.random() < 0.3 else "")
            yield edited(prompt, words, rng) if rng.random() < 0.5 else prompt, answer
        else:
            row = said(rng.randint(2, 6)), said(rng.randint(6, 17))
            if rng.random() < 0.2 or len(kept) < 100:
                kept.append(row)
            yield row


def edited(text: str, words: np.ndarray, rng: random.Random) -> str:
    """None to two words replaced, left out or put in; short texts mostly stay."""
    said = text.split(" ")
    for _ in range(rng.choice((0, 1, 1, 2)) if len(said) > 30 else rng.random() < 0.2):
        at, what = rng.randrange(len(said)), rng.random()
        if what < 0.6:
            said[at] = rng.choice(words)
        elif what < 0.8:
            del said[at]
        else:
            said.insert(at, rng.choice(words))
    return " ".join(said)


def table(rows: int, seed: int, kept: list[tuple[str, str]]) -> pl.DataFrame:
    """Prompts, answers and example ids; a fifth of the rows in conversations of about two."""
    prompts, answers = zip(*chat_rows(rows, seed, kept), strict=True)
    ids = [
        hashlib.sha256(f"{prompt}\x1f{answer}".encode()).hexdigest()[:ID_DIGITS]
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    asked = [hashlib.sha256(prompt.lower().encode()).hexdigest()[:ID_DIGITS] for prompt in prompts]
    rng = random.Random(seed)
    talks = [
        hashlib.sha256(f"{seed} {rng.randrange(rows // 10 + 1)}".encode()).hexdigest()[:ID_DIGITS]
        if rng.random() < 0.2
        else None
        for _ in prompts
    ]
    return pl.DataFrame({"prompt": prompts, "answer": answers, "id": ids, "prompt_id": asked, "conversation": talks})


# both sides of the comparison: number of the first earlier near-duplicate's group, -1 for none and for exact copies


def here(rows: pl.DataFrame) -> tuple[dict[str, float], np.ndarray]:
    spent = {}
    start = time.process_time()
    kept = np.flatnonzero(exact_copies(rows["id"], []).segment < 0)
    fresh = rows[kept] if len(kept) < len(rows) else rows
    spent["exact copies"] = time.process_time() - start
    start = time.process_time()
    new = fingerprint(fresh["prompt"], fresh["answer"])
    spent["fingerprint"] = time.process_time() - start
    start = time.process_time()
    none = np.zeros((len(fresh), 2), np.uint64)
    found = assign(new, fresh["id"], none, none, None, [])
    spent["assign"] = time.process_time() - start
    start = time.process_time()
    parts = Segment.build(new, fresh["id"], none, none, found.cluster_id, found.duplicate_group).parts()
    spent["segment"] = time.process_time() - start
    spent["bytes a row"] = sum(memoryview(part).nbytes for part in parts) / len(fresh)
    place = dict(zip(fresh["id"], kept.tolist(), strict=True))
    group = np.full(len(rows), -1)
    for at, own, first in zip(kept.tolist(), fresh["id"], found.duplicate_group, strict=True):
        if own != first:
            group[at] = place[first]
    return spent, group


def here_in_days(rows: pl.DataFrame, days: int) -> np.ndarray:
    """The groups when the rows arrive day by day."""
    place: dict[str, int] = {}
    group, history = np.full(len(rows), -1), []
    for part in rows.with_row_index("at").iter_slices(-(-len(rows) // days)):
        fresh = part.filter(pl.Series(exact_copies(part["id"], history).segment < 0))
        new, none = fingerprint(fresh["prompt"], fresh["answer"]), np.zeros((len(fresh), 2), np.uint64)
        found = assign(new, fresh["id"], none, none, None, history)
        history.append(Segment.build(new, fresh["id"], none, none, found.cluster_id, found.duplicate_group))
        place |= dict(zip(fresh["id"], fresh["at"], strict=True))
        for at, own, first in zip(fresh["at"], fresh["id"], found.duplicate_group, strict=True):
            group[at] = -1 if own == first else place[first]
    return group


def grams(text: str, tag: str) -> set[str]:
    words = WORD.findall(text.lower())
    return {tag + " ".join(words[at : at + 5]) for at in range(max(1, len(words) - 4))}


def with_datasketch(rows: pl.DataFrame) -> tuple[dict[str, float], np.ndarray]:
    start = time.process_time()
    index, seen, sets, group = MinHashLSH(threshold=0.8, num_perm=128), set(), {}, np.full(len(rows), -1)
    for at, (prompt, answer, example) in enumerate(rows.select("prompt", "answer", "id").iter_rows()):
        if example in seen:
            continue
        seen.add(example)
        asked, answered = grams(prompt, "p "), grams(answer, "a ")
        sets[at] = asked, answered
        signature = MinHash(num_perm=128)
        signature.update_batch([gram.encode() for gram in asked | answered])
        for other in sorted(index.query(signature)):
            if all(5 * len(a & b) >= 4 * len(a | b) for a, b in zip(sets[at], sets[other], strict=True)):
                group[at] = other if group[other] < 0 else group[other]
                break
        index.insert(at, signature, check_duplication=False)
    return {"all": time.process_time() - start}, group


def by_brute_force(rows: pl.DataFrame) -> np.ndarray:
    """The same from all pairs: sparse products of rows and grams."""
    kept = np.flatnonzero(rows["id"].is_first_distinct().to_numpy())
    alike = None
    for column in ("prompt", "answer"):
        numbers: dict[str, int] = {}
        sets = [
            [numbers.setdefault(gram, len(numbers)) for gram in grams(text, "")] for text in rows[column].gather(kept)
        ]
        sizes = np.array([len(one) for one in sets])
        ends = np.concatenate([[0], np.cumsum(sizes)])
        incidence = csr_array((np.ones(ends[-1], np.int32), np.concatenate(sets), ends), (len(sets), len(numbers)))
        shared = (incidence @ incidence.T).tocoo()
        enough = 9 * shared.data >= 4 * (sizes[shared.row] + sizes[shared.col])
        pairs = set(zip(shared.row[enough].tolist(), shared.col[enough].tolist(), strict=True))
        alike = pairs if alike is None else alike & pairs
    group = np.full(len(rows), -1)
    for later, earlier in sorted(alike or ()):
        if earlier < later and group[kept[later]] < 0:
            first = kept[earlier]
            group[kept[later]] = first if group[first] < 0 else group[first]
    return group


def quality(found: np.ndarray, truth: np.ndarray) -> str:
    both = ((found >= 0) & (truth >= 0)).sum()
    same = (found == truth)[truth >= 0].mean()
    return (
        f"recall {both / (truth >= 0).sum():.4f}, precision {both / (found >= 0).sum():.4f}, "
        f"the very group of brute force {same:.4f}"
    )


# many days


def day_costs(days: int, rows: int) -> list[float]:
    """CPU seconds of each day, from texts to its stored segment; the history is opened anew each time."""
    spent = []
    with tempfile.TemporaryDirectory() as folder:
        paths: list[Path] = []
        kept: list[tuple[str, str]] = []
        for day in range(days):
            part = table(rows, 1000 + day, kept)
            start = time.process_time()
            history = [Segment.open(path) for path in paths]
            part = part.filter(pl.Series(exact_copies(part["id"], history).segment < 0))
            new = fingerprint(part["prompt"], part["answer"])
            keys = key_words(part["conversation"]), key_words(part["prompt_id"])
            found = assign(new, part["id"], *keys, None, history)
            segment = Segment.build(new, part["id"], *keys, found.cluster_id, found.duplicate_group)
            paths.append(Path(folder) / f"{day:04d}")
            paths[-1].write_bytes(b"".join(segment.parts()))
            spent.append(time.process_time() - start)
    return spent


SIDES = {"here": here, "datasketch": with_datasketch}


def in_own_process(*arguments: str, **environment: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, *arguments], capture_output=True, text=True, check=True, env=os.environ | environment
    )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def run_side(side: str, path: str) -> None:
    """In a process of its own."""
    rows = pl.read_parquet(path)
    if side == "compile":
        start = time.process_time()
        day_costs(2, 50)
        spent: dict[str, float] = {"all": time.process_time() - start}
    else:
        SIDES[side](rows[:50])  # the compiled code is loaded, caches are filled
        spent, group = SIDES[side](rows)
        np.save(f"{path}.{side}.npy", group)
    print(json.dumps(spent))


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] in (*SIDES, "compile"):
        return run_side(*sys.argv[1:])
    rows, days, day_rows = (int(a) for a in (*sys.argv[1:], *("100000", "30", "33333")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as name:
        path, truth_path = f"{name}/rows.parquet", f"{name}/truth.parquet"
        table(rows, 1, []).write_parquet(path)
        table(TRUTH_ROWS, 2, []).write_parquet(truth_path)
        texts = pl.read_parquet(path, columns=["prompt", "answer"])
        size = sum(texts[column].str.len_bytes().sum() for column in texts.columns) / rows
        cold = in_own_process("compile", truth_path, NUMBA_CACHE_DIR=f"{name}/cold")["all"]
        warm = in_own_process("compile", truth_path)["all"]
        warm = in_own_process("compile", truth_path)["all"]
        print(
            f"{rows} rows of {size:.0f} bytes; compiling once: {cold - warm:.1f} CPU-s; loading it: at most {warm:.1f}"
        )
        spent = {}
        for side in SIDES:
            runs = [in_own_process(side, path) for _ in range(RUNS)]
            parts = {part: statistics.median(run[part] for run in runs) for part in runs[0]}
            bytes_a_row = parts.pop("bytes a row", None)
            spent[side] = sum(parts.values())
            line = ", ".join(f"{part} {1e6 * cost / rows:.2f}" for part, cost in parts.items())
            print(f"{side}: {spent[side]:.2f} CPU-s, per row in us: {line}", flush=True)
            if bytes_a_row:
                print(f"  segment: {bytes_a_row:.0f} bytes a row")
        print(f"datasketch / here: {spent['datasketch'] / spent['here']:.1f}", flush=True)
        truth_rows = pl.read_parquet(truth_path)
        truth = by_brute_force(truth_rows)
        print(f"{TRUTH_ROWS} rows, of which {(truth >= 0).sum()} have an earlier near-duplicate by brute force")
        for side in SIDES:
            in_own_process(side, truth_path)
            print(f"  {side}: {quality(np.load(f'{truth_path}.{side}.npy'), truth)}", flush=True)
        in_days = here_in_days(truth_rows, 10)
        print(f"  here, as ten days: {quality(in_days, truth)}")
    costs = day_costs(days, day_rows)
    print(f"days of {day_rows} rows, us a row: " + " ".join(f"{1e6 * cost / day_rows:.1f}" for cost in costs))
    print(f"day {days} / day 2: {costs[-1] / costs[1]:.2f}")


if __name__ == "__main__":
    main()
