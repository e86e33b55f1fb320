import typer

from ft_assets.command_line.arguments import AsJson, By, Model, Why
from ft_assets.command_line.history import told
from ft_assets.command_line.stores import Stores


def promote(model: Model, by: By, why: Why, as_json: AsJson = False) -> None:
    """Makes a model champion on its newest report, if that says promote over today's champion."""
    from ft_assets.answers.named_models import find_line, find_model
    from ft_assets.answers.promote_by_hand import promote_by_hand

    stores = Stores()
    named = find_model(stores.state, model)
    before = stores.state.champion(named.specialization)
    promotion = promote_by_hand(
        stores.state, stores.lake, named, stores.lines[find_line(named.specialization, stores.lines)], by, why
    )
    if promotion == before:
        typer.echo(f"{named.name} is the champion already; nothing was changed.", err=True)
    told(stores.state, promotion, as_json)
