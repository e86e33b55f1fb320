"""report.html: the page of a report as one file that needs nothing from anywhere: no script, no font, no address.

Answers are hostile text. Jinja2 escapes every value, and the page forbids itself to load or run anything.
"""

import base64
from collections.abc import Mapping
from typing import Any

from ft_assets.evaluation.reporting.markdown import cut, printable
from ft_assets.evaluation.reporting.report_page import Scale, page_of

TEMPLATE = "report.html.j2"
LONGEST_TEXT = 8_000
SCALE_WIDTH = 600  # of the first screen's picture, in its own units; 20 of them are left free on both sides


def render(report: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The page for a report as `report.describe` gives it; `pictures` maps a picture's name to its PNG."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ft_assets", "evaluation/reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    page = page_of(report)
    return environment.get_template(TEMPLATE).render(
        page=page,
        kind=lambda block: type(block).__name__,
        cut=lambda text: cut(text, LONGEST_TEXT),
        data={name: base64.b64encode(png).decode("ascii") for name, png in pictures.items()},
        scale=None if page.opening.scale is None else places_on(page.opening.scale),
    )


def places_on(scale: Scale) -> dict[str, Any]:
    """Where the parts of the first screen's picture stand, 0 to SCALE_WIDTH from left to right."""
    ends = [scale.low, scale.high, scale.limit, 0.0, scale.estimate]
    width = (max(ends) - min(ends)) or 1.0
    left, right = min(ends) - 0.15 * width, max(ends) + 0.15 * width

    def place(value: float) -> float:
        return round(20 + (value - left) / (right - left) * (SCALE_WIDTH - 40), 1)

    shown = {"low": scale.low, "high": scale.high, "estimate": scale.estimate, "equal": 0.0, "limit": scale.limit}
    return {
        "at": {name: place(value) for name, value in shown.items()},
        "text": {name: f"{value:+.1f}" if scale.in_points else f"{value:+.3g}" for name, value in shown.items()},
        "has_limit": scale.limit != 0,
        "label": scale.label,
    }
