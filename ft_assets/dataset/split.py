"""Which side a row stands on: a pure function of its cluster, so that it stays there for ever."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from ft_assets.dataset.select import Selection
from ft_assets.records import Side

if TYPE_CHECKING:
    import polars as pl

BRIDGES = "bridges_train_and_eval"
NO_LEDGER: Mapping[str, Side] = MappingProxyType({})


@dataclass(frozen=True)
class Sided(Selection):
    """Rows with their `side`, and for how many of their clusters the ledger held another side than `side_of` gives."""

    ledger_held: int


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


def sides_of(
    clusters: Sequence[str], key: str, eval_fraction: float = 0.10, validation_fraction: float = 0.10
) -> list[Side]:
    """`side_of` each cluster, for very many of them."""
    import numpy as np

    prefix = f"{key}\0".encode()
    digests = b"".join([hashlib.sha256(prefix + cluster.encode()).digest()[:16] for cluster in clusters])
    drawn = np.frombuffer(digests, ">u8").reshape(-1, 2).astype(np.float64) / 2**64
    names = np.array(["train", "validation", "eval"], dtype=object)
    places = np.where(drawn[:, 0] < eval_fraction, 2, np.where(drawn[:, 1] < validation_fraction, 1, 0))
    return list(names[places])


def assign_sides(
    rows: "pl.DataFrame",
    key: str,
    eval_fraction: float = 0.10,
    validation_fraction: float = 0.10,
    ledger: Mapping[str, Side] = NO_LEDGER,
) -> Sided:
    """The rows with a column `side`, in the order of day and example_id, without those that bridge two sides.

    A side that the `ledger` holds for a cluster wins over `side_of`, so that changed fractions only draw new clusters.
    Dropped and counted as `bridges_train_and_eval`: a row that is linked to a cluster of another side, and a row whose
    prompt (`prompt_id`, or the same whole text but for case, spacing and Unicode form) was first asked on another side.
    None changes side. The column `text`, if there is one, holds `whole_keys` of the messages.
    """
    import polars as pl

    from ft_assets.dataset.texts import whole_keys

    ordered = rows if _in_order(rows) else rows.sort("day", "example_id")
    sides, held = _side_per_cluster(ordered, key, eval_fraction, validation_fraction, ledger)
    text = pl.Series("text", whole_keys(ordered["messages"])) if "text" not in rows.columns else ordered["text"]
    judged = (
        ordered.select("cluster_id", "prompt_id")
        .with_columns(text)
        .join(sides, on="cluster_id", how="left", maintain_order="left")
    )
    side = pl.col("side")
    apart = judged.select((side.first().over("prompt_id") != side) | (side.first().over("text") != side)).to_series()
    apart |= _linked_elsewhere(ordered, judged["side"], sides)
    with_sides = ordered.with_columns(judged["side"])
    if not apart.any():
        return Sided(with_sides, {}, held)
    return Sided(with_sides.filter(~apart), {BRIDGES: int(apart.sum())}, held)


def _in_order(rows: "pl.DataFrame") -> bool:
    """Whether the rows are in the order of day and example_id; to look is cheaper than to move their texts."""
    import polars as pl

    day, name = pl.col("day"), pl.col("example_id")
    later = (day > day.shift()) | ((day == day.shift()) & (name >= name.shift()))
    return bool(rows.select(later.fill_null(True).all()).item()) if rows.height else True


def _side_per_cluster(
    rows: "pl.DataFrame", key: str, eval_fraction: float, validation_fraction: float, ledger: Mapping[str, Side]
) -> "tuple[pl.DataFrame, int]":
    """Columns cluster_id and side of every cluster of the rows, and for how many rows' clusters the ledger differs."""
    import polars as pl

    linked = rows["linked_clusters"].explode().drop_nulls()
    clusters = pl.concat([rows["cluster_id"], linked.alias("cluster_id")]).unique()
    drawn = sides_of(clusters.to_list(), key, eval_fraction, validation_fraction)
    sides = [ledger.get(cluster, side) for cluster, side in zip(clusters, drawn, strict=True)] if ledger else drawn
    table = pl.DataFrame({"cluster_id": clusters, "side": sides}, schema={"cluster_id": pl.String, "side": pl.String})
    differs = table.filter(table["side"] != pl.Series(drawn, dtype=pl.String))["cluster_id"]
    own = rows.filter(pl.col("cluster_id").is_in(differs.implode()))["cluster_id"].n_unique() if differs.len() else 0
    return table, own


def _linked_elsewhere(rows: "pl.DataFrame", own: "pl.Series", sides: "pl.DataFrame") -> "pl.Series":
    """Whether any cluster that a row is linked to stands on another side than its own."""
    import polars as pl

    links = (
        pl.DataFrame(
            {"place": pl.int_range(rows.height, eager=True), "own": own, "cluster_id": rows["linked_clusters"]}
        )
        .filter(pl.col("cluster_id").list.len() > 0)
        .explode("cluster_id")
        .join(sides, on="cluster_id")
        .filter(pl.col("side") != pl.col("own"))
    )
    return pl.int_range(rows.height, eager=True).is_in(links["place"].implode())
