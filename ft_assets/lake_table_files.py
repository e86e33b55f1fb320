"""The data files of a Delta table: one Parquet file for each partition of a frame, written before a commit names them.

deltalake would write them as well, at twice the CPU and, unless asked, without compression: it copies every text three
times, where Polars writes from the columns as they lie in memory. Until a commit names a file, no reader knows it.
"""

import io
import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from ft_assets.lake_folders import Folders

if TYPE_CHECKING:
    import polars as pl
    from deltalake.transaction import AddAction


def write_files(
    folders: Folders, table_key: str, frame: "pl.DataFrame", partition_by: Sequence[str]
) -> "list[AddAction]":
    """Writes one file per partition that has rows, and returns what a commit has to add; nothing for no rows.

    Without minima and maxima: nobody searches by them, and they would repeat raw user text.
    """
    added = []
    for values, rows in _partitions(frame, partition_by):
        partition = dict(zip(partition_by, map(str, values), strict=True))
        path = "/".join([*(_folder(*each) for each in partition.items()), f"part-{uuid.uuid4()}.zstd.parquet"])
        content = io.BytesIO()
        # Level 1 halves the bytes for the CPU that writing the other half would take.
        rows.write_parquet(content, compression="zstd", compression_level=1, statistics=False)
        folders.write(f"{table_key}/{path}", content.getvalue())
        added.append(_add_action(path, content.tell(), rows.height, partition))
    return added


def _partitions(
    frame: "pl.DataFrame", partition_by: Sequence[str]
) -> "Iterable[tuple[tuple[object, ...], pl.DataFrame]]":
    """Values and rows of each partition, without the partition columns, which stand in the path.

    No row is copied where those of a partition stand together.
    """
    runs = frame.select(partition_by).to_struct().rle().struct.unnest()
    names = [tuple(value.values()) for value in runs["value"]]
    if len(set(names)) < len(names):
        return frame.partition_by(partition_by, as_dict=True, maintain_order=True, include_key=False).items()
    starts = (runs["len"].cum_sum() - runs["len"]).to_list()
    frame = frame.drop(partition_by)
    return [(name, frame.slice(start, rows)) for name, start, rows in zip(names, starts, runs["len"], strict=True)]


def _folder(column: str, value: str) -> str:
    """Polars and others take the value from the path, as Hive writes it, and not from the commit."""
    return f"{column}={quote(value, safe='')}"


def _add_action(path: str, size: int, rows: int, partition: Mapping[str, str]) -> "AddAction":
    from deltalake.transaction import AddAction

    return AddAction(
        path=path,
        size=size,
        partition_values=partition,
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps({"numRecords": rows}),
    )
