"""The report as a page without a format: sections of plain text, tables, pictures and answers side by side.

`markdown.py` and `html.py` write it, each with its own escaping, so that both say the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Lines:
    """A list."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Cells by row. `marks` says of a row whether it is good news ("better"), bad ("worse") or neither ("")."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    marks: Sequence[str] = ()


@dataclass(frozen=True)
class Picture:
    """A PNG that stands beside the page as `name`, and what it shows for whoever cannot see it."""

    name: str
    alt: str


@dataclass(frozen=True)
class SideBySide:
    """One question with its answers: a line above, then texts that are shown letter by letter under their labels."""

    title: str
    texts: Sequence[tuple[str, str]]
    worse: bool


Block = Words | Lines | Table | Picture | SideBySide


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; `folded` where few readers need it."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False


@dataclass(frozen=True)
class Opening:
    """The first screen: outcome, what it means in one sentence, and answers to what a reader asks first."""

    specialization: str
    outcome: str
    headline: str
    answers: Sequence[tuple[str, str]]
    scale: "Scale | None" = None


@dataclass(frozen=True)
class Scale:
    """The deciding difference on a line: estimate and interval, and `limit`, what the lower end had to pass; in
    percentage points where `in_points`, else in the metric's own unit."""

    estimate: float
    low: float
    high: float
    limit: float
    label: str
    in_points: bool


@dataclass(frozen=True)
class Page:
    """A whole report."""

    opening: Opening
    sections: Sequence[Section]
    pictures: Sequence[str] = field(default_factory=tuple)


def page_of(report: Mapping[str, Any]) -> Page:
    """The page for a report as `report.describe` gives it."""
    from ft_assets.evaluation.reporting.report_opening import opening_of
    from ft_assets.evaluation.reporting.report_sections import sections_of

    sections = [section for section in sections_of(report) if section.blocks]
    pictures = [block.name for section in sections for block in section.blocks if isinstance(block, Picture)]
    return Page(opening_of(report), sections, pictures)
