"""Looks through the lake for everything that a person's rows are in. Nothing is changed here."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from ft_assets.erasure.found import Found
from ft_assets.erasure.landing import records_of
from ft_assets.erasure.person import Person, strings_in
from ft_assets.erasure.probes import only_theirs, pieces_of, texts_of
from ft_assets.errors import MissingInput
from ft_assets.lake import Lake
from ft_assets.lake_artifacts import ERASED

ROW_FILES = ("train.jsonl", "validation.jsonl", "eval.jsonl", "preferences.jsonl", "judged.jsonl")
ID_FIELDS = ("example_id", "pair_id", "cluster_id", "side", "interaction_ids")


def search(lake: Lake, person: Person, known: Found) -> tuple[Found, list[str]]:
    """Everything that is theirs, `known` included, and pieces of text that stand in nobody else's rows."""
    found, texts = Found(), list[str]()
    found.add(known)
    landed: set[str] = set()
    for _, record, ids in records_of(lake, person):
        landed |= ids
        texts += strings_in(record)
    found.interactions |= landed - _of_others(lake, person, landed)
    _search_raw(lake, person, found)
    _search_tables(lake, person, found)
    for digest in lake.folders.subfolders("artifacts/snapshot"):
        _search_snapshot(lake, digest, found)
    for digest in lake.folders.subfolders("artifacts/adapter"):
        _search_adapter(lake, digest, found)
    for table in ("raw_interactions", "feedback", "curated_examples", "preference_pairs"):
        if lake.exists(table):
            texts += texts_of(lake.scan(table), is_theirs(lake, table, person, found))
    pieces = pieces_of(texts)
    others = [
        (table, ~is_theirs(lake, table, person, found))
        for table in ("raw_interactions", "curated_examples")
        if lake.exists(table)
    ]
    return found, only_theirs(lake, pieces, others)


def is_theirs(lake: Lake, table: str, person: Person, found: Found) -> pl.Expr:
    """The rows of a table that are the person's or about their rows, told by its columns; never null.

    A curated row belongs to whoever asked first; copies by others in its interaction_ids do not make it theirs. A
    preference pair is theirs if one of its interactions is.
    """
    schema = lake.scan(table).collect_schema()
    is_any = pl.lit(False)

    def among(column: str, ids: set[str]) -> pl.Expr:
        if column not in schema or not ids:
            return pl.lit(False)
        return pl.col(column).is_in(sorted(ids)).fill_null(False)

    if "user_id" in schema:
        is_any |= person.in_column("user_id")
    is_any |= among("interaction_id", found.interactions)
    is_any |= among("row_id", found.rows)
    if "interaction_ids" not in schema:  # an id of a text is also that of somebody else's copy, which took its place
        is_any |= among("example_id", found.examples) | among("pair_id", found.pairs)
    is_any |= among("prompt_digest", found.prompts)
    if table == "predictions":  # a model may repeat what it learned to whoever asks
        is_any |= among("model_digest", found.models)
    if "interaction_id" not in schema:
        is_any |= among("content_id", found.contents)
    if "interaction_ids" in schema and found.interactions:
        ids = pl.col("interaction_ids").list
        first = ids.first().is_in(sorted(found.interactions))
        of_any = ids.set_intersection(sorted(found.interactions)).list.len() > 0
        is_any |= (of_any if "pair_id" in schema else first).fill_null(False)
    return is_any


def lines_of(content: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file of lines."""
    for line in content.splitlines():
        if line.strip() and isinstance(value := json.loads(line), dict):
            yield value


def ids_of_rows(lake: Lake, digest: str) -> dict[str, list[dict[str, Any]]]:
    """The ids of a snapshot's rows by file: from its rows, or from what is left where they were erased."""
    place = f"artifacts/snapshot/{digest}"
    if (left := _json(lake, f"{place}/{ERASED}")) is not None:
        rows: dict[str, list[dict[str, Any]]] = left.get("rows", {})
        if rows:
            return rows
    return {
        name: [{key: row[key] for key in ID_FIELDS if key in row} for row in lines_of(_read(lake, f"{place}/{name}"))]
        for name in ROW_FILES
    }


def _of_others(lake: Lake, person: Person, ids: set[str]) -> set[str]:
    """Those ids that a row of somebody else had first."""
    if not ids or not lake.exists("raw_interactions"):
        return set()
    theirs = person.in_column("user_id")
    named = pl.col("user_id").is_not_null() & ~theirs & pl.col("interaction_id").is_in(sorted(ids))
    return set(lake.scan("raw_interactions").filter(named).select("interaction_id").collect().to_series())


def _search_raw(lake: Lake, person: Person, found: Found) -> None:
    if lake.exists("raw_interactions"):
        raw = lake.scan("raw_interactions").select("interaction_id", "user_id", "day")
        rows = raw.filter(is_theirs(lake, "raw_interactions", person, found)).collect()
        found.interactions.update(rows["interaction_id"])
        found.days.update(rows["day"])
    if lake.exists("curated_examples") and "user_id" in lake.scan("curated_examples").collect_schema():
        # Older rows may have outlived their raw ones.
        rows = lake.scan("curated_examples").filter(person.in_column("user_id")).select("interaction_ids").collect()
        found.interactions.update(rows["interaction_ids"].list.first().drop_nulls())


def _search_tables(lake: Lake, person: Person, found: Found) -> None:
    def rows(table: str, *columns: str) -> pl.DataFrame | None:
        if not lake.exists(table):
            return None
        frame = lake.scan(table)
        present = [name for name in columns if name in frame.collect_schema()]
        return frame.filter(is_theirs(lake, table, person, found)).select(present).collect()

    if (curated := rows("curated_examples", "example_id", "day")) is not None:
        found.examples.update(curated["example_id"])
        found.days.update(curated["day"])
        ids = pl.col("interaction_ids").list.set_intersection(sorted(found.interactions)).list.len() > 0
        found.days.update(lake.scan("curated_examples").filter(ids).select("day").unique().collect().to_series())
    if (copies := rows("exact_copies", "day")) is not None:  # somebody else's copy stood back behind their example
        found.days.update(copies["day"])
    if (pairs := rows("preference_pairs", "pair_id", "day")) is not None:
        found.pairs.update(pairs["pair_id"])
    if (judged := rows("judge_scores", "content_id")) is not None:
        found.contents.update(judged["content_id"].drop_nulls())
    if (answers := rows("predictions", "prompt_digest", "row_id")) is not None and "prompt_digest" in answers:
        theirs = answers.filter(pl.col("row_id").is_in(sorted(found.rows)))
        found.prompts.update(theirs["prompt_digest"].drop_nulls())


def _search_snapshot(lake: Lake, digest: str, found: Found) -> None:
    for name, rows in ids_of_rows(lake, digest).items():
        for row in (row for row in rows if is_of(row, found)):
            found.snapshots.add(digest)
            (found.pairs if name == "preferences.jsonl" else found.examples).add(row_id_of(row))


def is_of(row: Mapping[str, Any], found: Found) -> bool:
    """Whether a row of a snapshot was made from one of their interactions; its own id is that of its text."""
    if named := row.get("interaction_ids"):
        return not found.interactions.isdisjoint(named)
    return row_id_of(row) in found.rows


def row_id_of(row: Mapping[str, Any]) -> str:
    """The id that a row of a snapshot goes by."""
    return str(row.get("example_id") or row.get("pair_id"))


def learned_from(lake: Lake, digest: str, found: Found) -> bool:
    """Whether a model learned from their rows: those that its trainer received, or, where it does not say so, all of
    its snapshot."""
    snapshot = _snapshot_of(lake, digest) or ""
    received = _json(lake, f"artifacts/adapter/{digest}/received.json")
    if received is None:
        return snapshot in found.snapshots
    listed = [row for rows in ids_of_rows(lake, snapshot).values() for row in rows]
    theirs = {row_id_of(row) for row in listed if is_of(row, found)} if listed else found.rows
    return any(theirs.intersection(rows) for kinds in received.values() for rows in kinds.values())


def _search_adapter(lake: Lake, digest: str, found: Found) -> None:
    if learned_from(lake, digest, found):
        found.models.add(digest)
    elif _snapshot_of(lake, digest) in found.snapshots:
        found.evaluated.add(digest)


def _snapshot_of(lake: Lake, digest: str) -> str | None:
    return (_json(lake, f"artifacts/adapter/{digest}/provenance.json") or {}).get("snapshot")


def _json(lake: Lake, key: str) -> dict[str, Any] | None:
    content = _read(lake, key)
    try:
        value = json.loads(content) if content else None
    except ValueError:
        return None
    return dict(value) if isinstance(value, Mapping) else None


def _read(lake: Lake, key: str) -> bytes:
    try:
        return lake.folders.read(key)
    except MissingInput:
        return b""
