"""Faults: precision and recall on the labelled cases, and CPU per row on generated interactions.

    python benchmarks/faults.py

The rows are those of generated_interactions.py, about 1 KB each as they are logged. CPU is that of all threads, the
least of several rounds: `columns` for the test that names suspects, `rule` for Python on these. 0.5 % of the rows are a
refusal, so its rule has work.
"""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson
import polars as pl
from generated_interactions import _text_of, day_names, write_days

from ft_assets.curation.fault_answers import Answer, answers_of
from ft_assets.curation.faults import FAULTS, faults

CASES = Path(__file__).parents[1] / "ft_assets_tests" / "curation" / "fault_cases.jsonl"
ROWS = 30_000
ROUNDS = 7
FIVE = ("refusal", "truncated", "repeating", "empty_praise", "addresses_the_judge")  # those that issue 4 names


def print_accuracy() -> None:
    """Precision and recall of each fault, on the cases that its rule was tuned on and on those held out."""
    cases = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]
    texts, prompts, tasks = (
        pl.Series([case.get(name) for case in cases], dtype=pl.String) for name in ("answer", "prompt", "task")
    )
    found = faults(texts, prompts, tasks).to_list()
    print(f"{len(cases)} labelled cases; precision / recall (right, wrong, missed)")
    print(f"{'fault':22s} {'tuned on':30s} held out")
    for name in FAULTS:
        parts = []
        for held_out in (False, True):
            counts = Counter(
                (case["faulty"], name in names)
                for case, names in zip(cases, found, strict=True)
                if case["fault"] == name and case.get("held_out", False) is held_out
            )
            right, wrong, missed = counts[True, True], counts[False, True], counts[True, False]
            precision, recall = right / max(1, right + wrong), right / max(1, right + missed)
            parts.append(f"{precision:.3f} / {recall:.3f} ({right}, {wrong}, {missed})")
        print(f"{name:22s} {parts[0]:30s} {parts[1]}")


def generated() -> pl.DataFrame:
    """The last question, the answer and the task of generated interactions, and the bytes of their log lines."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_days(Path(folder), ROWS, day_names(3))
        for path in sorted(Path(folder).glob("landing/*/log.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    record = orjson.loads(line)
                    row = (_text_of(record, "assistant"), _text_of(record, "user"), record.get("task_type"), len(line))
                except (ValueError, KeyError, TypeError, StopIteration):  # broken on purpose
                    continue
                rows.append(row)
    schema = {"answer": pl.String, "prompt": pl.String, "task": pl.String, "bytes": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row").rechunk()


def least_microseconds(work: Callable[[], object], rows: int) -> float:
    """The least CPU per row of several rounds, after one that compiles."""
    work()
    taken = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken) / rows * 1e6


def print_cost() -> None:
    """CPU of each part, of the five faults of issue 4, and of all."""
    rows = generated()
    texts, prompts, tasks = rows["answer"], rows["prompt"], rows["task"]
    columns = answers_of(texts, prompts, tasks)
    sizes = (rows["bytes"].mean(), columns.sizes.mean(), prompts.str.len_bytes().mean())
    print(f"\n{rows.height:,} rows of {sizes[0]:.0f} bytes as logged ({sizes[1]:.0f} answer, {sizes[2]:.0f} question)")
    print(f"{'CPU-us per row':22s} columns    rule  suspects")
    made = least_microseconds(lambda: answers_of(texts, prompts, tasks), rows.height)
    print(f"{'(columns of a batch)':22s} {made:7.3f}")
    for name, fault in FAULTS.items():
        taken = least_microseconds(lambda fault=fault: fault.suspects(columns), rows.height)
        suspects = [Answer(texts[row], prompts[row], tasks[row]) for row in fault.suspects(columns).arg_true()]
        ruled = least_microseconds(
            lambda fault=fault, suspects=suspects: [fault.holds(each) for each in suspects], rows.height
        )
        print(f"{name:22s} {taken:7.3f} {ruled:7.3f}  {len(suspects):6d}")
    five = least_microseconds(lambda: faults(texts, prompts, tasks, FIVE), rows.height)
    every = least_microseconds(lambda: faults(texts, prompts, tasks), rows.height)
    print(f"the five of issue 4 {five:.2f}, all {every:.2f} CPU-us per row")
    print(dict(Counter(name for names in faults(texts, prompts, tasks).to_list() for name in names)))


if __name__ == "__main__":
    print_accuracy()
    print_cost()
