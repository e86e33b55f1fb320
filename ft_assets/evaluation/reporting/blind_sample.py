"""Twenty pairs of answers for a person who may not know which model gave which, and the verdicts that come back.

The file that people fill in is a CSV; the key that says who is A stays with the report.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ft_assets.evaluation.items import EvalItem, digest
from ft_assets.spreadsheet_cells import LONGEST_CELL, guarded

PAIRS = 20
KEY_FILE = "blind-key.json"
COLUMNS = ("sample", "question", "better", "comment", "reviewer", "prompt", "answer_a", "answer_b")


@dataclass(frozen=True)
class BlindKey:
    """Which answer is whose: `candidate_is` maps a question's number (Q01) to "A" or "B", `rows` to its row id.

    `same` is how many of the suite's `asked` questions both sides answered alike; those are not drawn.
    """

    sample: str
    candidate: str
    incumbent: str
    suite: str
    candidate_is: Mapping[str, str]
    rows: Mapping[str, str]
    same: int
    asked: int


@dataclass(frozen=True)
class BlindSample:
    """The lines of the file for people (by COLUMNS, nothing filled in yet), and its key."""

    lines: Sequence[Mapping[str, str]]
    key: BlindKey

    @property
    def file_name(self) -> str:
        """blind-<sample>.csv"""
        return f"blind-{self.key.sample}.csv"


def blind_sample(
    items: Sequence[EvalItem],
    candidate_answers: Mapping[str, str],
    incumbent_answers: Mapping[str, str],
    digests: tuple[str, str, str],
    count: int = PAIRS,
) -> BlindSample:
    """At most `count` questions that the two answered differently, one per cluster, who is A hidden.

    `digests` are the candidate's, the incumbent's and the suite's: drawn and ordered by a hash that they key, so that
    the same three give the same sample, and nobody chooses. Questions that both answered alike are counted, not drawn.
    """
    asked = [item for item in items if item.row_id in candidate_answers and item.row_id in incumbent_answers]
    differing = [item for item in asked if candidate_answers[item.row_id] != incumbent_answers[item.row_id]]
    sample = "s" + digest(["blind", *digests])[:12]  # a letter first: a spreadsheet makes 12e45 a number
    drawn = _one_per_cluster(sorted(differing, key=lambda item: digest([*digests, item.row_id])))[:count]
    first = {item.row_id: "AB"[int(digest([*digests, item.row_id, "order"])[:8], 16) % 2] for item in drawn}
    numbers = {f"Q{place:02d}": item for place, item in enumerate(drawn, start=1)}
    lines = []
    for number, item in numbers.items():
        answers = [candidate_answers[item.row_id], incumbent_answers[item.row_id]]
        a, b = answers if first[item.row_id] == "A" else answers[::-1]
        asked_text = "\n\n".join(f"{message.role}: {message.content}" for message in item.messages[:-1])
        told = {"sample": sample, "question": number, "prompt": asked_text, "answer_a": a, "answer_b": b}
        lines.append({name: told.get(name, "") for name in COLUMNS})
    key = BlindKey(
        sample=sample,
        candidate=digests[0],
        incumbent=digests[1],
        suite=digests[2],
        candidate_is={number: first[item.row_id] for number, item in numbers.items()},
        rows={number: item.row_id for number, item in numbers.items()},
        same=len(asked) - len(differing),
        asked=len(asked),
    )
    return BlindSample(lines, key)


def write_blind_sample(directory: Path, sample: BlindSample) -> None:
    """Writes the CSV (UTF-8 with a mark, so that a spreadsheet reads it as that) and blind-key.json into `directory`.

    Only the CSV goes to people. Cells are guarded against formulas; text beyond what a cell can hold is cut, and says
    so.
    """
    with (directory / sample.file_name).open("w", encoding="utf-8-sig", errors="replace", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows([_cell(line[name]) for name in COLUMNS] for line in sample.lines)
    text = json.dumps(asdict(sample.key), sort_keys=True, indent=1) + "\n"
    (directory / KEY_FILE).write_text(text, encoding="ascii")


def read_key(path: Path) -> BlindKey:
    """The key that stands in a report."""
    return BlindKey(**json.loads(path.read_text(encoding="ascii")))


def _one_per_cluster(items: Sequence[EvalItem]) -> list[EvalItem]:
    """The first item of each cluster, in order."""
    first: dict[str, EvalItem] = {}
    for item in items:
        first.setdefault(item.cluster_id, item)
    return list(first.values())


def _cell(text: str) -> str:
    if len(text) > LONGEST_CELL:
        text = f"{text[:LONGEST_CELL]} ... ({len(text) - LONGEST_CELL} characters more)"
    return guarded(text)
