"""What a snapshot holds, in numbers."""

from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from ft_assets.dataset.select import Selection, Selector
from ft_assets.dataset.split import Sided
from ft_assets.errors import IncompleteArtifact
from ft_assets.records import SIDES, Side

# Fewer train rows of a task that the selector names are a coverage gap.
COVERAGE_MINIMUM = 20
WITHOUT_TASK = "(none)"
LEARNED: tuple[Side, ...] = ("train", "validation")


class TokenFigures(BaseModel):
    """Tokens of the rows of a side, as they were curated: all turns, before transformers and chat template."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    total: int = 0
    p50: int = 0
    p95: int = 0
    max: int = 0


class SnapshotSummary(BaseModel):
    """What a snapshot holds: the content of its counts.json. Rows and clusters are numbers, shares lie in 0..1."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rows_by_side: dict[Side, int]
    clusters_by_side: dict[Side, int]
    rows_by_task: dict[str, dict[Side, int]]
    drops: dict[str, int]
    coverage_gaps: dict[str, int]  # task to its rows on the train side
    largest_cluster_share: float  # of all rows
    human_verified_share: float  # of the train rows
    tokens_by_side: dict[Side, TokenFigures] = {}
    near_duplicates: int = 0  # dropped, because another row of their group stays
    rows_without_user: int = 0  # which no cap on users holds
    preferences_by_side: dict[Side, int] = {}
    preference_drops: dict[str, int] = {}
    judged_by_side: dict[Side, dict[str, int]] = {}  # side to how many are liked and disliked
    judged_drops: dict[str, int] = {}
    ledger_held: int = 0  # clusters that stand on another side than their hash gives today, because the ledger says so


def summary_of(
    chosen: Sided,
    selector: Selector,
    near_duplicate: str,
    pairs: Selection | None = None,
    judged: Selection | None = None,
) -> SnapshotSummary:
    """The summary of a choice of rows with their `side`; `near_duplicate` is the reason to report by itself."""
    rows = chosen.rows
    cells = {
        (task, side): number
        for task, side, number in rows.group_by(pl.col("task_type").fill_null(WITHOUT_TASK), "side").len().iter_rows()
    }
    tasks = sorted({task for task, _ in cells} | set(selector.task_types))
    by_task = {task: {side: cells.get((task, side), 0) for side in SIDES} for task in tasks}
    on_side = {side: rows.filter(pl.col("side") == side) for side in SIDES}
    train = on_side["train"]
    largest = int(rows["cluster_id"].value_counts()["count"].max() or 0) if rows.height else 0  # type: ignore[arg-type]
    return SnapshotSummary(
        rows_by_side={side: part.height for side, part in on_side.items()},
        clusters_by_side={side: part["cluster_id"].n_unique() for side, part in on_side.items()},
        rows_by_task=by_task,
        drops=chosen.drops,
        coverage_gaps={task: n for task in selector.task_types if (n := by_task[task]["train"]) < COVERAGE_MINIMUM},
        largest_cluster_share=round(largest / max(1, rows.height), 6),
        human_verified_share=round(int(train["human_verified"].fill_null(False).sum()) / max(1, train.height), 6),
        tokens_by_side={side: _tokens(part["n_tokens"].drop_nulls()) for side, part in on_side.items()},
        preferences_by_side=dict(pairs.rows.group_by("side").len().sort("side").iter_rows()) if pairs else {},
        preference_drops=pairs.drops if pairs else {},
        judged_by_side=_thumbs(judged.rows) if judged else {},
        judged_drops=judged.drops if judged else {},
        rows_without_user=rows["user_id"].null_count(),
        near_duplicates=chosen.drops.get(near_duplicate, 0),
        ledger_held=chosen.ledger_held,
    )


def read_counts(directory: Path) -> SnapshotSummary:
    """The counts of the snapshot in `directory`.

    Raises:
        IncompleteArtifact: there is no counts.json; materialize train_eval_split again.
    """
    path = directory / "counts.json"
    if not path.is_file():
        raise IncompleteArtifact(f"{path} does not exist, so this is no whole snapshot. Materialize train_eval_split.")
    return SnapshotSummary.model_validate_json(path.read_bytes())


def _thumbs(judged: pl.DataFrame) -> dict[Side, dict[str, int]]:
    counted = dict.fromkeys(((side, liked) for side in LEARNED for liked in (True, False)), 0)
    counted |= {(side, liked): number for side, liked, number in judged.group_by("side", "liked").len().iter_rows()}
    return {side: {"liked": counted[side, True], "disliked": counted[side, False]} for side in LEARNED}


def _tokens(counts: pl.Series) -> TokenFigures:
    if not counts.len():
        return TokenFigures()
    half, most = (int(counts.quantile(share, "nearest") or 0) for share in (0.5, 0.95))
    return TokenFigures(total=int(counts.sum()), p50=half, p95=most, max=int(counts.max() or 0))  # type: ignore[arg-type]
