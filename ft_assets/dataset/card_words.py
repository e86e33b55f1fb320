"""Small words of Markdown: labels that cannot break a page, tables, numbers."""

import re
from collections.abc import Iterable, Mapping, Sequence

LONGEST_LABEL = 60
# Everything but letters, digits and the plainest signs; an underscore only inside a word; what browsers make links of.
SPECIAL = re.compile(r"[^\w .,;:'…()%+/-]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.|^[-+]|^\d+(?=[.)](?:\s|$))", re.I)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def label(text: object) -> str:
    """A name that came with the data, as one short line that Markdown and HTML show literally."""
    flat = CONTROL.sub("\ufffd", " ".join(str(text).split()))
    shown = flat if len(flat) <= LONGEST_LABEL else f"{flat[: LONGEST_LABEL - 1]}…"
    return SPECIAL.sub(lambda match: "".join(f"&#{ord(character)};" for character in match[0]), shown)


def label_sentence(text: str) -> str:
    """A sentence with such names in it, word by word as `label` shows them, whatever its length."""
    return " ".join(label(word) for word in text.split())


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; columns whose cells are numbers stand right. Cells are text already fit for Markdown."""
    body = [[cell(value) for value in row] for row in rows]
    rule = ["---:" if body and re.match(r"[-+]?\d", body[0][place]) else "---" for place in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [list(head), rule, *body])


def cell(value: object) -> str:
    """A count with its thousands, a fraction with three figures, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def share(value: float) -> str:
    """A share of 0..1 in percent: 12 %, 0.4 %; more than nothing is never 0 %."""
    percent = 100 * value
    if 0 < percent < 0.1:
        return "under 0.1 %"
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %"


def listed(counts: Mapping[str, int]) -> str:
    """ "12 of a, 3 of b": counts as part of a sentence."""
    return ", ".join(f"{label(name)} {number:,}" for name, number in counts.items())


def few(number: int, one: str, many: str) -> str:
    """ "1 row", "2 rows"."""
    return f"{number:,} {one if number == 1 else many}"
