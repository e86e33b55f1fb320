from typing import Annotated

import typer

from ft_assets.command_line.arguments import AsJson, By, Line, Why
from ft_assets.command_line.history import told
from ft_assets.command_line.stores import Stores


def rollback(
    specialization: Line,
    by: By,
    why: Why,
    to: Annotated[str | None, typer.Option("--to", help="An earlier champion; the last one without it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Makes an earlier champion the champion again, at once and without a new evaluation."""
    from ft_assets.answers.named_models import find_line_with_a_model, find_model, known_models
    from ft_assets.errors import UnknownModel
    from ft_assets.release import rollback as to_earlier

    stores = Stores()
    line = find_line_with_a_model(specialization, known_models(stores.state))
    target = find_model(stores.state, to) if to else None
    if target and target.specialization != line:
        raise UnknownModel(f"{target.name} is a model of {target.specialization}, not of {line}.")
    promotion = to_earlier.rollback(stores.state, stores.lake, line, by, why, target.digest if target else None)
    told(stores.state, promotion, as_json)
