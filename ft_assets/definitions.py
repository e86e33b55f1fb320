"""Dagster enters here: everything under `defs/` is one code location."""

import warnings
from functools import cache
from pathlib import Path

import dagster as dg

from ft_assets.compute import collect_garbage_seldom, reuse_freed_memory

# Single-run backfills are "beta" and partitioned checks "preview" in this version of Dagster; both are pinned by
# constraints.txt and held by tests, so the warning at each of the many loads says nothing new.
for category in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=category)


@dg.definitions
def defs() -> dg.Definitions:
    return loaded()


@cache  # one `dg launch` asks six times, and each answer takes a fifth of a second
def loaded() -> dg.Definitions:
    """Everything that is defined, loaded once in a process."""
    reuse_freed_memory()
    collect_garbage_seldom()
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
