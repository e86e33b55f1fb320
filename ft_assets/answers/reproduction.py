"""Whether a model comes out again: its snapshot and its training once more, and both results side by side."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ft_assets.answers.named_models import NamedModel
from ft_assets.answers.snapshot_again import SnapshotAgain, snapshot_again
from ft_assets.answers.training_again import train_again
from ft_assets.lake import Lake
from ft_assets.lake_manifest import MANIFEST, Entry, entries_of
from ft_assets.state import State

if TYPE_CHECKING:
    from ft_assets.specializations.specialization import Specialization

Outcome = Literal["same", "different", "not comparable bitwise"]
QUESTIONS = 50
MAX_NEW_TOKENS = 128
# Says what a training ran on, so it differs wherever that does; everything else is a result.
CIRCUMSTANCES_FILE = "provenance.json"
CODE = "code_version"


@dataclass(frozen=True)
class Likeness:
    """How near two models are that are not the same bytes. `losses` are the lowest validation losses, the recorded one
    first; `equal` of `asked` validation prompts got the same answer, letter by letter."""

    losses: tuple[float, float]
    equal: int
    asked: int

    @property
    def loss_difference(self) -> float:
        """The new one minus the recorded one."""
        return self.losses[1] - self.losses[0]

    @property
    def share(self) -> float | None:
        """Of equal answers, 0 to 1; None where nothing was asked."""
        return self.equal / self.asked if self.asked else None


@dataclass(frozen=True)
class Reproduction:
    """`files` maps each file of both adapters to whether its bytes are the same. `differing` is what decides the bits
    and is not as it was: name to (then, now)."""

    model: str
    digest: str
    outcome: Outcome
    reason: str
    snapshot: SnapshotAgain
    files: dict[str, bool]
    differing: dict[str, tuple[Any, Any]]
    likeness: Likeness | None

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        found = asdict(self)
        found["snapshot"]["path"] = None if self.snapshot.rebuilt else str(self.snapshot.path)
        if self.likeness:
            found["likeness"] |= {"loss_difference": self.likeness.loss_difference, "share": self.likeness.share}
        return found


def reproduce(
    state: State,
    lake: Lake,
    model: NamedModel,
    spec: "Specialization | None",
    split_key: str,
    folder: Path,
    on_line: Callable[[str], object],
    questions: int = QUESTIONS,
) -> Reproduction:
    """Builds and trains the model again in `folder`, an empty scratch directory, and compares.

    Bytes can only be expected where all that decides them is as it was (training.numerics); where something is not and
    the weights differ, the answer is "not comparable bitwise" with the likeness of both models, measured here.

    Raises:
        IncompleteArtifact: the adapter, its snapshot or its base is damaged, erased or gone.
    """
    from ft_assets.training.recipe import Recipe

    adapter = lake.artifact("adapter", model.digest).path
    origin = _json(adapter / CIRCUMSTANCES_FILE)
    snapshot = snapshot_again(
        lake,
        state,
        origin["snapshot"],
        model.specialization,
        spec,
        split_key,
        [stage.objective for stage in Recipe.model_validate(origin["recipe"]).stages()],
        folder / "snapshot",
    )
    again = train_again(lake, origin, snapshot.path, folder, on_line)
    files = _same_files(adapter, again)
    differing = _differing(origin, _json(again / CIRCUMSTANCES_FILE))
    outcome, reason = _outcome(files, differing)
    likeness = None
    if outcome != "same":
        base = lake.artifact("base_model", origin["base_digest"]).path
        equal, asked = _equal_answers(base, adapter, again, snapshot.path, origin, questions)
        likeness = Likeness((lowest_loss(adapter), lowest_loss(again)), equal, asked)
    return Reproduction(model.name, model.digest, outcome, reason, snapshot, files, differing, likeness)


def lowest_loss(adapter: Path) -> float:
    """The validation loss of the weights that were kept: the lowest of the last stage."""
    from ft_assets.training.training_log import TRAINING_LOG

    log = _json(adapter / TRAINING_LOG)
    entries = list(log.values())[-1] if isinstance(log, dict) else log
    return min(float(entry["eval_loss"]) for entry in entries if "eval_loss" in entry)


def _outcome(files: dict[str, bool], differing: dict[str, tuple[Any, Any]]) -> tuple[Outcome, str]:
    weights = [same for name, same in files.items() if name.endswith(".safetensors")]
    if weights and all(weights):
        where = "in other circumstances" if differing else "in the same circumstances"
        return "same", f"every byte of the weights came out again, {where}"
    if differing:
        return "not comparable bitwise", f"not as it was: {', '.join(differing)}"
    return "different", "everything that decides the bits is as it was, and other weights came out"


def _differing(then: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    from ft_assets.training.numerics import NOT_RECORDED, differing

    found = differing(then, now)
    for name in (CODE, "lowered"):
        if then.get(name) != now.get(name):
            found[name] = (then.get(name, NOT_RECORDED), now.get(name, NOT_RECORDED))
    return found


def _same_files(one: Path, other: Path) -> dict[str, bool]:
    """Of the results: names to whether the bytes are the same; a file that only one has is not."""
    digests = [{entry.path: entry.sha256 for entry in _entries(folder)} for folder in (one, other)]
    names = sorted({*digests[0], *digests[1]} - {CIRCUMSTANCES_FILE})
    return {name: digests[0].get(name) == digests[1].get(name) for name in names}


def _entries(folder: Path) -> list[Entry]:
    return [entry for entry in entries_of(folder) if entry.path != MANIFEST]


def _equal_answers(
    base: Path, one: Path, other: Path, snapshot: Path, origin: dict[str, Any], questions: int
) -> tuple[int, int]:
    """How many answers of both models are the same text, and of how many: the first prompts of the validation side,
    which chose the checkpoint and judges nothing."""
    from ft_assets.dataset.rows import read_side
    from ft_assets.evaluation.asking.backend import questions_of
    from ft_assets.evaluation.asking.model_to_ask import ModelToAsk
    from ft_assets.evaluation.asking.transformers_backend import TransformersBackend
    from ft_assets.evaluation.suites import snapshot_items

    items = snapshot_items(read_side(snapshot, "validation")[:questions])
    asked = questions_of(items, origin["system_prompt"])
    answers = []
    for name, adapter in (("recorded", one), ("again", other)):
        backend = TransformersBackend(ModelToAsk(name, base, adapter), MAX_NEW_TOKENS)
        batches = list(backend.batches(asked))
        answers.append({row.row_id: row.answer for batch in batches for row in batch.predictions})
    both = answers[0].keys() & answers[1].keys()
    return sum(answers[0][row] == answers[1][row] for row in both), len(both)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
