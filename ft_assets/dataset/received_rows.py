"""Whether a training was given exactly the rows of its snapshot's sides, and none that judges its model.

The training writes down what it received (ids, and digests of what was encoded); here that record is read beside the
snapshot and the golden set. The record is plain data, so that no stage needs the other.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from ft_assets.conversation_digests import conversation_digest
from ft_assets.dataset.golden import GoldenRow
from ft_assets.dataset.judged_rows import read_judged
from ft_assets.dataset.preference_rows import PREFERENCES_FILE, read_preferences
from ft_assets.dataset.rows import read_side
from ft_assets.errors import LeakFound
from ft_assets.records import Side

Digests = dict[str, list[str]]  # id of a row to the digests of its conversations
Received = Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]  # side, kind, id
LEARNED: tuple[Side, ...] = ("train", "validation")
COPY_OF_EVAL, COPY_OF_GOLDEN = "of the eval side or a copy of it", "of the golden set or a copy of it"
NO_SIDE = "a side that nothing is trained on"
FOREIGN, OTHER_TEXT, NOT_RECEIVED = "not of the snapshot's side", "with another text than there", "missing"


def received_problems(
    received: Received, snapshot_dir: Path, golden: Sequence[GoldenRow], kinds: Collection[str]
) -> dict[str, str]:
    """Side, kind and id (`train/examples/<id>`) of each row that should not be as it is, and why; empty when all hold.

    `kinds` are the kinds of rows that the recipe's stages learn from: examples, pairs, judged. A row must not be a row
    of the eval side or of the golden set, nor say the same under another id (without case, spacing, Unicode form and
    system turns). The ids of each side must be those of the snapshot's side, and so must their texts.

    Raises:
        IncompleteArtifact, BadInput: the snapshot is damaged, or lacks the rows of a kind.
    """
    held_out = _held_out(snapshot_dir, golden)
    problems = {side: NO_SIDE for side in received if side not in LEARNED}
    for side in LEARNED:
        of_side = received.get(side, {})
        for kind in sorted({*of_side, *kinds}):
            rows = of_side.get(kind, {})
            wanted = KINDS[kind](snapshot_dir, side) if kind in kinds else {}
            for name, why in (*_differences(rows, wanted), *_copies(rows, held_out)):
                problems[f"{side}/{kind}/{name}"] = why  # what it is judged by comes last, and stays
    return problems


def refuse_received(
    received: Received, snapshot_dir: Path, golden: Sequence[GoldenRow], kinds: Collection[str]
) -> None:
    """Nothing, for a model that may be evaluated.

    Raises:
        LeakFound: `received_problems` found something; names how many of each kind and the first three.
        IncompleteArtifact, BadInput: as there.
    """
    if problems := received_problems(received, snapshot_dir, golden, kinds):
        raise LeakFound(
            f"{told(problems)} The snapshot is {snapshot_dir}. What such a model scores proves nothing. Materialize "
            "train_eval_split and lora_checkpoint again; if it stays, look for what changes rows on their way there."
        )


def told(problems: Mapping[str, str]) -> str:
    """How many rows there are of each kind of problem, and the first three of them. Never a text."""
    counts = ", ".join(f"{number} {why}" for why, number in Counter(problems.values()).most_common())
    return f"Rows that the training received: {counts}. The first: {', '.join(list(problems)[:3])}."


def _examples(snapshot_dir: Path, side: Side) -> Digests:
    return {row.example_id: [conversation_digest(row.messages)] for row in read_side(snapshot_dir, side)}


def _pairs(snapshot_dir: Path, side: Side) -> Digests:
    return {
        row.pair_id: [conversation_digest([*row.prompt, *answer]) for answer in (row.chosen, row.rejected)]
        for row in read_preferences(snapshot_dir, side)
    }


def _judged(snapshot_dir: Path, side: Side) -> Digests:
    return {row.example_id: [conversation_digest(row.messages)] for row in read_judged(snapshot_dir, side)}


KINDS: Mapping[str, Callable[[Path, Side], Digests]] = {"examples": _examples, "pairs": _pairs, "judged": _judged}


def _held_out(snapshot_dir: Path, golden: Sequence[GoldenRow]) -> dict[str, str]:
    """Every id and every digest of what judges a model, to what to say of a row that has it."""
    on_eval = _examples(snapshot_dir, "eval")
    if (snapshot_dir / PREFERENCES_FILE).is_file():
        on_eval |= _pairs(snapshot_dir, "eval")
    found = {key: COPY_OF_EVAL for name, digests in on_eval.items() for key in (name, *digests)}
    frozen = [key for row in golden for key in (row.id, conversation_digest(row.messages))]
    return found | dict.fromkeys(frozen, COPY_OF_GOLDEN)


def _differences(rows: Mapping[str, Sequence[str]], wanted: Digests) -> Iterator[tuple[str, str]]:
    for name in sorted({*rows, *wanted}):
        if name not in wanted:
            yield name, FOREIGN
        elif name not in rows:
            yield name, NOT_RECEIVED
        elif list(rows[name]) != wanted[name]:
            yield name, OTHER_TEXT


def _copies(rows: Mapping[str, Sequence[str]], held_out: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, digests in rows.items():
        if key := next((key for key in (name, *digests) if key in held_out), None):
            yield name, held_out[key]
