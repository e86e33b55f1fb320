"""What asks the same thing as the golden set or as another side, and must not be learned from."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ft_assets.dataset.rows import SnapshotRow, read_lines, read_side
from ft_assets.dataset.select import Selection
from ft_assets.errors import BadInput, LeakFound, MissingInput
from ft_assets.records import SIDES, Message, Side

if TYPE_CHECKING:
    import polars as pl

IN_GOLDEN_SET = "in_golden_set"
Turns = Sequence[tuple[str, str]]  # role and content
Kind = Literal["same_example", "same_cluster", "same_prompt", "same_text", "golden"]


class GoldenRow(BaseModel):
    """One question of a frozen evaluation set. The last message is the reference answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str = Field(min_length=1)
    cluster_id: str = Field(min_length=1)
    task_type: str
    slice: str
    messages: list[Message]

    @model_validator(mode="after")
    def _asks_and_answers(self) -> Self:
        roles = [message.role for message in self.messages]
        if "user" not in roles or roles[-1] != "assistant":
            raise ValueError(f"messages have the roles {roles}; a golden row has a user's turn and ends with assistant")
        return self


@dataclass(frozen=True)
class Leak:
    """A row, and the row of another side (or of the golden set) that it must not stand beside."""

    example_id: str
    other_id: str
    kind: Kind


def golden_rows(path: Path) -> list[GoldenRow]:
    """The golden set in the order of its file.

    Raises:
        MissingInput: there is no such file; make it, or set `evaluation.golden_set: null` in the specialization.
        BadInput: a line is no golden row, an id occurs twice, or the file holds none; names file and line.
    """
    if not path.is_file():
        raise MissingInput(
            f"The golden set {path} does not exist, so nothing keeps its prompts out of training. "
            "Make the file, or set evaluation.golden_set to null in the specialization."
        )
    first_line: dict[str, int] = {}
    rows = []
    for number, row in read_lines(path, GoldenRow):
        if (earlier := first_line.setdefault(row.id, number)) != number:
            raise BadInput(f"{path}:{number} has the id {row.id!r} of line {earlier}. Give each golden row its own id.")
        rows.append(row)
    if not rows:
        raise BadInput(f"The golden set {path} holds no row, so it guards nothing. Fill it, or set golden_set to null.")
    return rows


def drop_golden(rows: "pl.DataFrame", golden: Sequence[GoldenRow]) -> Selection:
    """The rows that do not ask what the golden set asks, on whatever side they would have stood.

    A row goes when one of its answers replies to a golden prompt (so that a longer conversation that begins with one
    goes too), when its whole text is a golden row's, or when it stands in a golden row's cluster.
    Texts are compared in normalised form, without system turns.
    """
    if not golden:
        return Selection(rows, {})
    known = GoldenTexts(golden)
    matches = [
        known.match(row["example_id"], row["cluster_id"], turns_of(row["messages"]))
        for row in rows.select("example_id", "cluster_id", "messages").iter_rows(named=True)
    ]
    kept = rows.filter([match is None for match in matches])
    dropped = rows.height - kept.height
    return Selection(kept, {IN_GOLDEN_SET: dropped} if dropped else {})


def leaks(snapshot_dir: Path, golden: Sequence[GoldenRow]) -> list[Leak]:
    """Every row of a snapshot that stands where it must not; empty when the sides are clean.

    Looked at: the same example, cluster, prompt or normalised whole text on two sides, and a golden row in train or
    validation. One entry per row, with the first of these kinds that applies and one row it collides with.
    """
    known = GoldenTexts(golden)
    owners: dict[tuple[Kind, str], tuple[Side, str]] = {}
    found = []
    for side in SIDES:
        for row in read_side(snapshot_dir, side):
            collisions = _collisions(owners, side, row)
            turns = [(message.role, message.content) for message in row.messages]
            asked = known.match(row.example_id, row.cluster_id, turns) if side != "eval" else None
            if asked is not None:
                collisions.append(Leak(row.example_id, asked, "golden"))
            found += collisions[:1]
    return found


def refuse_leaking(snapshot_dir: Path, golden: Sequence[GoldenRow]) -> None:
    """Nothing, for a snapshot that may be trained on.

    Raises:
        LeakFound: `leaks` found something; names how many and the first three.
    """
    if found := leaks(snapshot_dir, golden):
        first = ", ".join(f"{leak.example_id[:12]} ({leak.kind} {leak.other_id[:24]})" for leak in found[:3])
        raise LeakFound(
            f"{len(found)} rows of the snapshot in {snapshot_dir} stand on two sides or in the golden set: {first}. "
            "A model trained on it could not be judged. Materialize train_eval_split again; if it stays, the golden "
            "file or the clusters of curated_examples are wrong."
        )


class GoldenTexts:
    """What the golden set asks and says, ready to be compared with."""

    def __init__(self, golden: Sequence[GoldenRow]):
        self._ids = {value: row.id for row in golden for value in (row.id, row.cluster_id)}
        self._prompts: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        for row in golden:
            turns = [(message.role, message.content) for message in row.messages]
            self._prompts.setdefault(normalised(turns[:-1]), row.id)
            self._texts.setdefault(normalised(turns), row.id)

    def match(self, example_id: str, cluster_id: str, turns: Turns) -> str | None:
        """The id of the golden row that this example repeats, or None."""
        known = self._ids.get(example_id) or self._ids.get(cluster_id)
        if known or not self._prompts:
            return known
        asked = (self._prompts.get(prompt) for prompt in _prompts(turns))
        return next(filter(None, asked), None) or self._texts.get(normalised(turns))


def turns_of(messages: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Role and content of the messages of a table row."""
    return [(message["role"], message["content"] or "") for message in messages]


def normalised(turns: Turns) -> str:
    """What was said, without who said it: system turns left out, NFKC, case folded, white space as single spaces."""
    said = "\n".join(content for role, content in turns if role != "system")
    return " ".join(unicodedata.normalize("NFKC", said).casefold().split())


def _prompts(turns: Turns) -> Iterator[str]:
    """What stood before each answer of the assistant: the loss counts all of them."""
    for position, (role, _) in enumerate(turns):
        if role == "assistant" and position:
            yield normalised(turns[:position])


def _collisions(owners: dict[tuple[Kind, str], tuple[Side, str]], side: Side, row: SnapshotRow) -> list[Leak]:
    """Leaks between this row and rows of sides seen before; enters the row into `owners`."""
    text = normalised([(message.role, message.content) for message in row.messages])
    identities: dict[Kind, str] = {
        "same_example": row.example_id,
        "same_cluster": row.cluster_id,
        "same_prompt": row.prompt_id,
        "same_text": text,
    }
    found = []
    for kind, value in identities.items():
        owner_side, owner_id = owners.setdefault((kind, value), (side, row.example_id))
        if owner_side != side:
            found.append(Leak(row.example_id, owner_id, kind))
    return found
