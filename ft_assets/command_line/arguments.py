"""Arguments and options that several commands share."""

from typing import Annotated

import typer

Model = Annotated[
    str,
    typer.Argument(
        help="Version name (ea-qa-engineer-tiny-base-v1.3-20261121), beginning of a digest, or "
        "specialization@champion, @candidate, @previous.",
        show_default=False,
    ),
]
Line = Annotated[str, typer.Argument(help="Name of the specialization.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
By = Annotated[str, typer.Option("--by", help="Your name, as it will stand in the history.", show_default=False)]
Why = Annotated[str, typer.Option("--why", help="Your reason, as it will stand in the history.", show_default=False)]
