"""Exactly the rows that made a model, and the interactions behind them: from its artifacts alone."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ft_assets.dataset.known_ids import erased_rows
from ft_assets.errors import BadInput, Erased
from ft_assets.lake import Lake
from ft_assets.records import Side

LEARNED: tuple[Side, ...] = ("train", "validation")
# Where a snapshot keeps the rows of each kind, and what their id is called there.
FILES = {"examples": "{side}.jsonl", "pairs": "preferences.jsonl", "judged": "judged.jsonl"}
IDS = {"examples": "example_id", "pairs": "pair_id", "judged": "example_id"}


@dataclass(frozen=True, order=True)
class TrainedRow:
    """One row that the trainer received. `kind` is examples, pairs or judged."""

    side: Side
    kind: str
    row_id: str
    interaction_ids: tuple[str, ...]


def trained_rows(lake: Lake, model_digest: str, sides: Iterable[Side] = LEARNED) -> list[TrainedRow]:
    """The rows that the trainer wrote into the model's artifact as received, with the interactions that the snapshot
    named by its provenance made them from; sorted by side (as given), kind and id.

    The train side made the weights; the validation side chose the checkpoint.

    Raises:
        IncompleteArtifact: the adapter or its snapshot is absent or damaged.
        BadInput: the artifact does not say what was received, or names a row that its snapshot does not have.
    """
    adapter = lake.artifact("adapter", model_digest).path
    origin, received = _read(adapter / "provenance.json"), _read(adapter / "received.json")
    rows_in = _snapshot(lake, origin["snapshot"])
    return [
        TrainedRow(side, kind, row_id, known[row_id])
        for side in sides
        for kind in sorted(received.get(side, {}))
        for known in [_known(rows_in(FILES[kind].format(side=side)), side, kind, received[side][kind])]
        for row_id in sorted(received[side][kind])
    ]


def erased_note(lake: Lake, model_digest: str) -> str:
    """What became of the texts of a model's rows where a person asked to be forgotten; "" where they are there."""
    origin = _read(lake.artifact("adapter", model_digest).path / "provenance.json")
    try:
        lake.artifact("snapshot", origin["snapshot"])
    except Erased:
        return "the texts of these rows, because a person among them asked to be forgotten; their ids are left"
    return ""


def interactions_of(rows: Iterable[TrainedRow]) -> list[str]:
    """The interactions behind these rows, each once, sorted."""
    return sorted({name for row in rows for name in row.interaction_ids})


def _snapshot(lake: Lake, digest: str) -> Callable[[str], Iterable[Mapping[str, Any]]]:
    """The rows by file; of a snapshot that was erased by request, what is left of them."""
    try:
        path = lake.artifact("snapshot", digest).path
    except Erased:
        left = erased_rows(lake, digest)
        return lambda name: left.get(name, [])
    return lambda name: _lines(path / name)


def _known(
    rows: Iterable[Mapping[str, Any]], side: Side, kind: str, wanted: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    known = {row[IDS[kind]]: tuple(row["interaction_ids"]) for row in rows if row.get("side", side) == side}
    if strange := sorted(set(wanted) - set(known)):
        raise BadInput(
            f"The trainer received {len(strange)} {kind} for {side} that its snapshot does not have on that side, the "
            f"first {strange[0]}. Where they are from is not known, so this model's rows cannot be told."
        )
    return known


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path} cannot be read ({error!r}), so nobody can tell what this model was made from."
        ) from error
    return found
