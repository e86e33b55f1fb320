from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ft_assets.command_line.arguments import AsJson, By
from ft_assets.command_line.printing import heading, lines, pairs, print_json
from ft_assets.command_line.stores import Stores

if TYPE_CHECKING:
    from ft_assets.erasure.forget import Forgotten

SHOWN = 12


def forget(
    user: Annotated[str, typer.Argument(help="As it stands in user_id, in any spelling; - reads it from stdin.")],
    by: By,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only says what would go.")] = False,
    delete_unreadable: Annotated[
        bool, typer.Option(help="Landing files that cannot be read and point to the user are deleted, not put aside.")
    ] = False,
    dagster_home: Annotated[
        Path | None, typer.Option(envvar="DAGSTER_HOME", help="Where logs and events of runs are.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Erases everything of a user for good, refuses them from now on, and says which models learned from them."""
    from ft_assets.answers.named_models import known_models
    from ft_assets.erasure.forget import Places
    from ft_assets.erasure.forget import forget as erase
    from ft_assets.tracking import Tracking

    stores = Stores()
    name = typer.get_text_stream("stdin").readline().strip() if user == "-" else user
    tracking = Tracking(stores.settings.mlflow_tracking_uri, stores.lake.work_dir("tracking"))
    places = Places(stores.lake, stores.state, tracking, dagster_home)
    done = erase(places, name, stores.settings.split_key, by, dry_run, delete_unreadable)
    if as_json:
        print_json(done.as_dict())
    else:
        _tell(done, {model.digest: f"{model.name} of {model.specialization}" for model in known_models(stores.state)})
    if done.unfinished:
        raise typer.Exit(1)


def _tell(done: "Forgotten", names: dict[str, str]) -> None:
    found, traces = done.found, done.traces
    files = len(done.landing.rewritten) + len(done.landing.removed)
    heading("Would go" if done.dry_run else "Gone")
    pairs(
        [
            ("landing", f"{sum(done.landing.rewritten.values())} records, in {files} files"),
            ("tables", [f"{rows:,} rows of {table}" for table, rows in sorted(done.tables.rows.items())]),
            ("older versions", f"{done.tables.files} data files"),
            ("artifacts", [f"{len(digests)} of {kind}" for kind, digests in sorted(done.artifacts.items())]),
            ("token caches", len(traces.token_caches)),
            ("checkpoints", f"of {len(traces.checkpoints)} trainings"),
            ("MLflow", f"{sum(map(len, done.mlflow.values()))} artifacts of {len(done.mlflow)} runs"),
            ("logs", f"{sum(traces.log_lines.values())} lines; {done.run_events} events of runs"),
            ("other files", traces.files),
        ]
    )
    heading("Held the rows")
    pairs(
        [
            ("snapshots", sorted(digest[:16] for digest in found.snapshots)),
            ("models, tainted", sorted(names.get(digest, digest[:16]) for digest in found.models)),
            ("only evaluated on them", sorted(names.get(digest, digest[:16]) for digest in found.evaluated)),
            ("champions among them", sorted(done.tainted_champions)),
        ]
    )
    heading("Next")
    lines(_next_steps(done))
    for title, texts in (("Not finished", done.unfinished), ("Note", done.warnings)):
        if texts:
            heading(title)
            lines(texts)


def _next_steps(done: "Forgotten") -> list[str]:
    days = sorted(done.found.days)
    steps = []
    if days:
        shown = ", ".join(days[:SHOWN]) + (f" and {len(days) - SHOWN} more" if len(days) > SHOWN else "")
        steps.append(
            f"Days to curate again: {shown}. The sensor changed_landing_days asks for those whose landing files "
            "changed; launch the job `recurate` for the others."
        )
    if done.found.models:
        steps.append(
            "Lines whose newest model or champion is tainted are due: new_high_score_samples starts their training. "
            "A tainted champion stays in charge, shown as tainted, until another one is promoted."
        )
    return steps or ["Nothing."]
