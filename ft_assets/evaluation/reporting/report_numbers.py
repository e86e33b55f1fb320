"""How a report writes its numbers: rates in percent and their differences in percentage points.

A unit is a metric's own, or what a comparison made of it: "ratio" (perplexities, x 0.62) or "share" (+12 % of that).
"""

from collections.abc import Mapping
from typing import Any

NOTHING = "–"
UNITS = {"rate": " %", "share": " %", "tokens": " tokens", "seconds": " s"}
CHANGES = UNITS | {"rate": " points", "nats": " nats a token"}


def unit_of(report: Mapping[str, Any], compared: Mapping[str, Any]) -> str:
    """The unit of a difference or of a condition (which has a `kind`)."""
    if compared.get("ratio"):
        return "ratio"
    if compared.get("relative"):
        return "share"
    unit = str(report["metrics"].get(compared["metric"], {}).get("unit", "rate"))
    return "nats" if unit == "perplexity" and "kind" in compared else unit  # a condition compares logarithms


def figure_text(figure: Mapping[str, Any] | None, unit: str) -> str:
    """82.0 % [77.4, 86.2]"""
    if figure is None or figure["figure"] is None:
        return NOTHING
    text, low, high = value_text(figure["figure"], unit), figure["low"], figure["high"]
    return text if low is None or high is None else f"{text} [{_bare(low, unit)}, {_bare(high, unit)}]"


def value_text(value: float | None, unit: str) -> str:
    """A figure with its unit: 82.0 %, 3.41, 57.3 tokens."""
    return NOTHING if value is None else f"{_bare(value, unit)}{UNITS.get(unit, '')}"


def difference_text(difference: Mapping[str, Any] | None, unit: str) -> str:
    """+11.0 points [+5.2, +17.0]; x 0.62 [0.58, 0.66] of a ratio."""
    if difference is None or difference["estimate"] is None:
        return NOTHING
    text, low, high = change_text(difference["estimate"], unit), difference["low"], difference["high"]
    return text if low is None or high is None else f"{text} [{_signed(low, unit)}, {_signed(high, unit)}]"


def change_text(value: float | None, unit: str) -> str:
    """A difference with its sign and unit: +11.0 points, x 0.62."""
    if value is None:
        return NOTHING
    return f"x {value:.3g}" if unit == "ratio" else f"{_signed(value, unit)}{CHANGES.get(unit, '')}"


def size_text(value: float | None, unit: str) -> str:
    """The size of a difference, without a sign: 4.3 points."""
    return change_text(value, unit).removeprefix("+")


def _bare(value: float, unit: str) -> str:
    if unit in ("rate", "share"):
        return f"{100 * value:.1f}"
    return f"{value:.1f}" if unit == "tokens" else f"{value:.3g}"


def _signed(value: float, unit: str) -> str:
    text = _bare(value, unit)
    return text if unit == "ratio" or text.startswith("-") else f"+{text}"


def metric_title(name: str) -> str:
    """exact_match as people read it: exact match; rouge_l: ROUGE-L."""
    return {"rouge_l": "ROUGE-L", "macro_f1": "macro F1"}.get(name, name.replace("_", " "))


SIDE_TITLES = {
    "candidate": "new model",
    "champion": "model in use",
    "base": "base model",
    "base_with_examples": "base with examples",
    "nearest_answer": "nearest answer",
}


def side_title(side: str) -> str:
    """A side as a column names it."""
    return SIDE_TITLES.get(side, side.replace("_", " "))
