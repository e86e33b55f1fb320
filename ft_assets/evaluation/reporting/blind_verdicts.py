"""A blind sample that came back: which answers people preferred, now that the key says whose they were."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ft_assets.errors import BadInput
from ft_assets.evaluation.reporting.blind_sample import COLUMNS, BlindKey
from ft_assets.spreadsheet_cells import unguarded

ONE_SIDED = 0.025  # each side of a 95 % interval
NEEDED = ("sample", "question", "better")
MEANINGS = {
    "a": "A", "answer a": "A", "answer_a": "A", "b": "B", "answer b": "B", "answer_b": "B",
    "tie": "tie", "equal": "tie", "same": "tie", "both good": "tie", "both bad": "both bad", "bad": "both bad",
    "neither": "both bad",
}  # fmt: skip
ALLOWED = "A, B, tie, both bad, or nothing for a pair that was not looked at"


@dataclass(frozen=True)
class BlindResult:
    """What one file of verdicts said. `low` and `high` bound the share of decided pairs in which the candidate was
    better: exact 95 % interval (Clopper and Pearson 1934); None where no pair was decided.

    `comments` holds (question, whose answer was better, comment).
    """

    sample: str
    candidate: str
    incumbent: str
    candidate_better: int
    incumbent_better: int
    ties: int
    both_bad: int
    not_judged: int
    reviewers: tuple[str, ...]
    comments: tuple[tuple[str, str, str], ...]
    low: float | None
    high: float | None

    @property
    def share(self) -> float | None:
        """The share of decided pairs in which the candidate was better."""
        decided = self.candidate_better + self.incumbent_better
        return self.candidate_better / decided if decided else None


def blind_results(files: Mapping[str, bytes], keys: Iterable[BlindKey]) -> tuple[list[BlindResult], list[str]]:
    """Every file of verdicts (by name) with the key of its sample, in the order of names; and a sentence for each file
    that could not be read. A person's slip in a cell must not stop an evaluation."""
    by_sample = {key.sample: key for key in keys}
    results, problems = [], []
    for name, body in sorted(files.items()):
        try:
            key = by_sample.get(sample_of(body))
            if key is None:
                raise BadInput("it belongs to no report of this line; keep the column sample as it was given out.")
            results.append(read_blind_verdicts(body, key))
        except BadInput as refusal:
            problems.append(f"Blind verdicts in {name} do not count: {refusal}")
    return results, problems


def sample_of(body: bytes) -> str:
    """The sample that the first row of a filled-in CSV names; empty where there is no row.

    Raises:
        BadInput: see `read_blind_verdicts`.
    """
    return next((row.get("sample", "").lower() for _, row in _rows(body)), "")


def read_blind_verdicts(body: bytes, key: BlindKey) -> BlindResult:
    """The verdicts in a filled-in CSV. What spreadsheets change on saving is read: a mark or none, UTF-16, semicolons
    or tabs, other quotation marks, columns in another order, empty columns and lines at the end. Rows may be left out.

    Raises:
        BadInput: another sample's file, no header, a question twice or unknown, a verdict that is none of the four;
            the message names line and column. Mend that cell and give the file back again.
    """
    said: dict[str, str] = {}
    comments, reviewers = [], set()
    for line, row in _rows(body):
        question = _question(line, row, key)
        if question in said:
            raise BadInput(
                f"Line {line}, column question: {question} stood in an earlier line too, so it would count twice. "
                "Delete one of the two."
            )
        said[question] = whose = _whose(line, row, key.candidate_is[question])
        if comment := row.get("comment", ""):
            comments.append((question, whose, comment))
        if whose and (reviewer := row.get("reviewer", "")):
            reviewers.add(reviewer)
    counts = Counter(said.values())
    low, high = _interval(counts["candidate"], counts["incumbent"])
    return BlindResult(
        sample=key.sample,
        candidate=key.candidate,
        incumbent=key.incumbent,
        candidate_better=counts["candidate"],
        incumbent_better=counts["incumbent"],
        ties=counts["tie"],
        both_bad=counts["both bad"],
        not_judged=len(key.candidate_is) - sum(count for whose, count in counts.items() if whose),
        reviewers=tuple(sorted(reviewers)),
        comments=tuple(sorted(comments)),
        low=low,
        high=high,
    )


def _rows(body: bytes) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The line that each row begins on and its cells by column, blank rows left out."""
    text = _decoded(body)
    header_line = text.partition("\n")[0]
    mark = max(",;\t", key=header_line.count)
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))  # the library stops at 128 KB
    lines = _lines(text, mark)
    header = [name.strip().lower() for name in next(lines, (1, []))[1]]
    if missing := [name for name in NEEDED if header.count(name) != 1]:
        raise BadInput(
            f"Line 1: the header has no column {', '.join(missing)} (or has it twice), so the verdicts cannot be read. "
            f"Keep the first line as it was: {', '.join(COLUMNS)}."
        )
    for line, cells in lines:
        if any(cell.strip() for cell in cells):
            yield line, {name: unguarded(cell).strip() for name, cell in zip(header, cells, strict=False) if name}


def _lines(text: str, mark: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, with the line that it begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise BadInput(
                f"Line {begins}: a quotation mark in this row is not closed or not doubled, so its columns cannot be "
                "told apart. Open the file in a spreadsheet and save it as CSV again."
            ) from None
        yield begins, cells


def _decoded(body: bytes) -> str:
    """UTF-8 with or without a mark, UTF-16 with one, or what a Western spreadsheet writes without being asked."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def _question(line: int, row: Mapping[str, str], key: BlindKey) -> str:
    if row.get("sample", "").lower() != key.sample:
        raise BadInput(
            f"Line {line}, column sample: this row is not of sample {key.sample}, so its A and B are other answers. "
            "Give the file back under the report that it came from."
        )
    question = row.get("question", "").upper()
    if question not in key.candidate_is:
        raise BadInput(
            f"Line {line}, column question: no question of sample {key.sample}, which has Q01 to "
            f"Q{len(key.candidate_is):02d}. Put the number back that stood there."
        )
    return question


def _whose(line: int, row: Mapping[str, str], candidate_is: str) -> str:
    """ "candidate", "incumbent", "tie", "both bad", or nothing where nobody decided."""
    cell = " ".join(row.get("better", "").lower().strip(" .!'\"").split())
    if not cell:
        return ""
    if cell not in MEANINGS:
        raise BadInput(f"Line {line}, column better: not a verdict, so it cannot be counted. Allowed: {ALLOWED}.")
    meaning = MEANINGS[cell]
    if meaning in ("A", "B"):
        return "candidate" if meaning == candidate_is else "incumbent"
    return meaning


def _interval(better: int, worse: int) -> tuple[float | None, float | None]:
    """Quantiles of the beta distribution, as Clopper and Pearson's bounds can be written."""
    from scipy.special import betaincinv  # only when verdicts came back

    if not better + worse:
        return None, None
    low = float(betaincinv(better, worse + 1, ONE_SIDED)) if better else 0.0
    return low, float(betaincinv(better + 1, worse, 1 - ONE_SIDED)) if worse else 1.0
