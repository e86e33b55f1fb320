"""`ft-assets`: answers about models, and the few changes that a person makes by hand.

Exit codes: 0 done, 1 refused or not as it should be, 2 not understood. A command is a function in a file of its own
that imports what it needs when it runs, so that `ft-assets --help` answers at once.
"""

from typing import Any

import typer
from typer.core import TyperGroup

from ft_assets.command_line.approve import approve
from ft_assets.command_line.diff import diff
from ft_assets.command_line.dossier import dossier
from ft_assets.command_line.forget import forget
from ft_assets.command_line.housekeeping import housekeeping
from ft_assets.command_line.multi_node import multi_node
from ft_assets.command_line.promote import promote
from ft_assets.command_line.render_model_server import render_model_server
from ft_assets.command_line.reproduce import reproduce
from ft_assets.command_line.rollback import rollback
from ft_assets.command_line.rows import rows
from ft_assets.command_line.train import train
from ft_assets.command_line.why import why
from ft_assets.command_line.why_not import why_not
from ft_assets.errors import BadConfiguration, FtAssetsError, UnknownModel

REFUSED, NOT_UNDERSTOOD = 1, 2


class Commands(TyperGroup):
    """Tells a failure of ours as a sentence instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """The command's own result."""
        try:
            return super().invoke(ctx)
        except FtAssetsError as error:
            typer.echo(str(error), err=True)
            not_understood = isinstance(error, UnknownModel | BadConfiguration)
            raise typer.Exit(NOT_UNDERSTOOD if not_understood else REFUSED) from error


app = typer.Typer(
    cls=Commands,
    help="Which rows made a model, who let it into use and on what evidence, and what has to change.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    why,
    rows,
    diff,
    why_not,
    promote,
    rollback,
    approve,
    train,
    multi_node,
    reproduce,
    dossier,
    forget,
    housekeeping,
    render_model_server,
):
    app.command()(command)
