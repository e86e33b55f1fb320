"""How a change of champion is told."""

from typing import TYPE_CHECKING

import typer

from ft_assets.command_line.printing import print_json, shown

if TYPE_CHECKING:
    from ft_assets.state import Promotion, State


def told(state: "State", promotion: "Promotion", as_json: bool) -> None:
    """Prints the line of the history that a command has just written."""
    if as_json:
        print_json(vars(promotion))
        return
    typer.echo(f"{promotion.specialization}: {in_words(state, promotion)}")


def in_words(state: "State", promotion: "Promotion") -> str:
    """One line: number, what happened, when, by whom, over whom, why, on which evidence."""
    from ft_assets.answers.named_models import name_of

    line = promotion.specialization
    over = name_of(state, line, promotion.previous) or "nobody"
    return (
        f"{promotion.kind} {promotion.number}: {name_of(state, line, promotion.model_digest)} over {over}, "
        f"{shown(promotion.at)}, by {promotion.by}: {promotion.why} (evidence: report {promotion.evidence[:12]})"
    )
