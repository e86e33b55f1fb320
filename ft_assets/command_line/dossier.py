from pathlib import Path
from typing import Annotated

import typer

from ft_assets.command_line.arguments import AsJson, Model
from ft_assets.command_line.printing import print_json
from ft_assets.command_line.stores import Stores


def dossier(
    model: Model,
    out: Annotated[Path | None, typer.Option("--out", help="Also copy it into this new directory.")] = None,
    as_json: AsJson = False,
) -> None:
    """Writes the dossier of a registered model as things are now: what it is, was made from and must not be used for.

    It is stored in the lake like the one that was written at the registration; what was approved, promoted or tainted
    since is in it.
    """
    import shutil

    from ft_assets.answers.named_models import find_line, find_model
    from ft_assets.errors import BadConfiguration
    from ft_assets.release.dossier import INDEX, put_dossier
    from ft_assets.specializations.about_line import about_line

    if out is not None and out.exists():
        raise BadConfiguration(f"{out} exists already. Name a new directory with --out.")
    stores = Stores()
    named = find_model(stores.state, model)
    spec = stores.lines[find_line(named.specialization, stores.lines)]
    kept = put_dossier(stores.lake, stores.state, named.specialization, named.digest, about_line(spec))
    if out is not None:
        shutil.copytree(kept.path, out)
    place = str((out or kept.path) / INDEX)
    if as_json:
        print_json({"model": named.name, "model_digest": named.digest, "digest": kept.digest, "path": place})
        return
    typer.echo(place)
