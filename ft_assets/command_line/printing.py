"""How commands print: sections of aligned lines for people, JSON for machines."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import typer

NOTHING = "–"
Pair = tuple[str, Any]


def print_json(answer: Any) -> None:
    """One JSON document; times in ISO 8601, keys in their order."""
    typer.echo(json.dumps(answer, indent=2, default=_plain, ensure_ascii=False))


def heading(text: str) -> None:
    """A title with an empty line before it."""
    typer.echo(f"\n{typer.style(text, bold=True)}")


def pairs(rows: Iterable[Pair], indent: int = 2) -> None:
    """Name and value, aligned; a value that is a list has a line for each of its entries."""
    listed = [(name, value if isinstance(value, list) else [value]) for name, value in rows]
    width = max((len(name) for name, _ in listed), default=0)
    for name, values in listed:
        for number, value in enumerate(values or [None]):
            typer.echo(f"{' ' * indent}{'' if number else name:<{width}}  {shown(value)}".rstrip())


def lines(texts: Iterable[str], indent: int = 2) -> None:
    """One text a line."""
    for text in texts:
        typer.echo(f"{' ' * indent}{text}")


def shown(value: Any) -> str:
    """A value as people read it."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {shown(inner)}" for key, inner in value.items()) or NOTHING
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value)) or NOTHING
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
