"""The snapshot: an immutable choice of rows on three sides, the same bytes whenever it is made from the same rows."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from ft_assets.dataset.contamination import IN_GOLDEN_SET, GoldenRow, drop_golden
from ft_assets.dataset.rows import SnapshotRow, canonical_json, read_side
from ft_assets.dataset.select import BY_SELECTOR, DUPLICATE, TOOL_CALLS, Selection, Selector, select
from ft_assets.dataset.split import BRIDGES, SplitFractions, assign_sides
from ft_assets.errors import BadInput, IncompleteArtifact
from ft_assets.records import SIDES, Side

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SnapshotRow", "SnapshotSummary", "build_snapshot", "read_side"]

# Fewer train rows of a task that the selector names are a coverage gap.
COVERAGE_MINIMUM = 20
FILES = (*(f"{side}.jsonl" for side in SIDES), "recipe.json", "counts.json")
WITHOUT_TASK = "(none)"


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


@dataclass(frozen=True)
class EligibleTrain:
    """Ids of the rows on the train side, sorted, and what was left out of the choice, by reason."""

    ids: list[str]
    drops: dict[str, int]


def choose(
    curated: "pl.LazyFrame | pl.DataFrame",
    selector: Selector,
    split_key: str,
    fractions: SplitFractions,
    golden: Sequence[GoldenRow],
) -> Selection:
    """The rows of a snapshot with their `side`, and every drop. What is built and what triggers both come from here."""
    selected = select(curated, selector)
    clean = drop_golden(selected.rows, golden)
    sided = assign_sides(clean.rows, split_key, fractions.eval_fraction, fractions.validation_fraction)
    return Selection(sided.rows, {**selected.drops, **clean.drops, **sided.drops})


def build_snapshot(
    curated: "pl.LazyFrame | pl.DataFrame",
    selector: Selector,
    split_key: str,
    fractions: SplitFractions,
    golden: Sequence[GoldenRow],
    system_prompt: str | None,
    directory: Path,
) -> SnapshotSummary:
    """Writes train, validation and eval rows, recipe.json and counts.json into `directory`, and returns the counts.

    The bytes depend on the rows and on the arguments only: not on the order of the input, the time or the machine.
    Messages stand as they were curated; the system prompt is recorded beside them and added when they are encoded.

    Raises:
        BadInput: no row is left on the train side (says what was dropped), or `directory` holds foreign files.
    """
    chosen = choose(curated, selector, split_key, fractions, golden)
    directory.mkdir(parents=True, exist_ok=True)
    if foreign := sorted(path.name for path in directory.iterdir() if path.name not in FILES):
        raise BadInput(
            f"{directory} already holds {foreign[:3]}, which would change the snapshot's id. Use an empty one."
        )
    summary = _summary(chosen, selector)
    if not summary.rows_by_side["train"]:
        raise BadInput(_nothing_to_learn(curated, selector, summary))
    by_side = {side: [_as_json(row) for row in _rows_of(chosen.rows, side)] for side in SIDES}
    for side, lines in by_side.items():
        _write(directory / f"{side}.jsonl", lines)
    recipe = {
        "selector": selector.model_dump(mode="json"),
        "system_prompt": system_prompt,
        "fractions": fractions.model_dump(),
        "split_key_sha256": hashlib.sha256(split_key.encode()).hexdigest(),
        "golden_digest": golden_digest(golden),
    }
    _write(directory / "recipe.json", [canonical_json(recipe)])
    _write(directory / "counts.json", [canonical_json(summary.model_dump())])
    return summary


def eligible_train_ids(
    curated: "pl.LazyFrame | pl.DataFrame",
    selector: Selector,
    split_key: str,
    fractions: SplitFractions,
    golden: Sequence[GoldenRow],
) -> EligibleTrain:
    """The ids that a snapshot made now would have on its train side; nothing is written."""
    chosen = choose(curated, selector, split_key, fractions, golden)
    return EligibleTrain(sorted(row["example_id"] for row in _rows_of(chosen.rows, "train")), chosen.drops)


def read_counts(directory: Path) -> SnapshotSummary:
    """The counts of the snapshot in `directory`.

    Raises:
        IncompleteArtifact: there is no counts.json; materialize train_eval_split again.
    """
    path = directory / "counts.json"
    if not path.is_file():
        raise IncompleteArtifact(f"{path} does not exist, so this is no whole snapshot. Materialize train_eval_split.")
    return SnapshotSummary.model_validate_json(path.read_bytes())


def new_since(train_ids: Iterable[str], previous_snapshot_dir: Path | None) -> list[str]:
    """The train-side ids that the previous snapshot did not have on its train side, sorted; all where there is none."""
    known = {row.example_id for row in read_side(previous_snapshot_dir, "train")} if previous_snapshot_dir else set()
    return sorted(set(train_ids) - known)


def state_digest(new_ids: Iterable[str], recipe_digest: str, base_digest: str) -> str:
    """SHA-256 of what a run would be about: the set of new ids, the recipe and the base. The same set, the same run."""
    state = {"new_ids": sorted(set(new_ids)), "recipe": recipe_digest, "base": base_digest}
    return hashlib.sha256(canonical_json(state).encode()).hexdigest()


def golden_digest(golden: Sequence[GoldenRow]) -> str | None:
    """SHA-256 of the golden set, whatever the order of its file; None for none."""
    rows = sorted((row.model_dump() for row in golden), key=lambda row: row["id"])
    return hashlib.sha256(canonical_json(rows).encode()).hexdigest() if rows else None


def why_waiting(name: str, new: int, threshold: int, drops: Mapping[str, int]) -> str:
    """One sentence for an operator: "qa-engineer 73 of 100: 12 duplicates, 4 without a passing signal"."""
    words = {
        DUPLICATE: "duplicate" if drops.get(DUPLICATE) == 1 else "duplicates",
        IN_GOLDEN_SET: "in the golden set",
        BRIDGES: "that bridge two sides",
        TOOL_CALLS: "with tool calls",
    }
    told: Counter[str] = Counter()
    for reason, number in drops.items():
        otherwise = f"with {reason}" if reason.startswith(BY_SELECTOR) else "without a passing signal"
        told[words.get(reason, otherwise)] += number
    left_out = ", ".join(f"{number} {what}" for what, number in told.most_common() if number)
    return f"{name} {new} of {threshold}: {left_out or 'nothing was left out, more examples have to come in'}"


def _rows_of(rows: "pl.DataFrame", side: Side) -> list[dict[str, Any]]:
    return rows.filter(rows["side"] == side).sort("example_id").to_dicts()


def _as_json(row: Mapping[str, Any]) -> str:
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in row["messages"]]
    changed = {"messages": turns, "interaction_ids": sorted(row["interaction_ids"])}
    return canonical_json({key: changed.get(key, row.get(key)) for key in SnapshotRow.model_fields})


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


def _summary(chosen: Selection, selector: Selector) -> SnapshotSummary:
    rows = chosen.rows
    sides, tasks = rows["side"].to_list(), rows["task_type"].fill_null(WITHOUT_TASK).to_list()
    cells = Counter(zip(tasks, sides, strict=True))
    by_task = {task: {side: cells[task, side] for side in SIDES} for task in sorted({*tasks, *selector.task_types})}
    clusters = Counter(rows["cluster_id"].to_list())
    train = rows.filter(rows["side"] == "train")
    verified = int(train["human_verified"].fill_null(False).sum())
    return SnapshotSummary(
        rows_by_side={side: sides.count(side) for side in SIDES},
        clusters_by_side={side: rows.filter(rows["side"] == side)["cluster_id"].n_unique() for side in SIDES},
        rows_by_task=by_task,
        drops=chosen.drops,
        coverage_gaps={t: n for t in selector.task_types if (n := by_task[t]["train"]) < COVERAGE_MINIMUM},
        largest_cluster_share=round(max(clusters.values(), default=0) / max(1, rows.height), 6),
        human_verified_share=round(verified / max(1, train.height), 6),
    )


def _nothing_to_learn(curated: "pl.LazyFrame | pl.DataFrame", selector: Selector, summary: SnapshotSummary) -> str:
    roles = curated.lazy().select("role").unique().collect()["role"].drop_nulls().sort().to_list()
    return (
        f"No row is left on the train side for {selector.wanted() or 'every row'}: by side {summary.rows_by_side}, "
        f"dropped {summary.drops or 'nothing'}, and curated_examples holds the roles {roles}. "
        "Nothing can be trained from this. Widen `select` in the specialization, or curate more rated answers."
    )
