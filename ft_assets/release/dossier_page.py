"""A dossier's page without a format, and the same page as Markdown and as HTML, each with its own escaping."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

TEMPLATE = "dossier.html.j2"
# Signs with a meaning in Markdown or HTML, underscores at a word's edge, and what makes a link or a list.
SPECIAL = re.compile(r"[\\`*\[\]|<>~&$@]|(?<![^\W_])_|_(?![^\W_])|^[-+=#]|^\d(?=\d*[.)]\s)|:(?=//)")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Words:
    """A paragraph; `loud` where nobody may miss it."""

    text: str
    loud: bool = False


@dataclass(frozen=True)
class Lines:
    """A list."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Cells by row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Link:
    """A file of the dossier, and what it is."""

    file: str
    about: str


Block = Words | Lines | Table | Link


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """The whole dossier: what it is about, in one sentence what it says, and its sections."""

    title: str
    headline: str
    sections: Sequence[Section] = field(default_factory=tuple)


def markdown(page: Page) -> str:
    """The page as Markdown; text of people and models is shown literally."""
    blocks = [f"# {inline(page.title)}", f"**{inline(page.headline)}**"]
    for section in page.sections:
        blocks += [f"## {inline(section.title)}", *map(_block, section.blocks)]
    return "\n\n".join(blocks) + "\n"


def html(page: Page) -> str:
    """The page as one HTML file that loads and runs nothing; every value is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ft_assets", "release"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: CONTROL.sub("\ufffd", value) if type(value) is str else value,
    )
    return environment.get_template(TEMPLATE).render(page=page, kind=lambda block: type(block).__name__)


def inline(text: object) -> str:
    """The text as one line that Markdown and HTML show literally, also inside a table cell."""
    flat = " ".join(CONTROL.sub("\ufffd", str(text)).split())
    return SPECIAL.sub(lambda match: f"&#{ord(match[0])};", flat)


def _block(block: Block) -> str:
    match block:
        case Words(text, loud):
            return f"**{inline(text)}**" if loud else inline(text)
        case Lines(lines):
            return "\n".join(f"- {inline(line)}" for line in lines)
        case Table(head, rows):
            cells = [[inline(cell) for cell in row] for row in (head, *rows)]
            table = [cells[0], ["---"] * len(head), *cells[1:]]
            return "\n".join("| " + " | ".join(row) + " |" for row in table)
        case Link(file, about):
            return f"[{inline(file)}]({file}): {inline(about)}"
