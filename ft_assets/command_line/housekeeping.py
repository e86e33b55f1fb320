from typing import TYPE_CHECKING, Annotated

import typer

from ft_assets.command_line.arguments import AsJson
from ft_assets.command_line.printing import heading, lines, pairs, print_json
from ft_assets.command_line.stores import Stores

if TYPE_CHECKING:
    from ft_assets.retention.housekeeping import Plan

SHOWN = 200
MIB = 1024**2


def housekeeping(
    show_kept: Annotated[bool, typer.Option("--kept", help="Also each thing that stays, and why.")] = False,
    as_json: AsJson = False,
) -> None:
    """What the weekly job would delete and why the rest is kept. Deletes nothing: the job `housekeeping` does, which
    also knows the newest of each asset."""
    from ft_assets.retention.housekeeping import housekeeping as look
    from ft_assets.retention.rules import RetentionRules
    from ft_assets.rules_file import read_rules

    stores = Stores()
    rules = read_rules(stores.settings.rules, "retention", RetentionRules)
    plan = look(stores.lake, stores.state, rules, dry_run=True)
    if as_json:
        print_json(plan.as_dict())
    else:
        _tell(plan, show_kept)


def _tell(plan: "Plan", show_kept: bool) -> None:
    from ft_assets.retention.housekeeping import by_reason

    heading(f"Would go: {len(plan.goes):,} things, {plan.size / MIB:,.1f} MiB of artifacts")
    lines(f"{each.place}: {each.why}" for each in plan.goes[:SHOWN])
    if len(plan.goes) > SHOWN:
        lines([f"and {len(plan.goes) - SHOWN:,} more; --json names all"])
    if plan.tables or plan.compacted:
        heading("Tables")
    pairs([(table, f"{files:,} data files of older versions") for table, files in plan.tables.items()])
    pairs([(table, f"{number:,} partitions in several files") for table, number in plan.compacted.items()])
    if show_kept:
        heading("Stays")
        lines(f"{place}: {why}" for place, why in sorted(plan.kept.items()))
    else:
        heading(f"Stays: {len(plan.kept):,} things (--kept names them)")
        pairs([(why, number) for why, number in list(by_reason(plan.kept.values()).items())[:SHOWN]])
