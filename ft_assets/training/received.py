"""What a training was given, written into its artifact: the ids of its rows, and digests of the texts behind them.

So it can be asked of the artifact alone whether a row that judges the model was among those that made it.
"""

import json
from pathlib import Path

from ft_assets.conversation_digests import conversation_digest
from ft_assets.training.stage_data import SideRows, TrainingRows

RECEIVED_FILE = "received.json"
Received = dict[str, dict[str, dict[str, list[str]]]]


def received(rows: TrainingRows) -> Received:
    """Side, kind of row and id to the digests of the conversations that were encoded: one, of a pair two.

    Kinds without a row are left out, sides are not. Digests are those of `conversation_digest`.
    """
    return {"train": _of_side(rows.train), "validation": _of_side(rows.validation)}


def write_received(out_dir: Path, rows: TrainingRows) -> None:
    """Writes received.json into the artifact, sorted by id: the same bytes for the same rows in whatever order."""
    text = json.dumps(received(rows), indent=0, sort_keys=True)
    (out_dir / RECEIVED_FILE).write_text(text + "\n", encoding="utf-8")


def _of_side(rows: SideRows) -> dict[str, dict[str, list[str]]]:
    kinds = {
        "examples": {row.example_id: [conversation_digest(row.messages)] for row in rows.examples},
        "pairs": {
            row.pair_id: [conversation_digest([*row.prompt, *answer]) for answer in (row.chosen, row.rejected)]
            for row in rows.pairs
        },
        "judged": {row.example_id: [conversation_digest(row.messages)] for row in rows.judged},
    }
    return {kind: found for kind, found in kinds.items() if found}
