"""What part of the job `curate` is the project's own functions, and where the rest goes.

    python benchmarks/curation_share.py launch --target-path . --job curate --partition-range FIRST...LAST

Runs `dg` with these arguments in this process, for the lake and the instance that the environment names, with a clock
around the functions that read, curate, validate and look for secrets. What is left is what Dagster and the lake add:
Dagster's start and its events, tables and index written and read. Both are taken from one run, because two runs of the
same code differ by more than what is looked for. Prints CPU seconds, user and system, of all threads as JSON in its
last line.
"""

import functools
import importlib
import json
import resource
import time
from collections.abc import Callable
from typing import Any

import click

from ft_assets.compute import collect_garbage_seldom, reuse_freed_memory

Seconds = dict[str, float]

# where each is looked up when the assets call it: (module, attribute)
FUNCTIONS = {
    "reading": ("ft_assets.ingest.landing", "ingest_day"),
    "curating": ("ft_assets.curation.curate", "curate"),
    "validating": ("ft_assets.validated", "validated"),
    "looking for secrets": ("ft_assets.curation.masking", "secrets_left"),
}
ADDED = {
    "making Parquet": ("polars", "DataFrame.write_parquet"),
    "writing files": ("ft_assets.lake_folders", "LocalFolders.write"),
    "reading tables": ("polars", "LazyFrame.collect"),
    "Dagster's events": (
        "dagster._core.storage.event_log.sqlite.sqlite_event_log",
        "SqliteEventLogStorage.store_event",
    ),
}
# what the functions need anyway, loaded before so that it counts for them
LOADED = ("ft_assets.curation.checked_schema", "ft_assets.ingest.checked_schema")


class Clock:
    """CPU seconds under names; what runs inside something that is clocked counts for that alone."""

    def __init__(self) -> None:
        self.seconds: Seconds = {}
        self._running = False

    def watch(self, name: str, module: str, attribute: str) -> None:
        """Counts every call of a module's function, or of a class's method, for `name`."""
        holder: Any = importlib.import_module(module)
        *outer, function = attribute.split(".")
        for each in outer:
            holder = getattr(holder, each)
        setattr(holder, function, self._watched(name, getattr(holder, function)))

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def watched(*args: object, **knobs: object) -> object:
            if self._running:
                return function(*args, **knobs)
            self._running, started = True, time.process_time()
            try:
                return function(*args, **knobs)
            finally:
                self._running = False
                self.seconds[name] = self.seconds.get(name, 0) + time.process_time() - started

        return watched


def main() -> None:
    reuse_freed_memory()  # as the definitions do, who come too late here
    from dagster_dg_cli import cli as dg  # noqa: PLC0415 - imports none of our modules yet

    dg.cli.list_commands(click.Context(dg.cli))  # imports Dagster now, as `dg launch` does
    collect_garbage_seldom()  # as the definitions do when they are loaded
    started, clock = time.process_time(), Clock()
    for name, place in FUNCTIONS.items():  # before anything of defs/ imports them by name
        clock.watch(name, *place)
    for module in LOADED:
        importlib.import_module(module)
    imports = time.process_time() - started
    for name, place in ADDED.items():
        clock.watch(name, *place)
    try:
        dg.main()
    finally:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        whole = sum(each.ru_utime + each.ru_stime for each in used)
        print("\n" + json.dumps(_account(clock.seconds | {"imports": imports}, whole)), flush=True)


def _account(seconds: Seconds, whole: float) -> dict[str, Any]:
    functions = {name: seconds.get(name, 0) for name in ("imports", *FUNCTIONS)}
    added = {name: seconds.get(name, 0) for name in ADDED}
    added["the rest, most of it Dagster's start"] = whole - sum(functions.values()) - sum(added.values())
    return {"whole": whole, "functions": functions, "added": added, "share": sum(added.values()) / whole}


if __name__ == "__main__":
    main()
