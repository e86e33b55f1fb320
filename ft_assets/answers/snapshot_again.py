"""A model's snapshot once more, from today's tables where they still hold its rows."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ft_assets.errors import FtAssetsError, IncompleteArtifact
from ft_assets.lake import Lake
from ft_assets.specializations.choice import golden_of
from ft_assets.state import State

if TYPE_CHECKING:
    import polars as pl

    from ft_assets.specializations.specialization import Specialization

# What the trainer of each objective reads. The other files may differ: counts.json also tells what was left out, of
# rows that came later, too.
READ_BY = {"sft": ("train.jsonl", "validation.jsonl"), "dpo": ("preferences.jsonl",), "kto": ("judged.jsonl",)}
# Of a row. Those that an earlier version wrote have no difficulty.
NEVER_TRAINED_ON = ("difficulty", "interaction_ids", "cluster_id", "prompt_id")


@dataclass(frozen=True)
class SnapshotAgain:
    """Where the rows come from. `rebuilt`: today's tables give everything that the training read. Otherwise the
    stored snapshot is used, `why_stored` says why, and `missing` and `added` count examples that differ, where known.
    """

    digest: str
    path: Path
    rebuilt: bool
    why_stored: str = ""
    missing: int | None = None
    added: int | None = None


def snapshot_again(
    lake: Lake,
    state: State,
    digest: str,
    line: str,
    spec: "Specialization | None",
    split_key: str,
    objectives: Collection[str],
    folder: Path,
) -> SnapshotAgain:
    """The snapshot, built into `folder` by its own recipe.json from the days up to its last row's. `objectives`
    are those of the training's stages: what they do not read is not compared.

    `spec` is the line of today, for its golden set; None where there is no such line any more.

    Raises:
        IncompleteArtifact: the stored snapshot is damaged, erased or gone, so nobody can tell what it was made by.
    """
    stored = lake.artifact("snapshot", digest).path
    recipe = json.loads((stored / "recipe.json").read_bytes())
    try:
        if reason := _not_the_same_choice(lake, recipe, spec, split_key):
            return SnapshotAgain(digest, stored, False, reason)
        _build(lake, state, recipe, line, spec, split_key, digest, stored, folder)
    except FtAssetsError as error:
        return SnapshotAgain(digest, stored, False, f"today's tables do not give one: {error}")
    missing, added = _ids(stored) - _ids(folder), _ids(folder) - _ids(stored)
    read = [name for objective in objectives for name in READ_BY[objective]]
    differing = [name for name in read if _trained_on(stored / name) != _trained_on(folder / name)]
    if differing:
        why = f"today's tables give other rows in {', '.join(differing)}: {len(missing)} examples are not there any "
        why += f"more, {len(added)} would be added, and the others may be written otherwise"
        return SnapshotAgain(digest, stored, False, why, len(missing), len(added))
    return SnapshotAgain(digest, folder, True, missing=0, added=0)


def _trained_on(file: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in file.read_bytes().splitlines()]
    return [{name: value for name, value in row.items() if name not in NEVER_TRAINED_ON} for row in rows]


def _not_the_same_choice(
    lake: Lake, recipe: dict[str, Any], spec: "Specialization | None", split_key: str
) -> str | None:
    from ft_assets.dataset.golden import golden_digest

    if hashlib.sha256(split_key.encode()).hexdigest() != recipe["split_key_sha256"]:
        return "FT_ASSETS_SPLIT_KEY is another one now, so rows stand on other sides"
    golden = golden_of(spec, lake) if spec else []
    if golden_digest(golden) != recipe["golden_digest"]:
        return "the line's golden set is another one now, so other rows are left out for it"
    return None


def _build(
    lake: Lake,
    state: State,
    recipe: dict[str, Any],
    line: str,
    spec: "Specialization | None",
    split_key: str,
    digest: str,
    stored: Path,
    folder: Path,
) -> None:
    import polars as pl

    from ft_assets.dataset.rules import Rules
    from ft_assets.dataset.select import Selector
    from ft_assets.dataset.snapshot import build_snapshot
    from ft_assets.dataset.split import SplitFractions

    known = _ids(stored)
    last_day = _last_day(lake.scan("curated_examples"), known)
    until_then = pl.col("day") <= last_day
    pairs = lake.scan("preference_pairs").filter(until_then) if lake.exists("preference_pairs") else None
    build_snapshot(
        lake.scan("curated_examples").filter(until_then),
        Selector.model_validate(recipe["selector"]),
        split_key,
        SplitFractions.model_validate(recipe["fractions"]),
        golden_of(spec, lake) if spec else [],
        recipe["system_prompt"],
        folder,
        rules=Rules.model_validate(recipe["rules"]),
        ledger=state.sides(line),
        previous=_ids_before(lake, state, line, digest),
        specialization=line,
        pairs=pairs,
        most_pairs_per_prompt=recipe["most_pairs_per_prompt"],
        disliked_below=recipe["disliked_below"],
    )


def _last_day(curated: "pl.LazyFrame", ids: Collection[str]) -> str:
    """The last day of any of these rows; what landed later came after the snapshot."""
    import polars as pl

    found = curated.filter(pl.col("example_id").is_in(list(ids))).select(pl.col("day").max()).collect().item()
    return str(found or "")


def _ids_before(lake: Lake, state: State, line: str, digest: str) -> list[str]:
    """The rows of the snapshot that had trained last when this one was made: among near-duplicates they stay."""
    from ft_assets.dataset.known_ids import known_ids

    trained = [each.snapshot for each in state.trained(line)]
    before = trained[: trained.index(digest)] if digest in trained else []
    try:
        return known_ids(lake, before[-1]) if before else []
    except IncompleteArtifact:  # gone since; where it decided, other rows come out, and the stored ones are used
        return []


def _ids(snapshot: Path) -> set[str]:
    """Example ids on all sides."""
    from ft_assets.dataset.known_ids import snapshot_ids

    return set(snapshot_ids(snapshot))
