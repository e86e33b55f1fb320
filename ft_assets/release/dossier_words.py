"""How a dossier writes times, names and values."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any


def shown(at: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def listed(names: Iterable[str], otherwise: str) -> str:
    """Names as people write them, with commas."""
    return ", ".join(name.replace("_", " ") for name in names) or otherwise


def value_text(value: Any) -> str:
    """A knob or a version as one line."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {value_text(inner)}" for name, inner in sorted(value.items()))
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, value))
    return "" if value is None else str(value)
