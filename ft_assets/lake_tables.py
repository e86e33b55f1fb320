"""Delta tables: replace exactly some partitions, read exactly some partitions, tell when they changed."""

import hashlib
import random
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ft_assets.errors import BadInput, MissingInput, WriteConflict

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from deltalake import DeltaTable, WriterProperties

RETRIES = 3
SHOWN = 5  # offending partitions that an error lists
NO_NAMES = ("", "__HIVE_DEFAULT_PARTITION__")  # both come back as null
# Minima and maxima of text columns would copy raw user text into the log, where vacuum never reaches it.
CONFIGURATION = {"delta.dataSkippingNumIndexedCols": "0"}

Partitions = Mapping[str, Sequence[str]]


class DeltaTables:
    """The tables under one URI. Safe for several processes: a commit is a compare-and-set on the table's log."""

    def __init__(self, uri: str, storage_options: dict[str, str] | None = None):
        self.uri = uri
        self.storage_options = storage_options

    def open(self, table: str) -> "DeltaTable | None":
        """The table at its latest version, or None when it was never written."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            return DeltaTable(self._path(table), storage_options=self.storage_options)
        except TableNotFoundError:  # DeltaTable.is_deltatable would hold the GIL during its request
            return None

    def scan(self, table: str, where: Partitions | None) -> "pl.LazyFrame":
        """The rows of the partitions in `where` (None: all), lazily, at the version that is the latest now."""
        import polars as pl

        delta = self.open(table)
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
        conflicts = 0
        while True:
            try:
                version = self._replace_once(table, frame, named)
            except CommitFailedError as error:
                conflicts += 1
                if conflicts > RETRIES:
                    raise WriteConflict(
                        f"Other writers changed {_shown(named)} of {table} during {conflicts} attempts to replace it. "
                        "Nothing was written. Run again when the other run is over."
                    ) from error
                time.sleep(random.uniform(0.05, 0.2) * conflicts)
                continue
            if version is not None:
                return version

    def fingerprint(self, table: str, where: Partitions | None) -> str:
        """A digest of the data files behind the partitions in `where`; "" when the table does not exist."""
        import polars as pl

        delta = self.open(table)
        if delta is None:
            return ""
        files = pl.DataFrame(delta.get_add_actions(flatten=True))
        for column, values in _checked(where or {}, delta.metadata().partition_columns, table).items():
            files = files.filter(pl.col(f"partition.{column}").is_in(values))
        return _digest(files["path"])

    def fingerprints(self, table: str) -> dict[str, str]:
        """The fingerprint of each partition that holds files, by its value, for a table with one partition column."""
        import polars as pl

        delta = self.open(table)
        if delta is None:
            return {}
        (column,) = delta.metadata().partition_columns
        files = pl.DataFrame(delta.get_add_actions(flatten=True)).group_by(f"partition.{column}").agg("path")
        return {value: _digest(paths) for value, paths in files.iter_rows()}

    def _replace_once(self, table: str, frame: "pl.DataFrame", where: Mapping[str, list[str]]) -> int | None:
        """The new version, or None when somebody else created the table first."""
        from deltalake import write_deltalake
        from deltalake.exceptions import DeltaError

        delta = self.open(table)
        if delta is None:
            _refuse_unstorable(table, frame)
            try:
                write_deltalake(
                    self._path(table),
                    _readable_anywhere(frame),
                    partition_by=list(where),
                    configuration=CONFIGURATION,
                    storage_options=self.storage_options,
                    writer_properties=_without_statistics(),
                )
            except DeltaError:
                if self.open(table) is not None:
                    return None
                raise
            return 0
        columns = delta.metadata().partition_columns
        if columns != list(where):
            raise BadInput(f"{table} is partitioned by {columns}, and replace names {list(where)}. Name exactly those.")
        fitted, added = _fitted(table, frame, delta)
        predicate = " AND ".join(f"{column} IN ({_quoted(values)})" for column, values in where.items())
        rows = _readable_anywhere(fitted)
        write_deltalake(
            delta,
            rows,
            mode="overwrite",
            predicate=predicate,
            schema_mode="merge" if added else None,
            writer_properties=_without_statistics(),
        )
        return delta.version()

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


def _without_statistics() -> "WriterProperties":
    """No minima and maxima in the files' footers either: nobody searches by them, and they are a sixth of the cost."""
    from deltalake import ColumnProperties, WriterProperties

    return WriterProperties(default_column_properties=ColumnProperties(statistics_enabled="NONE"))


def _readable_anywhere(frame: "pl.DataFrame") -> "pa.Table":
    """The frame with text as every engine knows it: Polars' own string views would be noted in the file, and Daft and
    older Spark refuse such a table."""
    import polars as pl

    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


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


def _fitted(table: str, frame: "pl.DataFrame", delta: "DeltaTable") -> tuple["pl.DataFrame", list[str]]:
    """The frame in the table's columns and types, and the names of the columns that the table does not have yet."""
    import polars as pl

    schema = pl.Schema(delta.schema())
    missing = [name for name in schema if name not in frame.schema]
    present = [name for name in schema if name in frame.schema]
    fitted = frame.with_columns(pl.col(name).cast(schema[name]) for name in present if _holds_null(frame.schema[name]))
    other = {name: (fitted.schema[name], schema[name]) for name in present if fitted.schema[name] != schema[name]}
    if missing or other:
        raise BadInput(
            f"The frame does not fit {table}: columns missing {missing}, columns of another type (found, wanted) "
            f"{other}. Nothing was written. Write nulls for a column that is no longer filled, and cast the others."
        )
    added = [name for name in fitted.columns if name not in schema]
    _refuse_unstorable(table, fitted.select(added))
    return fitted.select([*schema.names(), *added]), added


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
