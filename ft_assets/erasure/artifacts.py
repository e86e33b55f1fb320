"""Artifacts that hold a person's rows lose their files; `erased.json` says what is left: ids, hashes, the verdict.

Adapters and base models stay: weights are no rows. Models that learned from the rows are tainted instead.
"""

import gzip
import io
import json
import re
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from ft_assets.erasure.found import Found
from ft_assets.erasure.person import Person, stands_in
from ft_assets.erasure.probes import holds_any
from ft_assets.erasure.search import ids_of_rows, is_theirs
from ft_assets.errors import MissingInput
from ft_assets.lake import Lake
from ft_assets.lake_artifacts import DIGEST, ERASED
from ft_assets.lake_folders import files_below
from ft_assets.lake_manifest import MANIFEST
from ft_assets.lake_upkeep import LEFTOVER_SECONDS

KEPT = ("adapter", "base_model")
NO_TEXT = (".png", ".safetensors", ".bin", ".pt", ".pth", ".arrow", ".db")
# of an example or a pair, and of an interaction that came without one
HEX_ID = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{32}|[0-9a-f]{64})(?![0-9a-f])")


@dataclass(frozen=True)
class Traces:
    """Recognises copies of the person's rows in a file, by ids of rows or by pieces of their texts."""

    ids: frozenset[str]
    pieces: list[str]

    def of_text(self, text: str) -> bool:
        """Whether a piece of their texts stands in it."""
        return holds_any(text, self.pieces)

    def of_rows(self, text: str) -> bool:
        """Whether it names a row of theirs, or repeats their text."""
        plain = [name for name in self.ids if not HEX_ID.fullmatch(name)]
        if not self.ids.isdisjoint(HEX_ID.findall(text)) or any(stands_in(name, text) for name in plain):
            return True
        return self.of_text(text)


def erase_artifacts(lake: Lake, person: Person, found: Found, traces: Traces, dry_run: bool) -> dict[str, list[str]]:
    """Kind to digests of what was erased, now or earlier by this search. Half-written directories go as a whole."""
    done: dict[str, list[str]] = {}
    for kind in lake.folders.subfolders("artifacts"):
        if kind in KEPT:
            continue
        for name in lake.folders.subfolders(f"artifacts/{kind}"):
            place = f"artifacts/{kind}/{name}"
            if not DIGEST.fullmatch(name):
                if _is_left_over(lake, place) and not dry_run:
                    lake.folders.remove_all(place)
            elif _has_theirs(lake, kind, name, found, traces):
                done.setdefault(kind, []).append(name)
                if not dry_run:
                    erase_artifact(lake, kind, name, person.hash)
    return done


def erase_artifact(lake: Lake, kind: str, digest: str, user_hash: str) -> None:
    """Puts `erased.json` into the artifact first, so that every reader is told from here on, and removes its files;
    the manifest stays. A copy in this node's cache goes, too."""
    place = f"artifacts/{kind}/{digest}"
    left = {
        "erased": "by request: it held rows of a person who asked to be forgotten",
        "kind": kind,
        "digest": digest,
        "user": user_hash,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        **_what_stays(lake, kind, digest),
    }
    if not _is_erased(lake, place):
        lake.folders.write(f"{place}/{ERASED}", json.dumps(left, sort_keys=True, indent=1).encode() + b"\n")
    for key, _ in list(files_below(lake.folders, place)):
        if key not in (f"{place}/{MANIFEST}", f"{place}/{ERASED}"):
            lake.folders.remove(key)
    for each in (lake.cache_dir / place).rglob("*"):
        if each.is_file():
            each.unlink()


def texts_in(name: str, content: bytes) -> Iterator[str]:
    """What a person could read in a file; nothing for pictures and weights."""
    if name.endswith(".gz"):
        try:
            yield from texts_in(name.removesuffix(".gz"), gzip.decompress(content))
        except (OSError, EOFError, zlib.error):
            yield content.decode("latin-1")
        return
    if name.endswith(".parquet"):
        try:
            yield pl.read_parquet(io.BytesIO(content)).write_ndjson()
        except pl.exceptions.PolarsError:
            yield content.decode("latin-1")
        return
    if not name.endswith(NO_TEXT):
        yield content.decode("utf-8", "replace")


def _has_theirs(lake: Lake, kind: str, digest: str, found: Found, traces: Traces) -> bool:
    place = f"artifacts/{kind}/{digest}"
    if kind == "snapshot":
        return digest in found.snapshots
    if kind == "report" and _is_about(lake, place, found):
        return True
    return any(traces.of_rows(text) for text in _texts(lake, place))


def _is_about(lake: Lake, place: str, found: Found) -> bool:
    """Whether a report shows answers to their rows, or answers of a model that learned from them."""
    report = _report(lake, place)
    return report.get("snapshot") in found.snapshots or report.get("models", {}).get("candidate") in found.models


def _texts(lake: Lake, place: str) -> Iterator[str]:
    for key, _ in list(files_below(lake.folders, place)):
        if not key.endswith((f"/{MANIFEST}", f"/{ERASED}")):
            try:
                yield from texts_in(key, lake.folders.read(key))
            except MissingInput:
                continue


def _what_stays(lake: Lake, kind: str, digest: str) -> dict[str, Any]:
    if kind == "snapshot":
        return {"rows": ids_of_rows(lake, digest)}
    if kind == "report":
        report = _report(lake, f"artifacts/{kind}/{digest}")
        return {name: report[name] for name in ("specialization", "models", "snapshot", "verdict") if name in report}
    return {}


def _report(lake: Lake, place: str) -> dict[str, Any]:
    for name in ("report.json", ERASED):
        try:
            return dict(json.loads(lake.folders.read(f"{place}/{name}")))
        except (MissingInput, ValueError):
            continue
    return {}


def _is_erased(lake: Lake, place: str) -> bool:
    return any(file.name == ERASED for file in lake.folders.files(place))


def _is_left_over(lake: Lake, place: str) -> bool:
    """A stage of a writer that died, or what a removal left behind."""
    ages = [time.time() - lake.folders.changed_at(key) for key, _ in list(files_below(lake.folders, place))]
    return not ages or min(ages) > LEFTOVER_SECONDS


def traces_of(lake: Lake, person: Person, found: Found, pieces: Iterable[str]) -> Traces:
    """What copies of these rows are recognised by. An id of a text that is somebody else's by now tells nothing."""
    table, theirs = "curated_examples", set[str]()
    if found.examples and lake.exists(table):
        same = lake.scan(table).filter(pl.col("example_id").is_in(sorted(found.examples)))
        theirs = set(same.filter(~is_theirs(lake, table, person, found)).select("example_id").collect().to_series())
    return Traces(frozenset((found.rows - theirs) | found.interactions), list(pieces))
