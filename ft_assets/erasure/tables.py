"""Delta tables without a person's rows: partitions are written again, and every older version goes at once."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from ft_assets.erasure.found import Found
from ft_assets.erasure.person import Person
from ft_assets.erasure.search import is_theirs
from ft_assets.errors import MissingInput
from ft_assets.lake import Lake, Partitions
from ft_assets.lake_upkeep import LEFTOVER_SECONDS, loose_files, table_names, vacuum

PARTITIONS_AT_ONCE = 20
# Its rows are digests of what a judge read and cannot be told apart by person; asking again costs a little.
CACHE_OF_JUDGE = "judged_answers"


@dataclass
class TablesErased:
    """Rows that went by table, data files of older versions that went, and loose files that a writer still holds."""

    rows: dict[str, int] = field(default_factory=dict)
    files: int = 0
    being_written: list[str] = field(default_factory=list)


def erase_tables(lake: Lake, person: Person, found: Found, dry_run: bool) -> TablesErased:
    """Takes the person's rows out of every table. In a dry run rows are counted and nothing is written."""
    done = TablesErased()
    names = table_names(lake)
    for table in names:
        theirs = is_theirs(lake, table, person, found)
        if gone := _count(lake, table, theirs):
            done.rows[table] = gone
            if not dry_run:
                _rewrite(lake, table, theirs, _all_but(theirs))
    if found.prompts and CACHE_OF_JUDGE in names and (rows := _count(lake, CACHE_OF_JUDGE, pl.lit(True))):
        done.rows[CACHE_OF_JUDGE] = rows
        if not dry_run:
            _rewrite(lake, CACHE_OF_JUDGE, pl.lit(True), _all_but(pl.lit(True)))
    if not dry_run:
        _share_no_more(lake, found)
    for table in names:
        done.files += len(vacuum(lake, table, 0, dry_run))
        _leftovers(lake, table, person, found, done, dry_run)
    return done


def erase_index(lake: Lake, days: set[str], dry_run: bool) -> int:
    """Removes what indexes keep of these days; it is made again from the tables. How many files there were."""
    places = [f"index/{name}/{day}" for name in lake.folders.subfolders("index") for day in sorted(days)]
    files = [f"{place}/{file.name}" for place in places for file in lake.folders.files(place)]
    for key in [] if dry_run else files:
        lake.folders.remove(key)
        (lake.cache_dir / key).unlink(missing_ok=True)
    return len(files)


def _count(lake: Lake, table: str, affected: pl.Expr) -> int:
    return int(lake.scan(table).filter(affected).select(pl.len()).collect().item())


def _all_but(affected: pl.Expr) -> Callable[[pl.LazyFrame], pl.LazyFrame]:
    return lambda rows: rows.filter(~affected)


def _rewrite(lake: Lake, table: str, affected: pl.Expr, change: Callable[[pl.LazyFrame], pl.LazyFrame]) -> None:
    """Makes what `change` leaves the content of each partition with affected rows."""
    for where in _partitions(lake, table, affected):
        lake.settled({table: where}, partial(_changed, lake, table, where, change), partial(_put, lake, table, where))


def _changed(lake: Lake, table: str, where: Partitions, change: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.DataFrame:
    return change(lake.scan(table, where)).collect()


def _put(lake: Lake, table: str, where: Partitions, rows: pl.DataFrame) -> None:
    lake.replace(table, rows, where)


def _partitions(lake: Lake, table: str, theirs: pl.Expr) -> Iterator[dict[str, list[str]]]:
    """The partitions with rows of theirs: many at once where there is one column, else one after the other."""
    delta = lake.tables.open(table)
    columns = delta.metadata().partition_columns if delta else []
    values = lake.scan(table).filter(theirs).select(columns).unique().sort(columns).collect()
    step = PARTITIONS_AT_ONCE if len(columns) == 1 else 1
    for start in range(0, values.height, step):
        part = values.slice(start, step)
        yield {name: part[name].to_list() for name in columns}


def _share_no_more(lake: Lake, found: Found) -> None:
    """Takes the person's ids out of examples that are somebody else's: they were copies of the same day."""
    table = "curated_examples"
    if not lake.exists(table) or not found.interactions:
        return
    listed = sorted(found.interactions)
    shared = pl.col("interaction_ids").list.set_intersection(listed).list.len() > 0
    rest = pl.col("interaction_ids").list.eval(pl.element().filter(~pl.element().is_in(listed)))
    _rewrite(lake, table, shared, lambda rows: rows.with_columns(rest))


def _leftovers(lake: Lake, table: str, person: Person, found: Found, done: TablesErased, dry_run: bool) -> None:
    """Files that no version names: of a writer that died, or of one that is about to commit what it read before."""
    theirs = is_theirs(lake, table, person, found)
    for key, age in list(loose_files(lake, table)):
        if age > LEFTOVER_SECONDS:
            done.files += 1
            if not dry_run:
                lake.folders.remove(key)
        elif _holds(lake, key, theirs):
            done.being_written.append(key)


def _holds(lake: Lake, key: str, theirs: pl.Expr) -> bool:
    try:
        rows = pl.read_parquet(io.BytesIO(lake.folders.read(key)))
    except (MissingInput, pl.exceptions.PolarsError):
        return False  # committed and vacuumed meanwhile, or no data at all
    try:
        return bool(rows.filter(theirs).height)
    except pl.exceptions.ColumnNotFoundError:  # the partition's own column, which stands in the path
        return True
