"""Whether the pairs of a written snapshot stand where they may: for its checks, and for whoever trains on them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ft_assets.dataset.contamination import drop_golden
from ft_assets.dataset.golden import GoldenRow
from ft_assets.dataset.preference_rows import PREFERENCES_FILE, prompt_texts, without_copies
from ft_assets.dataset.rows import side_frame
from ft_assets.dataset.texts import TURNS
from ft_assets.errors import IncompleteArtifact, LeakFound
from ft_assets.records import SIDES

READ: dict[str, Any] = {
    "pair_id": pl.String,
    "cluster_ids": pl.List(pl.String),
    "side": pl.String,
    "task_type": pl.String,
    "prompt": TURNS,
    "chosen": TURNS,
    "rejected": TURNS,
}


def preference_leaks(snapshot_dir: Path, golden: Sequence[GoldenRow]) -> dict[str, str]:
    """Id of each pair that is learned from and must not be, to what it shares with another side or the golden set.

    Looked at: the same cluster or prompt in rows or pairs of another side, and golden rows and the eval side, whole, in
    part or with changes, in either answer. Empty when the pairs are clean.

    Raises:
        IncompleteArtifact: the snapshot has no preferences.jsonl; materialize train_eval_split again.
    """
    path = snapshot_dir / PREFERENCES_FILE
    if not path.is_file():
        raise IncompleteArtifact(f"{path} does not exist, so no pair can be looked at. Materialize train_eval_split.")
    if not path.stat().st_size:
        return {}
    pairs = pl.read_ndjson(path, schema=READ)
    rows = pl.concat([side_frame(snapshot_dir, side).with_columns(side=pl.lit(side)) for side in SIDES])
    chosen, rejected = (_with_answer(pairs, side) for side in ("chosen", "rejected"))
    asks_golden = [drop_golden(answers, golden).rows for answers in (chosen, rejected)]
    asked = prompt_texts(pl.col("messages"))
    clean = without_copies(chosen, rejected.drop("side"), rows.with_columns(pl.col("messages").cast(TURNS)), golden)
    found = {
        "the same cluster": _on_two_sides(
            pairs.select("pair_id", "side", key="cluster_ids").explode("key"), rows.select("side", key="cluster_id")
        ),
        "the same prompt": _on_two_sides(
            chosen.select("side", pair_id="example_id", key=asked), rows.select("side", key=asked)
        ),
        "the golden set": [name for kept in asks_golden for name in _missing(chosen, kept)],
        "a copy of what it is judged by": _missing(chosen, clean.rows),
    }
    learned = set(pairs.filter(pl.col("side") != "eval")["pair_id"])
    leaks: dict[str, str] = {}
    for what, names in found.items():
        leaks |= {name: what for name in names if name in learned and name not in leaks}
    return dict(sorted(leaks.items()))


def refuse_leaking_preferences(snapshot_dir: Path, golden: Sequence[GoldenRow]) -> None:
    """Nothing, for pairs that may be trained on.

    Raises:
        LeakFound: `preference_leaks` found something; names how many and the first three.
        IncompleteArtifact: as there.
    """
    refuse_found(preference_leaks(snapshot_dir, golden), "preference pairs", snapshot_dir)


def refuse_found(found: Mapping[str, str], of_what: str, snapshot_dir: Path) -> None:
    """Nothing where `found` (ids, and what they share) is empty.

    Raises:
        LeakFound: it is not; names how many and the first three.
    """
    if found:
        first = ", ".join(f"{name[:12]} ({what})" for name, what in list(found.items())[:3])
        raise LeakFound(
            f"{len(found)} {of_what} of the snapshot in {snapshot_dir} share with another side or the golden "
            f"set: {first}. A model trained on them could not be judged. Materialize train_eval_split again; if it "
            "stays, the golden file or the clusters of curated_examples are wrong."
        )


def _with_answer(pairs: pl.DataFrame, side: str) -> pl.DataFrame:
    return pairs.select(
        "side",
        "task_type",
        example_id="pair_id",
        cluster_id=pl.col("cluster_ids").list.first(),
        messages=pl.col("prompt").list.concat(pl.col(side)),
    )


def _on_two_sides(pairs: pl.DataFrame, rows: pl.DataFrame) -> list[str]:
    """The pairs of which a key is on another side, too, in the pairs or in the rows."""
    sides = pl.concat([pairs.select("key", "side"), rows.select("key", "side")])
    several = sides.group_by("key").agg(pl.col("side").n_unique()).filter(pl.col("side") > 1)
    return pairs.join(several.select("key"), on="key", how="semi")["pair_id"].to_list()


def _missing(before: pl.DataFrame, after: pl.DataFrame) -> list[str]:
    return before.join(after, on="example_id", how="anti")["example_id"].to_list()
