from typing import TYPE_CHECKING

from ft_assets.command_line.arguments import AsJson, Model
from ft_assets.command_line.printing import heading, lines, pairs, print_json, shown
from ft_assets.command_line.stores import Stores

if TYPE_CHECKING:
    from ft_assets.answers.model_difference import Difference
    from ft_assets.answers.trained_rows import TrainedRow

SHOWN_ROWS = 5


def diff(first: Model, second: Model, as_json: AsJson = False) -> None:
    """What sets the second model apart from the first: rows, recipe and circumstances, metrics with intervals."""
    from ft_assets.answers.model_difference import difference
    from ft_assets.answers.named_models import find_model

    stores = Stores()
    models = [find_model(stores.state, name) for name in (first, second)]
    found = difference(stores.state, stores.lake, *models)
    if as_json:
        print_json(found.as_dict())
        return
    print_difference(found)


def print_difference(found: "Difference") -> None:
    """The difference for people; `--json` names every row."""
    lines([f"{found.second.name} beside {found.first.name}"], indent=0)
    heading("Rows that trained them")
    pairs([("in both", found.kept), *_rows("added", found.added), *_rows("removed", found.removed)])
    heading("Made with")
    changed = [(key, f"{shown(before)} -> {shown(after)}") for key, (before, after) in found.changed.items()]
    pairs(changed or [("the same", "base, recipe, seed, code, libraries and device")])
    heading("Metrics, on the same questions")
    if found.not_compared:
        lines([f"Not compared: {found.not_compared}."])
    pairs([(f"{each.metric}, {each.suite}", _told(each)) for each in found.compared])


def _rows(what: str, rows: "list[TrainedRow]") -> "list[tuple[str, str]]":
    from ft_assets.answers.trained_rows import interactions_of

    named = interactions_of(rows)
    if not rows:
        return [(what, "none")]
    first = ", ".join(named[:SHOWN_ROWS]) + (", ..." if len(named) > SHOWN_ROWS else "")
    return [(what, f"{len(rows):,} rows from {len(named):,} interactions: {first}")]


def _told(compared: object) -> str:
    from ft_assets.evaluation.reporting.report_numbers import difference_text

    facts = vars(compared)
    return f"{difference_text(facts, facts['unit'])} over {facts['rows']} rows"
