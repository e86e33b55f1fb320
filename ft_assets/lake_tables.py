"""Delta tables: replace exactly some partitions, read exactly some partitions, tell when they changed."""

import hashlib
import random
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ft_assets.errors import BadInput, MissingInput, WriteConflict
from ft_assets.lake_folders import Folders
from ft_assets.lake_seen_tables import SeenTables
from ft_assets.lake_table_files import write_files

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable, Schema
    from deltalake.transaction import AddAction

RETRIES = 3  # when others replaced the same partitions
COMMITS = 100  # when others committed anything at all: nothing is computed or written again for that
SHOWN = 5  # offending partitions that an error lists
NO_NAMES = ("", "__HIVE_DEFAULT_PARTITION__")  # both come back as null
# Minima and maxima of text columns would copy raw user text into the log, where vacuum never reaches it.
CONFIGURATION = {"delta.dataSkippingNumIndexedCols": "0"}

Partitions = Mapping[str, Sequence[str]]


class DeltaTables:
    """The tables under one folder. Safe for several processes: a commit is a compare-and-set on the table's log."""

    def __init__(self, folders: Folders, key: str, storage_options: dict[str, str] | None = None):
        self.folders = folders
        self.key = key
        self.uri = folders.uri(key)
        self.storage_options = storage_options
        self._seen = SeenTables(self.open, self._path)

    def open(self, table: str) -> "DeltaTable | None":
        """The table at its latest version, or None when it was never written."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            return DeltaTable(self._path(table), storage_options=self.storage_options)
        except TableNotFoundError:  # DeltaTable.is_deltatable would hold the GIL during its request
            return None

    def seen(self, table: str) -> "DeltaTable | None":
        """As `open`, without reading the log again while nobody writes; for everybody, so never moved to a version."""
        return self.open(table) if self.storage_options is not None else self._seen.latest(table)

    def scan(self, table: str, where: Partitions | None) -> "pl.LazyFrame":
        """The rows of the partitions in `where` (None: all), lazily, at the version that is the latest now."""
        import polars as pl

        delta = self.seen(table)
        if delta is None:
            raise MissingInput(
                f"The table {table} does not exist in {self.uri}. Materialize the asset {table} first; "
                "a rerun of this step alone cannot help."
            )
        frame = pl.scan_delta(delta)  # prunes whole files by their partition values
        for column, values in _checked(where or {}, delta.metadata().partition_columns, table).items():
            frame = frame.filter(pl.col(column).is_in(values))
        return frame

    def replace(self, table: str, frame: "pl.DataFrame", where: Partitions) -> int:
        """Commits `frame` as the whole content of the partitions in `where`, and says which version that made."""
        from deltalake.exceptions import CommitFailedError

        if not where or not all(where.values()):
            raise BadInput(f"replace of {table} names no partitions: {dict(where)!r}. Name the ones to replace.")
        named = _checked(where, list(where), table)
        _refuse_rows_outside(table, frame, named)
        fits = self.seen(table)
        fitted = _fitted(table, frame, fits, list(named))
        added = write_files(self.folders, f"{self.key}/{table}", fitted, list(named))
        replaced: set[str] | None = None
        conflicts = 0
        for attempt in range(COMMITS):
            delta = self.seen(table)
            there = _paths(delta, named) if delta else set()
            conflicts += replaced is not None and there != replaced
            if conflicts > RETRIES:
                break
            replaced = there
            if delta is not fits:  # others wrote meanwhile, and may have added columns
                fitted, fits = _fitted(table, fitted, delta, list(named)), delta
            try:
                self._commit(table, delta, _delta_schema(fitted), added, named)
            except CommitFailedError:
                time.sleep(random.uniform(0.01, 0.05) * min(attempt + 1, 4))
                continue
            return 0 if delta is None else delta.version() + 1
        raise WriteConflict(
            f"Other writers changed {_shown(named)} of {table} during {conflicts or COMMITS} attempts to replace it. "
            "Nothing was written. Run again when the other run is over."
        )

    def fingerprint(self, table: str, where: Partitions | None) -> str:
        """A digest of the data files behind the partitions in `where`; "" when the table does not exist."""
        import polars as pl

        delta = self.seen(table)
        if delta is None:
            return ""
        files = pl.DataFrame(delta.get_add_actions(flatten=True))
        for column, values in _checked(where or {}, delta.metadata().partition_columns, table).items():
            files = files.filter(pl.col(f"partition.{column}").is_in(values))
        return _digest(files["path"])

    def fingerprints(self, table: str) -> dict[str, str]:
        """The fingerprint of each partition that holds files, by its value, for a table with one partition column."""
        import polars as pl

        delta = self.seen(table)
        if delta is None:
            return {}
        (column,) = delta.metadata().partition_columns
        files = pl.DataFrame(delta.get_add_actions(flatten=True)).group_by(f"partition.{column}").agg("path")
        return {value: _digest(paths) for value, paths in files.iter_rows()}

    def _commit(
        self,
        table: str,
        delta: "DeltaTable | None",
        schema: "Schema",
        added: "list[AddAction]",
        where: Mapping[str, list[str]],
    ) -> None:
        """One version that holds `added` in these partitions, right after the one that `delta` shows, or none at all.

        Raises:
            CommitFailedError: somebody else made that version.
        """
        from deltalake import CommitProperties
        from deltalake.exceptions import CommitFailedError, DeltaError
        from deltalake.transaction import create_table_with_add_actions

        at_once = CommitProperties(max_commit_retries=0)  # a retry inside would not look at the partitions again
        if delta is not None:
            filters: Any = [(column, "in", values) for column, values in where.items()]
            delta.create_write_transaction(
                [*added], "overwrite", schema, list(where), filters, commit_properties=at_once
            )
            return
        try:
            create_table_with_add_actions(
                self._path(table),
                schema,
                added,
                "error",
                list(where),
                configuration=CONFIGURATION,
                storage_options=self.storage_options,
                commit_properties=at_once,
            )
        except DeltaError as error:
            if self.open(table) is None:
                raise
            raise CommitFailedError(f"{table} exists by now") from error

    def _path(self, table: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", table):
            raise BadInput(f"{table!r} is no table name. Use lower-case letters, digits and underscores.")
        return f"{self.uri}/{table}"


def _digest(paths: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()


def _checked(where: Partitions, columns: list[str], table: str) -> dict[str, list[str]]:
    for column, values in where.items():
        if column not in columns or not re.fullmatch(r"[a-z][a-z0-9_]*", column):
            raise BadInput(f"{column!r} is no partition column of {table}, which has {columns}. Name one of those.")
        if isinstance(values, str) or any(not isinstance(v, str) or v in NO_NAMES for v in values):
            raise BadInput(f"The values of {column} for {table} are {values!r}. Give a list of names.")
    return {column: list(dict.fromkeys(values)) for column, values in where.items()}


def _refuse_rows_outside(table: str, frame: "pl.DataFrame", where: Mapping[str, list[str]]) -> None:
    import polars as pl

    for column, values in where.items():
        if frame.schema.get(column) != pl.String:
            found = frame.schema.get(column, "absent")
            raise BadInput(
                f"The partition column {column} of {table} is {found} in the frame. Make it a String column."
            )
        inside = pl.col(column).is_in(values).fill_null(False)
        outside = frame.filter(~inside)[column]
        if outside.len():
            shown = outside.unique().sort().head(SHOWN).to_list()
            raise BadInput(
                f"{outside.len()} of {frame.height} rows for {table} have a {column} outside of the partitions to "
                f"replace, for example {shown}. They would land in partitions that nobody asked for; nothing was "
                "written. Filter the rows, or name these partitions too."
            )


def _paths(delta: "DeltaTable", where: Mapping[str, list[str]]) -> set[str]:
    """The data files of these partitions."""
    import polars as pl

    files = pl.DataFrame(delta.get_add_actions(flatten=True))
    for column, values in where.items():
        files = files.filter(pl.col(f"partition.{column}").is_in(values))
    return set(files["path"])


def _delta_schema(frame: "pl.DataFrame") -> "Schema":
    import polars as pl
    from deltalake import Schema

    return Schema.from_arrow(frame.clear().to_arrow(compat_level=pl.CompatLevel.oldest()).schema)


def _refuse_unstorable(table: str, frame: "pl.DataFrame") -> None:
    """Delta would narrow, widen or drop these types without a word (UInt32 comes back as Int32)."""
    wrong = {name: dtype for name, dtype in frame.schema.items() if not _comes_back(dtype)}
    if wrong:
        raise BadInput(
            f"Columns of {table} would not come back from Delta as they are: {wrong}. Cast them first: whole numbers "
            "to Int64, times to Datetime[us], names to String, an all-null column to the type it has otherwise."
        )


def _comes_back(dtype: "pl.DataType") -> bool:
    import polars as pl

    if isinstance(dtype, pl.List):
        return _comes_back(dtype.inner)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return all(_comes_back(field.dtype) for field in dtype.fields)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Datetime):
        return dtype.time_unit == "us" and dtype.time_zone in (None, "UTC")
    plain = (pl.String, pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Float32, pl.Float64, pl.Date, pl.Binary)
    return isinstance(dtype, (*plain, pl.Decimal))


def _fitted(table: str, frame: "pl.DataFrame", delta: "DeltaTable | None", partition_by: list[str]) -> "pl.DataFrame":
    """The frame in the table's columns and types, with the columns that the table does not have yet behind them."""
    import polars as pl

    if delta is None:
        _refuse_unstorable(table, frame)
        return frame
    columns = delta.metadata().partition_columns
    if columns != partition_by:
        raise BadInput(f"{table} is partitioned by {columns}, and replace names {partition_by}. Name exactly those.")
    schema, found = pl.Schema(delta.schema()), frame.schema
    missing = [name for name in schema if name not in found]
    present = [name for name in schema if name in found]
    fitted = frame.with_columns(pl.col(name).cast(schema[name]) for name in present if _holds_null(found[name]))
    found = fitted.schema
    other = {name: (found[name], schema[name]) for name in present if found[name] != schema[name]}
    if missing or other:
        raise BadInput(
            f"The frame does not fit {table}: columns missing {missing}, columns of another type (found, wanted) "
            f"{other}. Nothing was written. Write nulls for a column that is no longer filled, and cast the others."
        )
    added = [name for name in fitted.columns if name not in schema]
    _refuse_unstorable(table, fitted.select(added))
    return fitted.select([*schema.names(), *added])


def _holds_null(dtype: "pl.DataType") -> bool:
    import polars as pl

    if isinstance(dtype, pl.List):
        return _holds_null(dtype.inner)  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return any(_holds_null(field.dtype) for field in dtype.fields)  # type: ignore[arg-type]
    return isinstance(dtype, pl.Null)


def _quoted(values: Sequence[str]) -> str:
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)


def _shown(where: Mapping[str, list[str]]) -> str:
    return ", ".join(
        f"{column} {values[:SHOWN]}{' ...' if len(values) > SHOWN else ''}" for column, values in where.items()
    )
