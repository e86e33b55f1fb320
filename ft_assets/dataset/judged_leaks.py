"""Whether the judged rows of a written snapshot stand where they may: for its checks, and for whoever trains."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ft_assets.dataset.call_texts import said
from ft_assets.dataset.contamination import drop_golden
from ft_assets.dataset.golden import GoldenRow
from ft_assets.dataset.judged_rows import TURN, judged_frame, without_copies
from ft_assets.dataset.preference_leaks import refuse_found
from ft_assets.dataset.preference_rows import prompt_texts
from ft_assets.dataset.rows import side_frame
from ft_assets.dataset.texts import TURNS
from ft_assets.records import SIDES

READ: dict[str, Any] = {
    **dict.fromkeys(("example_id", "cluster_id", "side", "task_type"), pl.String),
    "messages": TURNS,
}
WHOLE = (
    said(pl.col("messages"))
    .list.eval(pl.concat_str(TURN.field("role"), TURN.field("content"), separator="\x1f"))
    .list.join("\x1e")
)


def judged_leaks(snapshot_dir: Path, golden: Sequence[GoldenRow]) -> dict[str, str]:
    """Id of each judged row that must not be learned from, to what it shares with another side or the golden set.

    Looked at: rows of the eval side, the same cluster or prompt in rows of another side, and golden rows and the eval
    side, whole, in part or with changes. Rows that stand on the same side of the snapshot, word for word, are left to
    `leaks`. Empty when the rows are clean, and for a snapshot without judged rows.
    """
    judged = judged_frame(snapshot_dir, READ)
    if not judged.height:
        return {}
    rows = pl.concat([side_frame(snapshot_dir, side).with_columns(side=pl.lit(side)) for side in SIDES])
    rows = rows.with_columns(pl.col("messages").cast(TURNS))
    said_there = rows.filter(pl.col("side") != "eval").select("example_id", "side", whole=WHOLE.hash())
    judged = judged.with_columns(whole=WHOLE.hash()).join(said_there, on=["example_id", "side", "whole"], how="anti")
    asked = prompt_texts(pl.col("messages"))
    found = {
        "the eval side": judged.filter(pl.col("side") == "eval")["example_id"],
        "the same cluster": _elsewhere(judged, rows, pl.col("cluster_id")),
        "the same prompt": _elsewhere(judged, rows, asked),
        "the golden set": _missing(judged, drop_golden(judged, golden).rows),
        "a copy of what it is judged by": _missing(judged, without_copies(judged, rows, golden).rows),
    }
    leaks: dict[str, str] = {}
    for what, names in found.items():
        leaks |= {name: what for name in names if name not in leaks}
    return dict(sorted(leaks.items()))


def refuse_leaking_judged(snapshot_dir: Path, golden: Sequence[GoldenRow]) -> None:
    """Nothing, for judged rows that may be trained on, or where there are none.

    Raises:
        LeakFound: `judged_leaks` found something; names how many and the first three.
    """
    refuse_found(judged_leaks(snapshot_dir, golden), "judged rows", snapshot_dir)


def _elsewhere(judged: pl.DataFrame, rows: pl.DataFrame, key: pl.Expr) -> pl.Series:
    """Ids of the judged rows of which `key` is on another side, too, in judged rows or in the snapshot's."""
    mine = judged.select("example_id", "side", key=key)
    theirs = pl.concat([mine.select("key", "side"), rows.select("side", key=key).select("key", "side")]).unique()
    several = theirs.group_by("key").len().filter(pl.col("len") > 1)
    return mine.join(several, on="key", how="semi")["example_id"]


def _missing(before: pl.DataFrame, after: pl.DataFrame) -> pl.Series:
    return before.join(after, on="example_id", how="anti")["example_id"]
