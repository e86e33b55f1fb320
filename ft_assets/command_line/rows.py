from typing import Annotated

import typer

from ft_assets.command_line.arguments import AsJson, Model
from ft_assets.command_line.printing import print_json
from ft_assets.command_line.stores import Stores


def rows(
    model: Model,
    validation: Annotated[bool, typer.Option("--validation", help="Also those that chose the checkpoint.")] = False,
    as_json: AsJson = False,
) -> None:
    """Exactly the interactions that trained a model, one id a line, from its artifacts alone."""
    from ft_assets.answers.named_models import find_model
    from ft_assets.answers.trained_rows import erased_note, interactions_of, trained_rows

    stores = Stores()
    named = find_model(stores.state, model)
    found = trained_rows(stores.lake, named.digest, ("train", "validation") if validation else ("train",))
    erased = erased_note(stores.lake, named.digest)
    if as_json:
        rows_of_it = {"model": named.name, "digest": named.digest, "rows": [vars(row) for row in found]}
        print_json(rows_of_it | {"erased_by_request": bool(erased)})
        return
    typer.echo("\n".join(interactions_of(found)))
    typer.echo(f"{len(interactions_of(found)):,} interactions in {len(found):,} rows trained {named.name}.", err=True)
    if erased:
        typer.echo(f"Erased by request: {erased}.", err=True)
