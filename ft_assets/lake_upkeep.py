"""What keeps tables small and free of rows that are gone: older versions are vacuumed, loose files removed.

A commit's data files are written before it names them. So a file that no version names is only taken for a leftover of
a writer that died when it is old.
"""

import time
from collections.abc import Iterator
from typing import Any

from ft_assets.lake import Lake
from ft_assets.lake_folders import files_below

LEFTOVER_SECONDS = 3600.0  # between the first data file of a replace and its commit lie minutes at most


def table_names(lake: Lake) -> list[str]:
    """Every table that was ever written."""
    return [name for name in lake.folders.subfolders("tables") if name[0] not in "._" and lake.exists(name)]


def vacuum(lake: Lake, table: str, older_than_hours: int, dry_run: bool = False) -> list[str]:
    """The data files of versions that were replaced so long ago, which are removed: versions before can be read no
    more. 0 removes all of them, and a reader that began before fails; running it again helps."""
    delta = lake.tables.open(table)
    if delta is None:
        return []
    # "full" would also take the files of a commit that is under way.
    plan: dict[str, Any] = {"retention_hours": older_than_hours, "enforce_retention_duration": False, "full": False}
    there = {_decoded(key.removeprefix(f"tables/{table}/")) for key in _data_files(lake, table)}
    gone = [path for path in delta.vacuum(dry_run=True, **plan) if _decoded(path) in there]  # the log names all of old
    if gone and not dry_run:
        delta.vacuum(dry_run=False, **plan)
    return gone


def loose_files(lake: Lake, table: str) -> Iterator[tuple[str, float]]:
    """Keys of data files that no version names any more, or not yet, and their age in seconds."""
    delta = lake.tables.open(table)
    if delta is None:
        return
    place = f"tables/{table}"
    on_disk = _data_files(lake, table)
    delta = lake.tables.open(table)  # after the listing: what was committed meanwhile is no leftover
    named = {_decoded(path) for path in _active(delta)}
    for key in on_disk:
        if _decoded(key.removeprefix(f"{place}/")) not in named:
            yield key, time.time() - lake.folders.changed_at(key)


def _data_files(lake: Lake, table: str) -> list[str]:
    return [key for key, _ in files_below(lake.folders, f"tables/{table}") if "/_delta_log/" not in key]


def _active(delta: object) -> list[str]:
    import polars as pl

    return pl.DataFrame(delta.get_add_actions(flatten=True))["path"].to_list()  # type: ignore[attr-defined]


def _decoded(path: str) -> str:
    from urllib.parse import unquote

    return unquote(path)


def scattered(lake: Lake, table: str) -> list[dict[str, str]]:
    """The partitions that lie in more than one data file. Our own writes leave one; other engines append."""
    delta = lake.tables.open(table)
    if delta is None:
        return []
    import polars as pl

    columns = delta.metadata().partition_columns
    files = pl.DataFrame(delta.get_add_actions(flatten=True)).rename({f"partition.{name}": name for name in columns})
    return files.group_by(columns).len().filter(pl.col("len") > 1).select(columns).sort(columns).to_dicts()


def compact(lake: Lake, table: str, partitions: list[dict[str, str]]) -> None:
    """Writes each of these partitions as one file, with the same rows in the same order.

    Raises:
        InputsMoved: somebody replaced one each time; run again.
    """
    for values in partitions:
        where = {name: [value] for name, value in values.items()}
        lake.settled(
            {table: where},
            lambda where=where: lake.scan(table, where).collect(),  # type: ignore[misc]
            lambda rows, where=where: lake.replace(table, rows, where),  # type: ignore[misc]
        )
