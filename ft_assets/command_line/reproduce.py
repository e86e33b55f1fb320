from typing import TYPE_CHECKING, Annotated

import typer

from ft_assets.command_line.arguments import AsJson, Model
from ft_assets.command_line.printing import heading, lines, pairs, print_json, shown
from ft_assets.command_line.stores import Stores

if TYPE_CHECKING:
    from ft_assets.answers.reproduction import Likeness, Reproduction

DIFFERENT, NOT_COMPARABLE = 1, 3
EXIT_CODES = {"same": 0, "different": DIFFERENT, "not comparable bitwise": NOT_COMPARABLE}


def reproduce(
    model: Model,
    questions: Annotated[int, typer.Option(min=0, help="Validation prompts to compare answers on.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Builds a model's snapshot and trains it again, and says whether the same bytes came out.

    Takes as long as the training did, and writes nothing into the lake. Ends with 0 when they are the same, with 1 when
    they are not and should be, with 3 when this machine, its libraries or the code are not those of the training: then
    the difference in loss and the share of equal answers are told.
    """
    import tempfile
    from pathlib import Path

    from ft_assets.answers import reproduction
    from ft_assets.answers.named_models import find_model

    stores = Stores()
    named = find_model(stores.state, model)
    with tempfile.TemporaryDirectory() as folder:
        found = reproduction.reproduce(
            stores.state,
            stores.lake,
            named,
            stores.lines.get(named.specialization),
            stores.settings.split_key,
            Path(folder),
            lambda line: typer.echo(line, err=True),
            questions,
        )
    if as_json:
        print_json(found.as_dict())
    else:
        print_reproduction(found)
    raise typer.Exit(EXIT_CODES[found.outcome])


def print_reproduction(found: "Reproduction") -> None:
    """The answer for people."""
    lines([f"{found.model}: {found.outcome}: {found.reason}."], indent=0)
    heading("Rows")
    snapshot = found.snapshot
    pairs(
        [
            ("snapshot", snapshot.digest),
            (
                "taken from",
                "today's tables, which still give every row as it was" if snapshot.rebuilt else "the stored snapshot",
            ),
            *([] if snapshot.rebuilt else [("because", snapshot.why_stored)]),
        ]
    )
    heading("Files of the adapter")
    pairs([(name, "the same bytes" if same else "other bytes") for name, same in found.files.items()])
    if found.differing:
        heading("Not as it was")
        pairs([(name, f"{shown(then)} -> {shown(now)}") for name, (then, now) in found.differing.items()])
    if found.likeness:
        heading("How near they are")
        pairs(_likeness(found.likeness))


def _likeness(likeness: "Likeness") -> list[tuple[str, str]]:
    then, now = likeness.losses
    share = "nothing was asked" if likeness.share is None else f"{likeness.share:.1%}".replace("%", " %")
    return [
        ("validation loss", f"{then:.6f} -> {now:.6f} ({likeness.loss_difference:+.6f})"),
        ("equal answers", f"{share}, {likeness.equal} of {likeness.asked} validation prompts"),
    ]
