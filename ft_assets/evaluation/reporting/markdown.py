"""report.md: the page of a report as Markdown. Text of people and models cannot break it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ft_assets.evaluation.reporting.report_page import Block, Lines, Opening, Picture, SideBySide, Table, Words, page_of

# Signs with a meaning anywhere, underscores at a word's edge, what makes a link; an interval as [0.2, 4.1] is none.
SPECIAL = re.compile(
    r"(?P<interval>\[[-+]?\d[-+.\de]*, [-+]?\d[-+.\de]*\](?![\[(:]))"
    r"|[\\`*\[\]|<>~&$@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.",
    re.IGNORECASE,
)
AT_START = re.compile(r"^(?:[-+=#]|\d(?=\d*[.)]))")  # list and heading marks, where a cell of a table has none
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
LONGEST_TEXT = 1_500
MARKS = {"better": "▲ ", "worse": "▼ ", "": ""}


def render(report: Mapping[str, Any]) -> str:
    """The page for a report as `report.describe` gives it."""
    page = page_of(report)
    blocks = _opening(page.opening)
    for section in page.sections:
        blocks.append(f"## {inline(section.title)}")
        blocks += [_block(block) for block in section.blocks]
    return "\n\n".join(blocks) + "\n"


def inline(text: object) -> str:
    """The text as one line that Markdown and HTML show literally."""
    return AT_START.sub(lambda match: f"&#{ord(match[0])};", cell(text))


def cell(text: object) -> str:
    """The text as one line that Markdown and HTML show literally inside a table."""
    flat = " ".join(printable(str(text)).split())
    return SPECIAL.sub(lambda match: match["interval"] or f"&#{ord(match[0])};", flat)


def fenced(text: str) -> str:
    """The text as a code block, its fence longer than any run of backticks inside; a long text is cut, and says so."""
    shown = cut(printable(text.replace("\r\n", "\n")), LONGEST_TEXT)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    return f"{fence}text\n{shown}\n{fence}"


def printable(text: str) -> str:
    """The text with a replacement character for what moves a terminal's cursor or turns the direction of reading."""
    return CONTROL.sub("\ufffd", text)


def cut(text: str, longest: int) -> str:
    """At most so many characters of the text, and how many more there were."""
    return text if len(text) <= longest else f"{text[:longest]}\n... ({len(text) - longest} characters more)"


def _opening(opening: Opening) -> list[str]:
    answers = [f"**{inline(question)}:** {inline(answer)}" for question, answer in opening.answers]
    return [f"# {inline(opening.specialization)}: {opening.outcome}", f"**{inline(opening.headline)}**", *answers]


def _block(block: Block) -> str:
    match block:
        case Words(text):
            return inline(text)
        case Lines(lines):
            return _bullets(inline(line) for line in lines)
        case Table(head, rows, marks):
            return _table(head, rows, marks or [""] * len(rows))
        case Picture(name, alt):
            return f"[{inline(alt)}]({name})"
        case SideBySide(title, texts):
            told = [part for label, text in texts for part in (f"{inline(label)}:", fenced(text))]
            return "\n\n".join([f"**{inline(title)}**", *told])


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], marks: Sequence[str]) -> str:
    shown = [
        [MARKS[mark] + cell(text) if place == 0 else cell(text) for place, text in enumerate(row)]
        for row, mark in zip(rows, marks, strict=True)
    ]
    lines = [[cell(name) for name in head], ["---"] * len(head), *shown]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
