from typing import Annotated

import typer

from ft_assets.command_line.arguments import AsJson, By, Model, Why
from ft_assets.command_line.printing import print_json, shown
from ft_assets.command_line.stores import Stores


def approve(
    model: Model,
    by: By,
    why: Why,
    report: Annotated[str | None, typer.Option("--report", help="The report you read; a newer one is refused.")] = None,
    expires_days: Annotated[
        int | None, typer.Option("--expires-days", min=1, help="At most what the line allows, which is the default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Approves a model's newest report, for lines that let none into use without a person."""
    from ft_assets.answers.approve_by_hand import approve_by_hand
    from ft_assets.answers.named_models import find_line, find_model

    stores = Stores()
    named = find_model(stores.state, model)
    spec = stores.lines[find_line(named.specialization, stores.lines)]
    approval = approve_by_hand(stores.state, stores.lake, named, spec, by, why, report, expires_days)
    if as_json:
        print_json(vars(approval))
        return
    typer.echo(f"{approval.by} approved {named.name} on report {approval.report_digest[:12]} until ", nl=False)
    typer.echo(
        f"{shown(approval.expires_at)}. Promote it: ft-assets promote {named.digest[:12]} --by NAME --why REASON"
    )
