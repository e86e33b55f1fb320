"""Which examples a snapshot held: from its rows, or from what is left of them where a person asked to be forgotten."""

import json
from collections.abc import Sequence

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
        left = json.loads(lake.folders.read(f"artifacts/snapshot/{digest}/{ERASED}"))
        return [row["example_id"] for side in sides for row in left["rows"].get(f"{side}.jsonl", [])]
    return [name for side in sides for name in side_frame(path, side)["example_id"].to_list()]
