"""Which side a row stands on: a pure function of its cluster, so that it stays there for ever."""

import hashlib
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from ft_assets.dataset.contamination import normalised, turns_of
from ft_assets.dataset.select import Selection
from ft_assets.records import Side

if TYPE_CHECKING:
    import polars as pl

BRIDGES = "bridges_train_and_eval"


class SplitFractions(BaseModel):
    """How much of the clusters is held out. Changing a fraction moves whole clusters, and only those it has to."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    eval_fraction: float = Field(
        default=0.10, ge=0, lt=1, description="Share of all clusters for the report and the gate."
    )
    validation_fraction: float = Field(
        default=0.10, ge=0, lt=1, description="Share of the rest, for early stopping and the choice of a checkpoint."
    )


def side_of(cluster_id: str, key: str, eval_fraction: float = 0.10, validation_fraction: float = 0.10) -> Side:
    """The side of a cluster, from two independent uniform numbers of one SHA-256 of `key` and the cluster's id.

    A larger `eval_fraction` only moves clusters to eval, a larger `validation_fraction` only from train to validation.
    Another key is another draw altogether: everything ever trained on may then be on the eval side.
    """
    digest = hashlib.sha256(f"{key}\0{cluster_id}".encode()).digest()
    held_out, watched = (int.from_bytes(part) / 2**64 for part in (digest[:8], digest[8:16]))
    if held_out < eval_fraction:
        return "eval"
    return "validation" if watched < validation_fraction else "train"


def assign_sides(
    rows: "pl.DataFrame", key: str, eval_fraction: float = 0.10, validation_fraction: float = 0.10
) -> Selection:
    """The rows with a column `side`, in the order of day and example_id, without those that bridge two sides.

    A prompt (`prompt_id`, or the same normalised whole text) belongs to the side of its first row. Later rows of that
    prompt whose cluster stands on another side are dropped and counted as `bridges_train_and_eval`; none changes side.
    """
    import polars as pl

    ordered = rows.sort("day", "example_id")
    owners: dict[tuple[str, str], Side] = {}
    sides: list[Side | None] = []
    for row in ordered.select("cluster_id", "prompt_id", "messages").iter_rows(named=True):
        side = side_of(row["cluster_id"], key, eval_fraction, validation_fraction)
        texts = (("prompt", row["prompt_id"]), ("text", normalised(turns_of(row["messages"]))))
        if any(owners.get(text, side) != side for text in texts):
            sides.append(None)
            continue
        owners.update(dict.fromkeys(texts, side))
        sides.append(side)
    with_sides = ordered.with_columns(pl.Series("side", sides, dtype=pl.String))
    kept = with_sides.filter(pl.col("side").is_not_null())
    bridges = with_sides.height - kept.height
    return Selection(kept, {BRIDGES: bridges} if bridges else {})
