"""Which examples a snapshot held: from its rows, or from what is left of them where a person asked to be forgotten."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ft_assets.dataset.rows import side_frame
from ft_assets.errors import Erased
from ft_assets.lake import Lake
from ft_assets.lake_artifacts import ERASED
from ft_assets.records import SIDES, Side


def known_ids(lake: Lake, digest: str, sides: Sequence[Side] = SIDES) -> list[str]:
    """The example ids on these sides of a snapshot.

    Raises:
        IncompleteArtifact: the snapshot is absent or damaged.
    """
    try:
        path = lake.artifact("snapshot", digest).path
    except Erased:
        left = erased_rows(lake, digest)
        return [row["example_id"] for side in sides for row in left.get(f"{side}.jsonl", [])]
    return snapshot_ids(path, sides)


def snapshot_ids(snapshot_dir: Path, sides: Sequence[Side] = SIDES) -> list[str]:
    """The example ids on these sides of a snapshot whose rows are there."""
    return [name for side in sides for name in side_frame(snapshot_dir, side)["example_id"].to_list()]


def erased_rows(lake: Lake, digest: str) -> dict[str, list[dict[str, Any]]]:
    """By file, the ids of the rows of a snapshot that was erased by request: their interactions, side and cluster."""
    rows: dict[str, list[dict[str, Any]]] = json.loads(lake.folders.read(f"artifacts/snapshot/{digest}/{ERASED}"))[
        "rows"
    ]
    return rows
